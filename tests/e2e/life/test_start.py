"""How the operator starts, and what it says where it cannot."""

import socket
from collections.abc import Mapping
from typing import Final

import pytest

from tests.e2e.life.scenes import LifeScene
from tests.e2e.operators import START_SECONDS, RunningOperator
from tests.e2e.scene import MARK, eventually
from tests.e2e.together import story

NO_CLUSTER: Final = {"KUBECONFIG": "", "KUBERNETES_SERVICE_HOST": ""}


@story
def test_a_running_operator_is_alive_ready_and_measured(scene: LifeScene) -> None:
    scene.put()
    with scene.operator() as running:
        scene.apply()
        scene.await_synced()

        assert running.says("/healthz").text == "ok\n"
        assert running.says("/readyz").text == "ready\n"
        assert running.metric("vaultsync_vaultsecrets") == 1
        assert running.metric("vaultsync_targets_written_total", change="created") == 1
        scene.tamper(stringData={"password": "guessed"})
        scene.await_told(Created=1, Tampered=1)
        assert running.metric("vaultsync_targets_written_total", change="healed") == 1
        assert running.metric("vaultsync_vault_requests_total", vault=scene.vault.url, status="200") >= 1
        assert running.metric("vaultsync_reconcile_duration_seconds_count") >= 1
        assert running.metric("vaultsync_queue_wait_seconds_count") >= 1
        assert running.metric("vaultsync_queue_depth") == 0
        assert running.metric("process_cpu_seconds_total") > 0


@story
def test_wrong_settings_are_all_named_and_none_is_repeated(scene: LifeScene) -> None:
    wrong = {
        "VAULTSYNC_CONCURRENCY": MARK,
        "VAULTSYNC_RECHECK_INTERVAL": "1 day",
        "VAULTSYNC_LISTEN": "8080",
        "VAULTSYNC_LOG_LEVEL": "loud",
        "VAULTSYNC_NAMESPACES": "shop",
    }

    with scene.operator(wait=False, environ=wrong) as running:
        assert running.wait() == 2

    said = scene.log.read_text()
    assert [name for name in wrong if name not in said] == []
    assert [text for text in (MARK, "loud") if text in said] == []
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        (NO_CLUSTER, "Neither KUBECONFIG is set nor is this a pod"),
        ({"KUBECONFIG": "/nowhere/kubeconfig"}, "The Kubernetes configuration cannot be used"),
    ],
    ids=["nothing tells where the cluster is", "the kubeconfig is not there"],
)
@story
def test_without_a_cluster_it_says_so_and_ends(scene: LifeScene, environ: Mapping[str, str], told: str) -> None:
    with scene.operator(wait=False, environ=environ) as running:
        assert running.wait() == 1

    (line,) = [line for line in running.lines() if line["message"] == "cannot start"]
    assert told in line["detail"]
    assert "Traceback" not in scene.log.read_text()


@story
def test_a_taken_port_is_named(scene: LifeScene) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with scene.operator(wait=False, environ={"VAULTSYNC_LISTEN": f"127.0.0.1:{port}"}) as running:
            assert running.wait() == 1

    (line,) = [line for line in running.lines() if line["message"] == "cannot start"]
    assert str(port) in line["detail"]
    assert "Traceback" not in scene.log.read_text()


def await_log(running: RunningOperator, why: str) -> None:
    """Return as soon as the operator gives that reason for waiting."""
    eventually(lambda: any(why in line.get("detail", "") for line in running.lines()), why, within=START_SECONDS)


@story
def test_an_api_server_that_is_away_at_the_start_is_waited_for(scene: LifeScene) -> None:
    value = scene.put()
    scene.apply()
    with scene.cable() as cable:
        cable.pull_out()
        with scene.operator(through=cable, wait=False) as running:
            await_log(running, "cannot be reached")
            assert running.says("/healthz").is_success
            assert not running.is_ready

            cable.plug_in()

            scene.await_content(password=value, within=45)
            assert running.is_ready


@pytest.mark.parametrize("lacking", ["secrets", "vaultsecrets"])
@story
def test_rights_that_are_lacking_are_named_and_waited_for(scene: LifeScene, lacking: str) -> None:
    value = scene.put()
    scene.apply()
    kubeconfig = scene.user([rule for rule in reversed(scene.rules) if rule["resources"] != [lacking]])

    with scene.operator(kubeconfig, wait=False) as running:
        await_log(running, f"the operator's service account may not list {lacking}")
        assert not running.is_ready

        scene.user()

        scene.await_content(password=value, within=45)
        assert running.is_ready
