"""Benchmarks for the claims of bench/README.md: not tests, since a figure depends on the machine."""
