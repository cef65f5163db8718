"""What bench/README.md claims, measured: never a test, since a figure depends on the machine."""
