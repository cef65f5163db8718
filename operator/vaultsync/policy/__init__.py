"""Decisions: pure functions of values; no I/O, no clock, no library of the outside world."""
