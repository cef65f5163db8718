"""Faults on real sockets: each raises its KeyVaultError, without a secret in its text."""

import gzip
import logging
from collections.abc import Callable
from typing import Any

import pytest
import trustme

from kvsecrets import ConnectionFailed, ConnectionProblem, KeyVaultError, RetryPolicy, UnexpectedAnswer
from tests.integration.faulty import FaultyServer, Peer, Script, silent
from tests.integration.reading import SECRET, SHORT, VALUE, Get, both, full_text, tls

pytestmark = pytest.mark.usefixtures("trusted")
BOMB = gzip.compress(bytes(50_000_000), compresslevel=1)


def cut_in_the_body(peer: Peer) -> None:
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n", SECRET)


def cut_in_the_headers(peer: Peer) -> None:
    peer.write("HTTP/1.1 200 OK\r\ncontent-")


def reset(peer: Peer) -> None:
    peer.reset()


def not_http(peer: Peer) -> None:
    peer.write("SSH-2.0-OpenSSH_9.2\r\n" * 10, "\r\n")


def header_without_a_colon(peer: Peer) -> None:
    peer.write("HTTP/1.1 200 OK\r\nmarked value\r\n\r\n", SECRET)


def another_version_of_http(peer: Peer) -> None:
    peer.write("HTTP/9.9 2000\r\n\r\n", SECRET)


def two_lengths(peer: Peer) -> None:
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 9999\r\n\r\n", SECRET)


def length_that_is_no_number(peer: Peer) -> None:
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: marked\r\n\r\n", SECRET)


def chunk_without_a_size(peer: Peer) -> None:
    peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nmarked\r\n", SECRET)


def endless_headers(peer: Peer) -> None:
    peer.write("HTTP/1.1 200 OK\r\n")
    while peer.write(f"x: {'x' * 100}\r\n" * 100):
        pass


def truncated_json(peer: Peer) -> None:
    peer.answer("200 OK", SECRET[:-10])


def deep_json(peer: Peer) -> None:
    peer.answer("200 OK", b'{"marked":' * 400_000)


def garbage(peer: Peer) -> None:
    peer.answer("200 OK", b"\x00\xffmarked-value" * 800_000)


def endless_garbage(peer: Peer) -> None:
    peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while peer.write("10000\r\n", b"x" * 65_536, "\r\n"):
        pass


def decompression_bomb(peer: Peer) -> None:
    peer.answer("200 OK", BOMB, content_encoding="gzip")


def compressed(peer: Peer) -> None:
    peer.answer("200 OK", gzip.compress(SECRET), content_encoding="gzip")


def html_page(peer: Peer) -> None:
    peer.answer("404 Not Found", b"<html>marked-value</html>", content_type="text/html")


BROKEN = {ConnectionProblem.BROKEN}
MALFORMED: list[Script] = [
    not_http,
    header_without_a_colon,
    another_version_of_http,
    two_lengths,
    length_that_is_no_number,
    chunk_without_a_size,
    endless_headers,
]
Fault = tuple[Script, type[KeyVaultError], set[ConnectionProblem]]
FAULTS: list[Fault] = [
    (cut_in_the_body, ConnectionFailed, BROKEN),
    (cut_in_the_headers, ConnectionFailed, BROKEN),
    # httpx sees for threads that the socket has ended, before it reads how.
    (reset, ConnectionFailed, {ConnectionProblem.RESET, *BROKEN}),
    *((script, UnexpectedAnswer, set()) for script in MALFORMED),
    (truncated_json, UnexpectedAnswer, set()),
    (deep_json, UnexpectedAnswer, set()),
    (garbage, UnexpectedAnswer, set()),
    (endless_garbage, UnexpectedAnswer, set()),
    (decompression_bomb, UnexpectedAnswer, set()),
    (compressed, UnexpectedAnswer, set()),
    (html_page, UnexpectedAnswer, set()),
]


@both
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault[0].__name__)
async def test_each_fault_raises_its_error_without_a_secret(
    read: Get, fault: Fault, authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    script, kind, problems = fault
    caplog.set_level(logging.DEBUG, "kvsecrets")  # httpcore logs at this level what it cannot parse
    caplog.set_level(logging.INFO)
    with FaultyServer(script, tls(authority)) as vault, pytest.raises(kind) as caught:
        await read(vault.url)

    assert getattr(caught.value, "problem", None) in (problems or [None])
    assert "marked" not in full_text(caught.value)
    assert "marked" not in caplog.text


@both
@pytest.mark.parametrize("script", MALFORMED, ids=lambda script: script.__name__)
async def test_malformed_http_is_named_and_not_retried(read: Get, script: Script, authority: trustme.CA) -> None:
    with FaultyServer(script, tls(authority)) as vault:
        with pytest.raises(UnexpectedAnswer, match="the response is not valid HTTP"):
            await read(vault.url, retry=RetryPolicy(attempts=4, base_delay=0))

        assert sum(b"authorization" in request.lower() for request in vault.requests) == 1


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
async def test_a_certificate_for_another_name_is_rejected_before_anything_is_sent(
    read: Get, authority: trustme.CA
) -> None:
    with FaultyServer(silent, tls(authority, "shop.vault.azure.net")) as vault:
        with pytest.raises(ConnectionFailed, match="certificate was rejected") as caught:
            await read(vault.url)

        assert caught.value.problem is ConnectionProblem.UNTRUSTED
        assert vault.requests == []


@both
async def test_a_certificate_of_an_unknown_authority_is_rejected(read: Get) -> None:
    with FaultyServer(silent, tls(trustme.CA())) as vault, pytest.raises(ConnectionFailed) as caught:
        await read(vault.url)

    assert caught.value.problem is ConnectionProblem.UNTRUSTED


@both
async def test_a_server_without_tls_gets_no_token(read: Get) -> None:
    with FaultyServer(silent, None) as vault:
        with pytest.raises(ConnectionFailed):
            await read(vault.url, SHORT)

        assert not any(b"authorization" in request.lower() for request in vault.requests)


@both
async def test_a_closed_port_refuses_the_connection(read: Get, authority: trustme.CA) -> None:
    with FaultyServer(silent, tls(authority)) as vault:
        pass

    with pytest.raises(ConnectionFailed) as caught:
        await read(vault.url)
    assert caught.value.problem is ConnectionProblem.REFUSED


@both
async def test_the_proxy_of_the_environment_is_used_and_may_refuse(read: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyServer(silent, None) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(ConnectionFailed) as caught:
            await read("https://shop.vault.azure.net")

    assert caught.value.problem is ConnectionProblem.PROXY
    assert [request.split(b"\r\n")[0] for request in proxy.requests] == [b"CONNECT shop.vault.azure.net:443 HTTP/1.1"]


@both
async def test_transient_faults_are_retried(read: Get, authority: trustme.CA) -> None:
    scripts: list[Callable[[Peer], Any]] = [
        reset,
        cut_in_the_body,
        lambda peer: peer.answer("503 Busy"),
        lambda peer: peer.answer("200 OK", SECRET),
    ]

    def next_script(peer: Peer) -> None:
        scripts.pop(0)(peer)

    with FaultyServer(next_script, tls(authority)) as vault:
        secret = await read(vault.url, retry=RetryPolicy(attempts=4, base_delay=0))

    assert secret.value.reveal() == VALUE
    assert scripts == []
