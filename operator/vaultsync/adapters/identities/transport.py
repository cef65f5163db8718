"""The HTTP of azure-identity, which remembers why a host did not respond. Imports azure-core: see `shared`."""

import asyncio
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport

from kvsecrets import ConnectionProblem
from vaultsync.adapters.identities.failures import NODE_HOST, NoResponse, failures_of_task
from vaultsync.connection_faults import ConnectionFault, fault_of

CONNECT_SECONDS: Final = 10.0
"""The time limit of a connection, less than that of a login: so it is known which of the two took too long."""


class LoginTransport(AioHttpTransport):  # type: ignore[misc]  # azure-core loads it lazily, without a type
    """A transport over the sessions of its caller, which records the failures of its requests for `remembered`."""

    def __init__(self, session: aiohttp.ClientSession, *, direct: aiohttp.ClientSession) -> None:
        """Use `direct` for what no proxy reaches: the node's own service."""
        super().__init__(session=session, session_owner=False, connection_timeout=CONNECT_SECONDS)
        self._direct = AioHttpTransport(session=direct, session_owner=False, connection_timeout=CONNECT_SECONDS)

    async def send(self, request: Any, **options: Any) -> Any:  # noqa: ANN401  those of AioHttpTransport
        """Send a request."""
        failures = failures_of_task()
        host = urlsplit(request.url).hostname or ""
        try:
            send = self._direct.send if host == NODE_HOST else super().send
            response = await send(request, **options)
        except Exception as error:
            failures[:] = [NoResponse(host, fault) for fault in [fault_of(error, host)] if fault is not None]
            raise
        except asyncio.CancelledError:
            # The time limit of the login: what an earlier request failed with says more.
            failures[:] = failures or [NoResponse(host, ConnectionFault(ConnectionProblem.TIMED_OUT))]
            raise
        failures.clear()
        return response
