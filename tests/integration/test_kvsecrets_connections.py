"""Connections of both clients on real sockets: kept, replaced, and never a reason to send a write twice."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import pytest
import trustme

from kvsecrets import AsyncSecretClient, ConnectionFailed, SecretClient, UnexpectedAnswer
from tests.integration.faulty import FaultyServer, Peer
from tests.integration.reading import LONG, NO_RETRY, SECRET, TOKEN, Credential, tls

pytestmark = pytest.mark.usefixtures("trusted")

Call = Callable[..., Any]


class Open(Protocol):
    """Opens a client of either kind; its methods can be awaited."""

    def __call__(self, url: str) -> Any: ...  # noqa: ANN401  the twins share no type


class _Awaitable:
    """A client for threads whose methods are awaited."""

    def __init__(self, client: SecretClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Call:
        async def call(*arguments: object) -> object:
            return getattr(self._client, name)(*arguments)

        return call


@asynccontextmanager
async def threads(url: str) -> AsyncIterator[Any]:
    with SecretClient(url, Credential(), timeout=LONG, retry=NO_RETRY) as client:
        yield _Awaitable(client)


@asynccontextmanager
async def asynchronous(url: str) -> AsyncIterator[Any]:
    async with AsyncSecretClient(url, Credential(), timeout=LONG, retry=NO_RETRY) as client:
        yield client


both = pytest.mark.parametrize("opened", [threads, asynchronous], ids=["threads", "asyncio"])


class Connections:
    """A script that counts connections, and responds to so many requests on each before it hangs up."""

    def __init__(self, requests: int, **headers: str) -> None:
        self.count = 0
        self._requests = requests
        self._headers = headers

    def __call__(self, peer: Peer) -> None:
        self.count += 1
        for _ in range(self._requests - 1):
            peer.answer("200 OK", SECRET, **self._headers)
            if not peer.request():
                return
        peer.answer("200 OK", SECRET, connection="close", **self._headers)


def authorized(vault: FaultyServer) -> list[bytes]:
    return [one for one in vault.requests if b"authorization: " in one.lower()]


@both
async def test_a_connection_is_used_again_until_the_server_closes_it(opened: Open, authority: trustme.CA) -> None:
    connections = Connections(requests=3)
    with FaultyServer(connections, tls(authority)) as vault:
        async with opened(vault.url) as client:
            for _ in range(5):
                await client.get_secret("db")

    assert connections.count == 2


@both
@pytest.mark.parametrize(
    ("method", "arguments"), [("set_secret", ("db", "new")), ("begin_delete_secret", ("db",))], ids=["PUT", "DELETE"]
)
async def test_a_write_whose_response_is_lost_is_not_sent_again(
    opened: Open, method: str, arguments: tuple[str, ...], authority: trustme.CA
) -> None:
    """The vault may have executed it: whether it is repeated is for the retry policy to say."""
    with FaultyServer(lambda peer: peer.reset(), tls(authority)) as vault:
        async with opened(vault.url) as client:
            with pytest.raises(ConnectionFailed):
                await getattr(client, method)(*arguments)

    assert len(authorized(vault)) == 1


@both
async def test_a_long_header_is_read(opened: Open, authority: trustme.CA) -> None:
    """A challenge that requires claims has several kilobytes."""
    with FaultyServer(Connections(requests=1, x_long="x" * 60_000), tls(authority)) as vault:
        async with opened(vault.url) as client:
            secret = await client.get_secret("db")

    assert len(secret.response.headers["x-long"]) == 60_000


@both
@pytest.mark.parametrize("said", ["HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "HTTP/9.9 2000\r\n\r\n"])
async def test_no_error_shows_the_token(opened: Open, said: str, authority: trustme.CA) -> None:
    def say(peer: Peer) -> None:
        peer.write(said)

    with FaultyServer(say, tls(authority)) as vault:
        async with opened(vault.url) as client:
            with pytest.raises(UnexpectedAnswer) as caught:
                await client.get_secret("db")

    shown: list[str] = []
    error: BaseException | None = caught.value
    while error is not None:
        shown.append(repr(error))
        error = error.__cause__ or error.__context__
    assert TOKEN not in "".join(shown)


async def test_a_client_can_be_closed_twice_and_before_its_first_call(authority: trustme.CA) -> None:
    client = AsyncSecretClient("https://127.0.0.1", Credential())
    await client.aclose()
    await client.aclose()

    with pytest.raises(RuntimeError, match="closed"):
        await client.get_secret("db")
