"""Tests of the parts behind `kvsecrets.testing`."""
