"""Renders values into the manifest of a Secret: pure functions, without I/O."""
