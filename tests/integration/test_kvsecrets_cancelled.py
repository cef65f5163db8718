"""A call that is cancelled half-way costs no other call: its connection is given up, and not lent out again."""

import asyncio
import contextlib
import gc
import ssl
from pathlib import Path

import pytest
import trustme

from kvsecrets import AsyncSecretClient, RetryPolicy
from tests.integration.faulty import FaultyServer, Peer
from tests.integration.reading import SECRET, VALUE, Credential

SECONDS = 5.0
"""Of timeout, which nobody reaches who gets a good connection."""
MOMENTS = 60
"""Turns of the event loop that a call takes, and some more."""


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's TLS that clients trust, by httpx's own means."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def answer(peer: Peer) -> None:
    """Answer all that is asked on the connection: one that ends unsaid is a trouble of its own."""
    peer.answer("200 OK", SECRET)
    while peer.request():
        peer.answer("200 OK", SECRET)


# A socket that is cancelled in its handshake is left by httpx to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_call_may_be_cancelled_at_any_moment(tls: ssl.SSLContext) -> None:
    with FaultyServer(answer, tls) as vault:
        for moment in range(MOMENTS):
            async with AsyncSecretClient(
                vault.url, Credential(), timeout=SECONDS, retry=RetryPolicy(attempts=1)
            ) as client:
                call = asyncio.create_task(client.get_secret("db"))
                for _ in range(moment):
                    await asyncio.sleep(0.0005)
                call.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await call

                assert (await client.get_secret("db")).value.reveal() == VALUE, f"after a cancellation at {moment}"
    gc.collect()
