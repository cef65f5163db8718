"""The Kubernetes adapter leaves no socket open when a server stops to respond."""

import asyncio
import selectors
import ssl
import threading
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from kubernetes.aio.client import Configuration

from tests.clocks import frozen
from tests.integration.faulty import FaultyServer, Peer
from vaultsync.adapters.kube.connection import Connection
from vaultsync.adapters.kube.requests import Request
from vaultsync.errors import SyncError

SHORT = 0.5
"""Seconds in which a request times out."""
READ = Request("GET", "/api/v1/secrets", about="The Secrets")
WATCH = replace(READ, query={"watch": "true"})


def one_line_and_silence(peer: Peer) -> None:
    peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{}\n\r\n")
    peer.hang()


async def leave_a_watch(connection: Connection, _begun: threading.Event) -> None:
    async with aclosing(connection.documents(WATCH)) as documents:
        assert await anext(documents) == {}


async def time_out(connection: Connection, begun: threading.Event) -> None:
    with frozen():  # until the server has the request: only the response may take too long
        call = asyncio.ensure_future(connection.send(READ))
        while not begun.is_set():  # noqa: ASYNC110  the server runs in a thread
            await asyncio.sleep(0)
    with pytest.raises(SyncError, match="did not respond in time"):
        await call


@pytest.mark.parametrize(
    ("script", "use", "seconds"),
    [
        pytest.param(one_line_and_silence, leave_a_watch, 60, id="a watch that is left"),
        pytest.param(one_line_and_silence, time_out, SHORT, id="a response that does not end"),
        pytest.param(Peer.hang, time_out, SHORT, id="no response"),
    ],
)
def test_no_socket_is_left_open_when_the_server_does_not_take_part_in_the_close(
    script: Callable[[Peer], None],
    use: Callable[[Connection, threading.Event], Awaitable[None]],
    seconds: float,
    tmp_path: Path,
) -> None:
    begun = threading.Event()

    def begin(peer: Peer) -> None:
        begun.set()
        script(peer)

    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    selector = selectors.DefaultSelector()

    async def connect_and_close(url: str) -> None:
        configuration = Configuration(host=url, api_key={"BearerToken": "Bearer our-token"})
        configuration.ssl_ca_cert = str(tmp_path / "ca.pem")
        connection = Connection(configuration, user_agent="vaultsync/1", connections=1, request_timeout=seconds)
        await use(connection, begun)
        await connection.close()

    with (
        FaultyServer(begin, tls) as server,
        asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner,
    ):
        before = set(selector.get_map())
        runner.run(connect_and_close(server.url))
        left = set(selector.get_map()) - before

    assert left == set()
