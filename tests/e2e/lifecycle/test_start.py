"""How the operator starts, and what it reports where it cannot."""

import socket
from collections.abc import Mapping
from typing import Final

import pytest

from tests.e2e.concurrency import scenario
from tests.e2e.harness import MARK, eventually
from tests.e2e.lifecycle.harness import OperatorHarness
from tests.e2e.operators import RunningOperator

NO_CLUSTER: Final = {"KUBECONFIG": "", "KUBERNETES_SERVICE_HOST": ""}


def error_of(running: RunningOperator) -> str:
    """The detail of the one error in the log; no line is a traceback."""
    (line,) = [line for line in running.lines() if line.get("level") in {"ERROR", "CRITICAL"}]
    assert "Traceback" not in running.log.read_text()
    detail: str = line["detail"]
    return detail


@scenario
def test_a_running_operator_answers_probes_and_serves_metrics(harness: OperatorHarness) -> None:
    harness.put()
    with harness.operator() as running:
        harness.apply()
        harness.await_synced()

        assert running.get("/healthz").text == "ok\n"
        assert running.get("/readyz").text == "ready\n"
        assert running.metric("vaultsync_vaultsecrets") == 1
        assert running.metric("vaultsync_targets_written_total", change="created") == 1
        harness.tamper(stringData={"password": "guessed"})
        harness.await_event_counts(Created=1, Tampered=1)
        assert running.metric("vaultsync_targets_written_total", change="healed") == 1
        assert running.metric("vaultsync_vault_requests_total", vault=harness.vault.url, status="200") >= 1
        assert running.metric("vaultsync_reconcile_duration_seconds_count") >= 1
        assert running.metric("vaultsync_queue_wait_seconds_count") >= 1
        eventually(lambda: running.metric("vaultsync_queue_depth") == 0, "an empty queue")
        assert running.metric("process_cpu_seconds_total") > 0


@scenario
def test_all_invalid_settings_are_named_and_no_value_is_repeated(harness: OperatorHarness) -> None:
    invalid = {
        "VAULTSYNC_CONCURRENCY": MARK,
        "VAULTSYNC_RECHECK_INTERVAL": "1 day",
        "VAULTSYNC_LISTEN": "8080",
        "VAULTSYNC_LOG_LEVEL": "loud",
        "VAULTSYNC_NAMESPACES": "shop",
    }

    with harness.operator(wait=False, environ=invalid) as running:
        assert running.wait() == 2

    logged = harness.log.read_text()
    assert [name for name in invalid if name not in logged] == []
    assert [text for text in (MARK, "loud") if text in logged] == []
    assert "Traceback" not in logged


@pytest.mark.parametrize(
    ("environ", "part"),
    [(NO_CLUSTER, "KUBECONFIG"), ({"KUBECONFIG": "/nowhere/kubeconfig"}, "")],
    ids=["neither a kubeconfig nor a pod", "a kubeconfig that does not exist"],
)
@scenario
def test_it_ends_with_an_error_where_no_cluster_is_configured(
    harness: OperatorHarness, environ: Mapping[str, str], part: str
) -> None:
    with harness.operator(wait=False, environ=environ) as running:
        assert running.wait() == 1

    assert part in error_of(running)


@scenario
def test_a_port_that_is_in_use_is_named(harness: OperatorHarness) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with harness.operator(wait=False, environ={"VAULTSYNC_LISTEN": f"127.0.0.1:{port}"}) as running:
            assert running.wait() == 1

    assert str(port) in error_of(running)


@scenario
def test_it_waits_for_an_api_server_that_is_unreachable_at_the_start(harness: OperatorHarness) -> None:
    value = harness.put()
    harness.apply()
    with harness.proxy() as proxy:
        proxy.disconnect()
        with harness.operator(through=proxy, wait=False) as running:
            eventually(lambda: running.ports is not None, "the port of the probes")
            eventually(lambda: any("detail" in line for line in running.lines()), "why it waits")
            assert running.get("/healthz").is_success
            assert not running.is_ready

            proxy.connect()

            harness.await_content(password=value)
            eventually(lambda: running.is_ready, "a ready operator")


@pytest.mark.parametrize("lacking", ["secrets", "vaultsecrets"])
@scenario
def test_it_names_a_missing_permission_and_waits_for_it(harness: OperatorHarness, lacking: str) -> None:
    value = harness.put()
    harness.apply()
    kubeconfig = harness.user([rule for rule in reversed(harness.rules) if rule["resources"] != [lacking]])

    with harness.operator(kubeconfig, wait=False) as running:
        eventually(
            lambda: any(f"list and watch {lacking}" in line.get("detail", "") for line in running.lines()),
            "the permission",
        )
        assert not running.is_ready

        harness.user()

        harness.await_content(password=value)
        eventually(lambda: running.is_ready, "a ready operator")
