"""How the operator stops: in time, with exit code 0, and with nothing half done."""

import signal
import socket

import httpx
import pytest

from tests.e2e.life.scenes import LifeScene
from tests.e2e.scene import entry, resource_version
from tests.e2e.together import story


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["Kubernetes", "a person"])
@story
def test_it_stops_when_asked_to(scene: LifeScene, number: signal.Signals) -> None:
    scene.put()
    with scene.operator() as running:
        scene.apply()
        scene.await_synced()
        target = resource_version(scene.secret())

        running.signal(number)

        assert running.wait() == 0
    assert resource_version(scene.secret()) == target
    assert "Traceback" not in scene.log.read_text()


@story
def test_it_stops_in_time_while_a_vault_takes_no_calls_and_somebody_scrapes(scene: LifeScene) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        scene.operator() as running,
        httpx.Client(base_url=f"http://127.0.0.1:{running.port}", trust_env=False) as prometheus,
    ):
        scene.apply(vaultUrl=f"https://localhost:{silent.getsockname()[1]}")
        caller, _ = silent.accept()
        with caller:
            assert prometheus.get("/metrics").is_success

            assert running.stop() == 0
    assert "Traceback" not in scene.log.read_text()


@story
def test_it_stops_while_the_api_server_is_away(scene: LifeScene) -> None:
    with scene.cable() as cable, scene.operator(through=cable) as running:
        cable.pull_out()

        assert running.stop() == 0
    assert "Traceback" not in scene.log.read_text()


@story
def test_it_stops_while_it_still_waits_for_the_api_server(scene: LifeScene) -> None:
    with scene.cable() as cable:
        cable.pull_out()
        with scene.operator(through=cable, wait=False) as running:
            while running.port is None:
                assert running.is_running

            assert running.stop() == 0
    assert "Traceback" not in scene.log.read_text()


@story
def test_it_stops_in_time_while_a_vault_takes_for_ever(scene: LifeScene) -> None:
    value = scene.put()
    with scene.operator() as running:
        scene.apply()
        scene.await_content(password=value)
        scene.vault.latency(60)
        scene.put("api-token")
        waited = running.metric("vaultsync_queue_wait_seconds_count")
        scene.apply(entry(source="api-token"), name="api")
        while running.metric("vaultsync_queue_wait_seconds_count") == waited:
            assert running.is_running

        assert running.stop() == 0
    assert scene.secret("api") is None
    assert "Traceback" not in scene.log.read_text()


@story
def test_what_has_begun_is_finished(scene: LifeScene) -> None:
    value = scene.put()
    with scene.operator() as running:
        scene.vault.latency(1.0)
        scene.apply()
        while not running.metric("vaultsync_queue_wait_seconds_count"):
            assert running.is_running

        assert running.stop() == 0
    assert scene.content() == {"password": value.encode()}
    assert scene.await_reason("Synced").status == "True"
