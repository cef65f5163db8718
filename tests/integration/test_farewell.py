"""What the Kubernetes adapter leaves behind on real sockets, where a server says nothing any more: nothing."""

import asyncio
import selectors
import ssl
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
import trustme
from kubernetes.aio.client import Configuration

from tests.integration.faulty import FaultyServer, Peer
from vaultsync.adapters.kube.connection import Connection
from vaultsync.adapters.kube.requests import Request
from vaultsync.errors import SyncError

READ = Request("GET", "/api/v1/secrets", about="The Secrets")


def one_line_and_silence(peer: Peer) -> None:
    peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{}\n\r\n")
    peer.hang()


async def leave_a_watch(connection: Connection) -> None:
    async with aclosing(connection.documents(READ)) as documents:
        assert await anext(documents) == {}


async def wait_in_vain(connection: Connection) -> None:
    with pytest.raises(SyncError, match="does not answer in time"):
        await connection.send(READ)


@pytest.mark.parametrize(
    ("script", "use"),
    [
        pytest.param(one_line_and_silence, leave_a_watch, id="a watch that is left"),
        pytest.param(one_line_and_silence, wait_in_vain, id="an answer that does not end"),
        pytest.param(Peer.hang, wait_in_vain, id="an answer that does not come"),
    ],
)
def test_a_server_that_says_no_farewell_keeps_no_socket_of_ours(
    script: Callable[[Peer], None], use: Callable[[Connection], Awaitable[None]], tmp_path: Path
) -> None:
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    selector = selectors.DefaultSelector()

    async def connect_and_close(url: str) -> None:
        configuration = Configuration(host=url, api_key={"BearerToken": "Bearer our-token"})
        configuration.ssl_ca_cert = str(tmp_path / "ca.pem")
        connection = Connection(configuration, user_agent="vaultsync/1", connections=1, answer_within=0.5)
        await use(connection)
        await connection.close()

    with (
        FaultyServer(script, tls) as server,
        asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner,
    ):
        before = set(selector.get_map())
        runner.run(connect_and_close(server.url))
        left = set(selector.get_map()) - before

    assert left == set()
