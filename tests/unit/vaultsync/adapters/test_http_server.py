"""The operator's own port, asked over a real socket."""

import ssl
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
import trustme

from vaultsync.adapters.http_server import serve
from vaultsync.errors import Reason, SyncError


async def ask(port: int, path: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        return await client.get(path, headers={name.replace("_", "-"): text for name, text in headers.items()})


async def render(accept: str) -> tuple[bytes, str]:
    return f"asked for {accept}\n".encode() * 100, "text/plain; version=0.0.4"


async def test_metrics_are_those_that_are_rendered_for_the_format_asked_for() -> None:
    async with serve("127.0.0.1", 0, metrics=render, is_ready=lambda: True) as port:
        answer = await ask(port, "/metrics", accept="text/plain")

    assert answer.headers["content-type"] == "text/plain; version=0.0.4"
    assert answer.text.startswith("asked for text/plain\n")


async def test_metrics_are_compressed_for_those_who_ask_for_that() -> None:
    async with serve("127.0.0.1", 0, metrics=render, is_ready=lambda: True) as port:
        compressed = await ask(port, "/metrics", accept_encoding="gzip")
        plain = await ask(port, "/metrics", accept_encoding="identity")

    assert compressed.headers["content-encoding"] == "gzip"
    assert int(compressed.headers["content-length"]) < int(plain.headers["content-length"])
    assert compressed.text.count("\n") == plain.text.count("\n") == 100


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
async def test_readiness_follows_the_operator_and_health_does_not(ready: bool, status: int) -> None:
    async with serve("127.0.0.1", 0, metrics=render, is_ready=lambda: ready) as port:
        assert (await ask(port, "/readyz")).status_code == status
        assert (await ask(port, "/healthz")).status_code == 200


async def test_a_taken_port_is_an_error_that_says_so() -> None:
    async with serve("127.0.0.1", 0, metrics=render, is_ready=lambda: True) as port:
        with pytest.raises(OSError, match=str(port)):
            async with serve("127.0.0.1", port, metrics=render, is_ready=lambda: True):
                pass


# Who may scrape


class TokenReviewer:
    """Knows two tokens, and lets one of their owners in."""

    def __init__(self) -> None:
        self.failure: SyncError | None = None

    async def user_of(self, token: str) -> Mapping[str, Any] | None:
        if self.failure is not None:
            raise self.failure
        return {"prometheus-token": {"username": "prometheus"}, "shop-token": {"username": "shop"}}.get(token)

    async def authorize(self, user: Mapping[str, Any], path: str) -> bool:
        return (user["username"], path) == ("prometheus", "/metrics")


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("Bearer prometheus-token", 200),
        ("bearer prometheus-token", 200),
        ("Bearer shop-token", 403),
        ("Bearer unknown", 401),
        ("Bearer", 401),
        ("Basic cHJvbWV0aGV1czp4", 401),
        ("", 401),
    ],
    ids=["who may", "in lower case", "who may not", "nobody", "no token", "a password", "nothing"],
)
async def test_only_those_scrape_whom_the_gatekeeper_lets_in(authorization: str, status: int) -> None:
    async with serve("127.0.0.1", 0, metrics=render, is_ready=lambda: True, token_reviewer=TokenReviewer()) as port:
        answer = await ask(port, "/metrics", authorization=authorization)

    assert answer.status_code == status
    assert ("asked for" in answer.text) is (status == 200)
    assert answer.headers.get("WWW-Authenticate") == ("Bearer" if status == 401 else None)


async def test_nobody_scrapes_while_the_cluster_cannot_be_asked() -> None:
    token_reviewer = TokenReviewer()
    token_reviewer.failure = SyncError(Reason.CLUSTER_UNAVAILABLE, "no answer")

    async with serve("127.0.0.1", 0, metrics=render, is_ready=lambda: True, token_reviewer=token_reviewer) as port:
        answer = await ask(port, "/metrics", authorization="Bearer prometheus-token")

    assert (answer.status_code, "asked for" in answer.text) == (503, False)


async def test_probes_are_for_everybody() -> None:
    async with serve("127.0.0.1", 0, metrics=render, is_ready=lambda: True, token_reviewer=TokenReviewer()) as port:
        assert [(await ask(port, path)).status_code for path in ("/healthz", "/readyz")] == [200, 200]


async def test_the_port_speaks_tls_when_it_is_given_a_certificate() -> None:
    authority = trustme.CA()
    tls, theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.configure_trust(theirs)

    async with (
        serve("127.0.0.1", 0, metrics=render, is_ready=lambda: True, tls=tls) as port,
        httpx.AsyncClient(verify=theirs) as client,
    ):
        answer = await client.get(f"https://127.0.0.1:{port}/healthz")

    assert answer.text == "ok\n"
