"""Scrapes of a state in memory."""

import asyncio
import threading

import pytest
from prometheus_client import CollectorRegistry

from tests.builders import VAULT, a_status, a_vault_secret
from vaultsync.adapters.metrics import Recorder, Scrapes, State, VaultState

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class Scene:
    """An operator's telemetry, its state, and the threads in which that was asked for."""

    def __init__(self, *, per_vault_secret: bool = True) -> None:
        self.recorder = Recorder(CollectorRegistry(), version="1.2.3")
        self.state = State([a_vault_secret(status=a_status())], {VAULT: VaultState(up=True)})
        self.threads: list[int] = []
        self.scrapes = Scrapes(self.recorder, state=self.look, per_vault_secret=per_vault_secret)

    def look(self) -> State:
        self.threads.append(threading.get_ident())
        return self.state

    async def text(self, accept: str = "") -> str:
        body, _ = await self.scrapes.render(accept)
        return body.decode()


async def test_a_scrape_tells_what_happened_and_how_things_are() -> None:
    text = await Scene().text()

    assert 'vaultsync_build_info{version="1.2.3"} 1.0\n' in text
    assert 'vaultsync_vaultsecret_ready{name="db",namespace="shop"} 1\n' in text


async def test_names_of_vault_secrets_are_left_out_when_the_settings_say_so() -> None:
    assert "shop" not in (await Scene(per_vault_secret=False).text()).replace(VAULT, "")


@pytest.mark.parametrize(
    ("accept", "content_type", "end"),
    [("", "text/plain; version=0.0.4; charset=utf-8", "\n"), (OPENMETRICS, OPENMETRICS, "# EOF\n")],
    ids=["Prometheus text", "OpenMetrics"],
)
async def test_the_format_is_the_one_that_was_asked_for(accept: str, content_type: str, end: str) -> None:
    body, kind = await Scene().scrapes.render(accept)

    assert kind.startswith(content_type)
    assert body.decode().endswith(end)
    assert body.count(b"# EOF") == end.count("# EOF")


@pytest.mark.parametrize(
    "accept",
    ["application/openmetrics-text; version=abc", "text/plain; version=x", "image/png"],
    ids=["OpenMetrics of no version", "text of no version", "a picture"],
)
async def test_who_asks_for_what_there_is_not_gets_prometheus_text(accept: str) -> None:
    _, kind = await Scene().scrapes.render(accept)

    assert kind.startswith("text/plain; version=0.0.4")


async def test_the_state_is_taken_within_the_loop() -> None:
    scene = Scene()

    await asyncio.gather(scene.text(), scene.text())

    assert scene.threads == [threading.get_ident()] * 2


async def test_what_is_deleted_is_gone_from_the_next_scrape() -> None:
    scene = Scene()
    scene.recorder.vault_call(VAULT, operation="get_secret", status="200", seconds=0.1)
    scene.recorder.poll(VAULT, mode="list", calls=1, seconds=0.1, failure=None)
    assert VAULT in await scene.text()

    scene.state = State()
    text = await scene.text()

    assert VAULT not in text
    assert "shop" not in text
