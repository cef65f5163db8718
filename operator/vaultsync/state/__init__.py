"""The operator's state: stores with indexes, and immutable values; no I/O and no callbacks."""
