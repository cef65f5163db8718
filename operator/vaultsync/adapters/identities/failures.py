"""Why a host did not respond to the last request of a login: azure-identity's credentials keep no more than a text."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from vaultsync.connection_faults import ConnectionFault

NODE_HOST: Final = "169.254.169.254"
"""The node's service for managed identities: https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service"""


class NoResponse(Exception):
    """A host did not respond. What the credential raised is the cause."""

    def __init__(self, host: str, fault: ConnectionFault) -> None:
        super().__init__(host)
        self.host = host
        self.fault = fault


_last: ContextVar[list[NoResponse] | None] = ContextVar("last", default=None)


@contextmanager
def remembered() -> Iterator[list[NoResponse]]:
    """Yield a list that has the failure of the last request in this task while there has been no response since."""
    failures: list[NoResponse] = []
    token = _last.set(failures)
    try:
        yield failures
    finally:
        _last.reset(token)


def failures_of_task() -> list[NoResponse]:
    """Return the list that `remembered` has yielded in this task; outside of it, another one."""
    failures = _last.get()
    return [] if failures is None else failures
