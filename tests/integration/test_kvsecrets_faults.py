"""What goes wrong on real sockets: each fault is a clear error of ours, in time, and tells nothing secret."""

import gzip
import json
import logging
import ssl
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
import trustme

from kvsecrets import (
    AsyncSecretClient,
    ConnectionFailed,
    ConnectionProblem,
    KeyVaultError,
    KeyVaultSecret,
    RetryPolicy,
    SecretClient,
    UnexpectedAnswer,
)
from tests.integration.faulty import FaultyServer, Peer, Script

SHORT = 0.5
"""Seconds of timeout where it is the timeout that ends a call."""
LONG = 20.0
"""Seconds of timeout where a call must end without it, however busy this machine is."""
MARGIN = 5.0
TOKEN = "marked-token"
VALUE = "marked-value"
SECRET = json.dumps(
    {"value": VALUE, "id": "https://127.0.0.1/secrets/db/0123456789abcdef0123456789abcdef", "attributes": {}}
).encode()
ONCE = RetryPolicy(attempts=1)


class Credential:
    """Gives a token that must not show up anywhere."""

    class Token:
        token = TOKEN
        expires_on = 9_999_999_999

    def get_token(self, *scopes: str, **options: object) -> Token:
        return self.Token()


class Get(Protocol):
    """Reads a secret with either twin."""

    def __call__(self, url: str, timeout: float = LONG, retry: RetryPolicy = ONCE) -> Awaitable[KeyVaultSecret]: ...


async def get(url: str, timeout: float = LONG, retry: RetryPolicy = ONCE) -> KeyVaultSecret:  # noqa: ASYNC109 - the client's
    with SecretClient(url, Credential(), timeout=timeout, retry=retry) as client:
        return client.get_secret("db")


async def get_async(url: str, timeout: float = LONG, retry: RetryPolicy = ONCE) -> KeyVaultSecret:  # noqa: ASYNC109 - the client's
    async with AsyncSecretClient(url, Credential(), timeout=timeout, retry=retry) as client:
        return await client.get_secret("db")


both = pytest.mark.parametrize("read", [get, get_async], ids=["threads", "asyncio"])


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(autouse=True)
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make clients trust this test's authority, by httpx's own means."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))


def tls(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def whole(error: BaseException) -> str:
    """Everything that an error tells, its causes and their texts included."""
    return "".join(traceback.format_exception(error)) + repr(error)


BOMB = gzip.compress(bytes(50_000_000), compresslevel=1)


def cut_in_the_body(peer: Peer) -> None:
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n", SECRET)


def cut_in_the_headers(peer: Peer) -> None:
    peer.write("HTTP/1.1 200 OK\r\ncontent-")


def reset(peer: Peer) -> None:
    peer.reset()


def silent(peer: Peer) -> None:
    peer.hang()


def silent_after_the_headers(peer: Peer) -> None:
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n")
    peer.hang()


def a_body_that_drips(peer: Peer) -> None:
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n")
    peer.drip(SECRET * 10)


def not_http(peer: Peer) -> None:
    peer.write("SSH-2.0-OpenSSH_9.2\r\n" * 10)


def endless_headers(peer: Peer) -> None:
    peer.write("HTTP/1.1 200 OK\r\n")
    for number in range(20_000):
        peer.write(f"x-{number}: {'x' * 100}\r\n")


def truncated_json(peer: Peer) -> None:
    peer.answer("200 OK", SECRET[:-10])


def garbage(peer: Peer) -> None:
    peer.answer("200 OK", b"\x00\xffmarked-value" * 800_000)


def endless_garbage(peer: Peer) -> None:
    peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(1_000):
        peer.write("10000\r\n", b"x" * 65_536, "\r\n")


def a_bomb(peer: Peer) -> None:
    peer.answer("200 OK", BOMB, content_encoding="gzip")


def broken_gzip(peer: Peer) -> None:
    peer.answer("200 OK", SECRET, content_encoding="gzip")


def a_page_of_html(peer: Peer) -> None:
    peer.answer("404 Not Found", b"<html>marked-value</html>", content_type="text/html")


BROKEN = ConnectionProblem.BROKEN
LATE = ConnectionProblem.TIMED_OUT
Fault = tuple[Script, type[KeyVaultError], ConnectionProblem | None]
FAULTS: list[Fault] = [
    (cut_in_the_body, ConnectionFailed, BROKEN),
    (cut_in_the_headers, ConnectionFailed, BROKEN),
    (reset, ConnectionFailed, BROKEN),
    (silent, ConnectionFailed, LATE),
    (silent_after_the_headers, ConnectionFailed, LATE),
    (a_body_that_drips, ConnectionFailed, LATE),
    (not_http, ConnectionFailed, BROKEN),
    (endless_headers, ConnectionFailed, BROKEN),
    (truncated_json, UnexpectedAnswer, None),
    (garbage, UnexpectedAnswer, None),
    (endless_garbage, UnexpectedAnswer, None),
    (a_bomb, UnexpectedAnswer, None),
    (broken_gzip, UnexpectedAnswer, None),
    (a_page_of_html, UnexpectedAnswer, None),
]


@both
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault[0].__name__)
async def test_each_fault_is_a_clear_error_in_time_and_tells_nothing_secret(
    read: Get, fault: Fault, authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    script, kind, problem = fault
    timeout = SHORT if problem is LATE else LONG
    caplog.set_level(logging.DEBUG)
    with FaultyServer(script, tls(authority)) as vault:
        start = time.monotonic()
        with pytest.raises(kind) as caught:
            await read(vault.url, timeout)
        took = time.monotonic() - start

    assert getattr(caught.value, "problem", None) is problem
    assert took < timeout + MARGIN
    assert "marked" not in whole(caught.value)
    assert "marked" not in caplog.text


async def test_headers_that_drip_end_with_the_timeout_of_a_task(authority: trustme.CA) -> None:
    def drip(peer: Peer) -> None:
        peer.drip(b"HTTP/1.1 200 OK\r\nx-slow: " + b"x" * 10_000)

    with FaultyServer(drip, tls(authority)) as vault:
        start = time.monotonic()
        with pytest.raises(ConnectionFailed) as caught:
            await get_async(vault.url, SHORT)

    assert caught.value.problem is LATE
    assert time.monotonic() - start < SHORT + MARGIN


@both
async def test_a_compressed_answer_is_read(read: Get, authority: trustme.CA) -> None:
    def packed(peer: Peer) -> None:
        peer.answer("200 OK", gzip.compress(SECRET), content_encoding="gzip")

    with FaultyServer(packed, tls(authority)) as vault:
        assert (await read(vault.url)).value.reveal() == VALUE


@both
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
async def test_a_redirect_is_not_followed(read: Get, status: str, authority: trustme.CA) -> None:
    with FaultyServer(silent, tls(authority)) as elsewhere:

        def redirect(peer: Peer) -> None:
            peer.answer(status, location=f"{elsewhere.url}/secrets/db")

        with FaultyServer(redirect, tls(authority)) as vault, pytest.raises(UnexpectedAnswer, match="redirects"):
            await read(vault.url)

        assert elsewhere.requests == []


@both
async def test_a_certificate_for_another_name_is_refused_before_anything_is_sent(
    read: Get, authority: trustme.CA
) -> None:
    with FaultyServer(silent, tls(authority, "shop.vault.azure.net")) as vault:
        with pytest.raises(ConnectionFailed, match="certificate is refused") as caught:
            await read(vault.url)

        assert caught.value.problem is ConnectionProblem.UNTRUSTED
        assert vault.requests == []


@both
async def test_a_certificate_of_an_unknown_authority_is_refused(read: Get) -> None:
    with FaultyServer(silent, tls(trustme.CA())) as vault, pytest.raises(ConnectionFailed) as caught:
        await read(vault.url)

    assert caught.value.problem is ConnectionProblem.UNTRUSTED


@both
async def test_a_server_without_tls_gets_nothing(read: Get) -> None:
    with FaultyServer(silent, None) as vault:
        with pytest.raises(ConnectionFailed):
            await read(vault.url, SHORT)

        assert not any(b"authorization" in request.lower() for request in vault.requests)


@both
async def test_a_closed_port_is_no_connection(read: Get, authority: trustme.CA) -> None:
    with FaultyServer(silent, tls(authority)) as vault:
        pass

    with pytest.raises(ConnectionFailed) as caught:
        await read(vault.url)
    assert caught.value.problem is ConnectionProblem.UNREACHABLE


@both
async def test_a_proxy_of_the_environment_is_asked_and_one_that_refuses_is_no_connection(
    read: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultyServer(silent, None) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(ConnectionFailed) as caught:
            await read("https://shop.vault.azure.net")

    assert caught.value.problem is ConnectionProblem.UNREACHABLE
    assert [request.split(b"\r\n")[0] for request in proxy.requests] == [b"CONNECT shop.vault.azure.net:443 HTTP/1.1"]


@both
async def test_a_fault_that_passes_is_survived_by_trying_again(read: Get, authority: trustme.CA) -> None:
    scripts: list[Callable[[Peer], Any]] = [
        reset,
        cut_in_the_body,
        lambda peer: peer.answer("503 Busy"),
        lambda peer: peer.answer("200 OK", SECRET),
    ]

    def misbehave_less_and_less(peer: Peer) -> None:
        scripts.pop(0)(peer)

    with FaultyServer(misbehave_less_and_less, tls(authority)) as vault:
        secret = await read(vault.url, retry=RetryPolicy(attempts=4, base_delay=0))

    assert secret.value.reveal() == VALUE
    assert scripts == []
