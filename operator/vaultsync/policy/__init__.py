"""Decisions: pure functions of values, without I/O, clock or third-party libraries."""
