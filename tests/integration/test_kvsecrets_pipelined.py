"""Unrequested responses, and those to another request: no call ever gets the secret of another one."""

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import trustme

from kvsecrets import AsyncSecretClient, SecretClient, UnexpectedAnswer
from tests.integration.faulty import FaultyServer, Peer
from tests.integration.reading import LONG, NO_RETRY, SECRET, VALUE, Credential, tls

pytestmark = pytest.mark.usefixtures("trusted")

STALE = json.dumps({**json.loads(SECRET), "value": "marked-stale"}).encode()
"""An older answer about the same secret: only the order of the responses says that it is not the one asked for."""
OTHER = SECRET.replace(b"/secrets/db/", b"/secrets/other/")


class Client:
    """A client of either kind over connections of the library or of the user; the form says which."""

    def __init__(self, form: str, url: str) -> None:
        options: dict[str, Any] = {"timeout": LONG, "retry": NO_RETRY}
        self.http: Any = None
        self.is_async = form.startswith("asyncio")
        if form.endswith("httpx"):
            kind = httpx.AsyncClient if self.is_async else httpx.Client
            options["http_client"] = self.http = kind(verify=httpx.create_ssl_context())
        self.client: Any = (AsyncSecretClient if self.is_async else SecretClient)(url, Credential(), **options)

    async def read(self) -> str:
        """Return the value of the secret, after everything that has arrived was processed."""
        for _ in range(20):
            await asyncio.sleep(0)
        secret = self.client.get_secret("db")
        value: str = (await secret if self.is_async else secret).value.reveal()
        return value

    async def aclose(self) -> None:
        for opened in (self.client, self.http):
            if opened is not None:
                await opened.aclose() if self.is_async else opened.close()


class Script:
    """Sends more than was requested on the first connection, and only what is requested on later ones."""

    def __init__(self, first: Callable[["Script", Peer], None]) -> None:
        self.connections = 0
        self.may_go_on = threading.Event()
        self.has_gone_on = threading.Event()
        self._first = first

    def __call__(self, peer: Peer) -> None:
        self.connections += 1
        if self.connections == 1:
            self._first(self, peer)
            self.has_gone_on.set()
        else:
            peer.answer("200 OK", SECRET)
        while peer.request():
            peer.answer("200 OK", SECRET)


def head(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body)


def in_one_write(_: Script, peer: Peer) -> None:
    peer.write(head(SECRET), SECRET, head(STALE), STALE)


def in_two_writes(_: Script, peer: Peer) -> None:
    """In two records of TLS, which may arrive together."""
    peer.write(head(SECRET), SECRET)
    peer.write(head(STALE), STALE)


def with_the_end_of_the_body(script: Script, peer: Peer) -> None:
    peer.write(head(SECRET), SECRET[:-9])
    script.may_go_on.wait(0.05)
    peer.write(SECRET[-9:], head(STALE), STALE)


def without_its_end(_: Script, peer: Peer) -> None:
    peer.write(head(SECRET), SECRET, head(STALE), STALE[:-9])


def while_idle(script: Script, peer: Peer) -> None:
    peer.answer("200 OK", SECRET)
    script.may_go_on.wait()
    peer.answer("200 OK", STALE)


def no_body(_: Script, peer: Peer) -> None:
    peer.write(head(SECRET), SECRET, "HTTP/1.1 204 No Content\r\n\r\n")


UNSOLICITED = [in_one_write, in_two_writes, with_the_end_of_the_body, without_its_end, while_idle, no_body]
forms = pytest.mark.parametrize("form", ["threads", "asyncio", "threads over httpx", "asyncio over httpx"])


@contextmanager
def serving(script: Script, context: ssl.SSLContext) -> Iterator[FaultyServer]:
    """Serve, and let the script end whatever the test does."""
    with FaultyServer(script, context) as vault:
        try:
            yield vault
        finally:
            script.may_go_on.set()


@forms
@pytest.mark.parametrize("first", UNSOLICITED, ids=lambda script: script.__name__)
async def test_a_response_that_was_not_requested_is_not_the_next_one(
    form: str, first: Callable[[Script, Peer], None], authority: trustme.CA
) -> None:
    script = Script(first)
    with serving(script, tls(authority)) as vault:
        client = Client(form, vault.url)
        values = [await client.read()]
        script.may_go_on.set()
        script.has_gone_on.wait()
        values += [await client.read(), await client.read()]
        await client.aclose()

    assert values == [VALUE] * 3
    assert script.connections == 2


@forms
async def test_a_response_about_another_secret_is_an_error_and_ends_its_connection(
    form: str, authority: trustme.CA
) -> None:
    script = Script(lambda _, peer: peer.answer("200 OK", OTHER))
    with serving(script, tls(authority)) as vault:
        client = Client(form, vault.url)
        with pytest.raises(UnexpectedAnswer, match="another secret, version or vault") as caught:
            await client.read()
        value = await client.read()
        await client.aclose()

    assert "marked" not in str(caught.value)
    assert "other" not in str(caught.value).replace("another", "")
    assert (value, script.connections) == (VALUE, 2)
