"""How the operator stops: with exit code 0, whatever it waits for, and without a target that is written in part."""

import signal
import socket
from time import monotonic
from typing import Final

import httpx
import pytest

from tests.e2e.concurrency import scenario
from tests.e2e.harness import PATIENCE, entry, eventually, resource_version
from tests.e2e.lifecycle.harness import OperatorHarness

WITHOUT_END: Final = 10 * PATIENCE
"""Seconds of latency that no test waits for."""

DRAIN_SECONDS: Final = 1.0
"""Seconds that open reconciles may take to finish when the operator stops."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@scenario
def test_it_stops_on_a_signal(harness: OperatorHarness, number: signal.Signals) -> None:
    harness.put()
    with harness.operator() as running:
        harness.apply()
        harness.await_synced()
        target = resource_version(harness.secret())

        running.signal(number)

        assert running.wait() == 0
    assert resource_version(harness.secret()) == target
    assert "Traceback" not in harness.log.read_text()


@scenario
def test_it_stops_while_a_vault_accepts_no_call_and_a_scraper_is_connected(harness: OperatorHarness) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        harness.operator() as running,
        httpx.Client(base_url=f"http://127.0.0.1:{running.port}", trust_env=False, timeout=PATIENCE) as prometheus,
    ):
        harness.apply(vaultUrl=f"https://localhost:{silent.getsockname()[1]}")
        caller, _ = silent.accept()
        with caller:
            assert prometheus.get("/metrics").is_success

            assert running.stop() == 0
    assert "Traceback" not in harness.log.read_text()


@scenario
def test_it_stops_while_the_api_server_is_unreachable(harness: OperatorHarness) -> None:
    with harness.proxy() as proxy, harness.operator(through=proxy) as running:
        proxy.disconnect()

        assert running.stop() == 0
    assert "Traceback" not in harness.log.read_text()


@scenario
def test_it_stops_while_it_waits_for_the_api_server_at_the_start(harness: OperatorHarness) -> None:
    with harness.proxy() as proxy:
        proxy.disconnect()
        with harness.operator(through=proxy, wait=False) as running:
            eventually(lambda: running.ports is not None, "the port of the probes")

            assert running.stop() == 0
    assert "Traceback" not in harness.log.read_text()


@scenario
def test_it_stops_while_a_vault_does_not_answer(harness: OperatorHarness) -> None:
    value = harness.put()
    with harness.operator() as running:
        harness.apply()
        harness.await_content(password=value)
        harness.vault.latency(WITHOUT_END)
        harness.put("api-token")
        begun = running.metric("vaultsync_queue_wait_seconds_count")
        harness.apply(entry(source="api-token"), name="api")
        eventually(lambda: running.metric("vaultsync_queue_wait_seconds_count") > begun, "an open reconcile")

        assert running.stop() == 0
    assert harness.secret("api") is None
    assert "Traceback" not in harness.log.read_text()


@scenario
def test_open_reconciles_finish_when_it_stops(harness: OperatorHarness) -> None:
    value = harness.put()
    with harness.operator() as running:
        harness.vault.latency(0.2)
        harness.apply()
        eventually(lambda: running.metric("vaultsync_queue_wait_seconds_count") > 0, "an open reconcile")

        began = monotonic()
        assert running.stop() == 0
        took = monotonic() - began
    if took >= DRAIN_SECONDS and harness.content() is None:
        return  # a machine as slow as that may not finish it, and then nothing is written
    assert harness.content() == {"password": value.encode()}
    assert harness.await_reason("Synced").status == "True"
