"""What is known: stores with indexes and immutable values; no I/O and no callbacks."""
