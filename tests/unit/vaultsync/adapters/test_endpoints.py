"""The operator's own port, asked over a real socket."""

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from vaultsync.adapters.endpoints import serve


async def ask(port: int, path: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        return await client.get(path, headers=headers)


async def test_metrics_are_those_of_the_registry() -> None:
    registry = CollectorRegistry()
    Counter("apples", "Apples.", registry=registry).inc(3)

    async with serve("127.0.0.1", 0, registry=registry, is_ready=lambda: True) as port:
        answer = await ask(port, "/metrics")

    assert answer.headers["content-type"].startswith("text/plain")
    assert "apples_total 3.0" in answer.text


async def test_metrics_come_as_openmetrics_when_asked_for() -> None:
    async with serve("127.0.0.1", 0, registry=CollectorRegistry(), is_ready=lambda: True) as port:
        answer = await ask(port, "/metrics", accept="application/openmetrics-text; version=1.0.0")

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
async def test_readiness_follows_the_operator_and_health_does_not(ready: bool, status: int) -> None:
    async with serve("127.0.0.1", 0, registry=CollectorRegistry(), is_ready=lambda: ready) as port:
        assert (await ask(port, "/readyz")).status_code == status
        assert (await ask(port, "/healthz")).status_code == 200


async def test_a_taken_port_is_an_error_that_says_so() -> None:
    async with serve("127.0.0.1", 0, registry=CollectorRegistry(), is_ready=lambda: True) as port:
        with pytest.raises(OSError, match=str(port)):
            async with serve("127.0.0.1", port, registry=CollectorRegistry(), is_ready=lambda: True):
                pass
