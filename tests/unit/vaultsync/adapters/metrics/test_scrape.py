"""Scrapes of a recorder and a state."""

import asyncio
import threading

import pytest
from prometheus_client import CollectorRegistry

from tests.builders import VAULT, a_status, a_vault_secret
from vaultsync.adapters.metrics import Recorder, Scrapes, Snapshot, VaultSnapshot

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class Harness:
    """A recorder, a state, and the threads that read it."""

    def __init__(self, *, per_vault_secret: bool = True) -> None:
        self.recorder = Recorder(CollectorRegistry(), version="1.2.3")
        self.state = Snapshot([a_vault_secret(status=a_status())], {VAULT: VaultSnapshot(up=True)})
        self.threads: list[int] = []
        self.scrapes = Scrapes(self.recorder, state=self.read_state, per_vault_secret=per_vault_secret)

    def read_state(self) -> Snapshot:
        self.threads.append(threading.get_ident())
        return self.state

    async def text(self, accept: str = "") -> str:
        body, _ = await self.scrapes.render(accept)
        return body.decode()


async def test_a_scrape_has_counters_and_the_state() -> None:
    text = await Harness().text()

    assert 'vaultsync_build_info{version="1.2.3"} 1.0\n' in text
    assert 'vaultsync_vaultsecret_ready{name="db",namespace="shop"} 1\n' in text


async def test_names_of_vaultsecrets_can_be_left_out() -> None:
    text = await Harness(per_vault_secret=False).text()

    assert "vaultsync_vaultsecret_" not in text
    assert 'name="' not in text


@pytest.mark.parametrize(
    ("accept", "content_type", "end"),
    [("", "text/plain; version=0.0.4; charset=utf-8", "\n"), (OPENMETRICS, OPENMETRICS, "# EOF\n")],
    ids=["Prometheus text", "OpenMetrics"],
)
async def test_the_format_is_that_of_the_accept_header(accept: str, content_type: str, end: str) -> None:
    body, kind = await Harness().scrapes.render(accept)

    assert kind.startswith(content_type)
    assert body.decode().endswith(end)
    assert body.count(b"# EOF") == end.count("# EOF")


@pytest.mark.parametrize(
    "accept",
    ["application/openmetrics-text; version=abc", "text/plain; version=x", "image/png"],
    ids=["OpenMetrics with an invalid version", "text with an invalid version", "an image"],
)
async def test_an_unknown_format_gets_prometheus_text(accept: str) -> None:
    _, kind = await Harness().scrapes.render(accept)

    assert kind.startswith("text/plain; version=0.0.4")


async def test_the_state_is_read_in_the_event_loop() -> None:
    harness = Harness()

    await harness.text()
    await harness.text()

    assert harness.threads == [threading.get_ident()] * 2


async def test_concurrent_scrapes_of_one_format_are_rendered_once() -> None:
    harness = Harness()

    first, second, other = await asyncio.gather(harness.text(), harness.text(), harness.text(OPENMETRICS))

    assert first == second != other
    assert len(harness.threads) == 2


async def test_a_client_that_leaves_does_not_interrupt_the_scrape_of_another() -> None:
    harness = Harness()
    leaving, staying = asyncio.create_task(harness.text()), asyncio.create_task(harness.text())
    await asyncio.sleep(0)

    leaving.cancel()

    assert "vaultsync_build_info" in await staying
    assert len(harness.threads) == 1


async def test_what_is_deleted_is_absent_from_the_next_scrape() -> None:
    harness = Harness()
    harness.recorder.vault_call(VAULT, operation="get_secret", status="200", seconds=0.1)
    harness.recorder.polled(VAULT, mode="list", calls=1, seconds=0.1, failure=None)
    assert VAULT in await harness.text()

    harness.state = Snapshot()
    text = await harness.text()

    assert VAULT not in text
    assert "shop" not in text
