"""What must work without the parts of packages that `trim-packages.sh` leaves out of the image."""

from typing import Final

TRIMMED: Final = ("kubernetes", "babel", "pytz", "tzdata")
"""The packages that lose modules or data."""

IMPORTS_ALL: Final = """
from importlib import import_module
from pkgutil import walk_packages
import vaultsync
for each in walk_packages(vaultsync.__path__, "vaultsync."):
    if not each.name.endswith("__main__"): import_module(each.name)
"""
"""A program that imports every module of the operator."""
