"""The operator's own port, asked over a real socket."""

import httpx
import pytest

from vaultsync.adapters.endpoints import serve


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
