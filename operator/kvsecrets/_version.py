"""The version of the library: its distribution and its user agent have it from here."""

__version__ = "0.1.0"
