"""Fakes of real parts; tests/contract compares each with the real one."""

from tests.fakes.credentials import FakeCredentials
from tests.fakes.kube import FakeKube, Posted

__all__ = ["FakeCredentials", "FakeKube", "Posted"]
