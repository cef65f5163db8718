"""Stand-ins for parts of the world, each proved by a suite of tests/contract to behave as the real part does."""

from tests.fakes.cluster import FakeKube, Posted

__all__ = ["FakeKube", "Posted"]
