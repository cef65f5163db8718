"""A cancelled call does not affect later calls: its connection is closed and not used again."""

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

TIMEOUT = 60.0
"""In seconds; a call over a working connection takes less."""
MOMENTS = 60
"""More iterations of the event loop than a call takes."""


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The TLS context of a server whose certificate httpx trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def answer(peer: Peer) -> None:
    """Answer every request on the connection: closing it without notice would be another failure."""
    peer.answer("200 OK", SECRET)
    while peer.request():
        peer.answer("200 OK", SECRET)


async def test_a_call_can_be_cancelled_at_any_moment(tls: ssl.SSLContext) -> None:
    with FaultyServer(answer, tls) as vault:
        for moment in range(MOMENTS):
            async with AsyncSecretClient(
                vault.url, Credential(), timeout=TIMEOUT, retry=RetryPolicy(attempts=1)
            ) as client:
                call = asyncio.create_task(client.get_secret("db"))
                for _ in range(moment):
                    await asyncio.sleep(0.0005)
                call.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await call

                assert (await client.get_secret("db")).value.reveal() == VALUE, f"after a cancellation at {moment}"
    gc.collect()
