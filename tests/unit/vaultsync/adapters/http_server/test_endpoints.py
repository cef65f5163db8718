"""The operator's ports, over real sockets."""

import ssl
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
import trustme

from vaultsync.adapters.http_server import serve_metrics, serve_probes
from vaultsync.errors import Reason, SyncError


async def get(port: int, path: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        return await client.get(path, headers={name.replace("_", "-"): text for name, text in headers.items()})


async def render(accept: str) -> tuple[bytes, str]:
    return f"rendered for {accept}\n".encode() * 100, "text/plain; version=0.0.4"


async def test_metrics_are_rendered_for_the_accept_header() -> None:
    async with serve_metrics("127.0.0.1", 0, render) as port:
        response = await get(port, "/metrics", accept="text/plain")

    assert response.headers["content-type"] == "text/plain; version=0.0.4"
    assert response.text.startswith("rendered for text/plain\n")


async def test_metrics_are_compressed_for_clients_that_accept_it() -> None:
    async with serve_metrics("127.0.0.1", 0, render) as port:
        compressed = await get(port, "/metrics", accept_encoding="gzip")
        plain = await get(port, "/metrics", accept_encoding="identity")

    assert compressed.headers["content-encoding"] == "gzip"
    assert int(compressed.headers["content-length"]) < int(plain.headers["content-length"])
    assert compressed.text.count("\n") == plain.text.count("\n") == 100


@pytest.mark.parametrize("alive", [True, False])
@pytest.mark.parametrize("ready", [True, False])
async def test_each_probe_fails_while_its_own_check_does(alive: bool, ready: bool) -> None:
    async with serve_probes("127.0.0.1", 0, is_alive=lambda: alive, is_ready=lambda: ready) as port:
        statuses = [(await get(port, path)).status_code for path in ("/healthz", "/readyz")]

    assert statuses == [200 if alive else 503, 200 if ready else 503]


async def test_the_checks_are_made_for_each_probe() -> None:
    parts = {"alive": True}
    async with serve_probes("127.0.0.1", 0, is_alive=lambda: parts["alive"], is_ready=lambda: True) as port:
        before = await get(port, "/healthz")
        parts["alive"] = False
        after = await get(port, "/healthz")

    assert (before.status_code, after.status_code) == (200, 503)


async def test_a_port_in_use_is_an_os_error_that_names_it() -> None:
    async with serve_metrics("127.0.0.1", 0, render) as port:
        with pytest.raises(OSError, match=str(port)):
            async with serve_metrics("127.0.0.1", port, render):
                pass


async def test_each_port_serves_its_own_paths_only() -> None:
    async with (
        serve_metrics("127.0.0.1", 0, render) as metrics,
        serve_probes("127.0.0.1", 0, is_alive=lambda: True, is_ready=lambda: True) as probes,
    ):
        statuses = [
            (await get(port, path)).status_code for port in (metrics, probes) for path in ("/metrics", "/healthz")
        ]

    assert statuses == [200, 404, 404, 200]


# Authorization of scrapes


class TokenReviewer:
    """Two tokens are valid; the user of one of them is authorized."""

    def __init__(self) -> None:
        self.failure: SyncError | None = None

    async def authenticate(self, token: str) -> Mapping[str, Any] | None:
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
    ids=["authorized", "in lower case", "not authorized", "unknown", "no token", "a password", "nothing"],
)
async def test_only_authorized_clients_get_metrics(authorization: str, status: int) -> None:
    async with serve_metrics("127.0.0.1", 0, render, token_reviewer=TokenReviewer()) as port:
        response = await get(port, "/metrics", authorization=authorization)

    assert response.status_code == status
    assert ("rendered for" in response.text) is (status == 200)
    assert response.headers.get("WWW-Authenticate") == ("Bearer" if status == 401 else None)


async def test_no_client_gets_metrics_while_tokens_cannot_be_reviewed() -> None:
    token_reviewer = TokenReviewer()
    token_reviewer.failure = SyncError(Reason.CLUSTER_UNAVAILABLE, "no response")

    async with serve_metrics("127.0.0.1", 0, render, token_reviewer=token_reviewer) as port:
        response = await get(port, "/metrics", authorization="Bearer prometheus-token")

    assert (response.status_code, "rendered for" in response.text) == (503, False)


async def test_the_port_serves_https_with_a_certificate() -> None:
    authority = trustme.CA()
    tls, theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.configure_trust(theirs)

    async with (
        serve_metrics("127.0.0.1", 0, render, tls=tls) as port,
        httpx.AsyncClient(verify=theirs) as client,
    ):
        response = await client.get(f"https://127.0.0.1:{port}/metrics")

    assert response.text.startswith("rendered for")
