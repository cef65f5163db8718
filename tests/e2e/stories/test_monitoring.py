"""A real Prometheus looks at the operator: what the chart's dashboard and alerts ask for is there."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from tests.chart.dashboard import queries
from tests.contract.test_alerts import rules
from tests.contract.test_metrics import of_code
from tests.controlplane.helm import Helm
from tests.controlplane.prometheus import Prometheus
from tests.controlplane.promtool import Promtool
from tests.e2e.kubernetes import KubernetesApi
from tests.e2e.operators import RunningOperator
from tests.e2e.scene import NEXT_POLL, Scene, entry, eventually
from tests.emulator.client import Emulator

WINDOW: Final = "30s"
"""What Grafana would put in the place of `$__rate_interval`."""


def rotate(scene: Scene) -> str:
    """Set the secret to a new value that expires within two weeks."""
    value, expires = scene.value(), datetime.now(UTC) + timedelta(days=7)
    scene.vault.set("db-password", value, expires_on=expires.isoformat())
    return value


@pytest.fixture(scope="module")
def scene(operator: RunningOperator, api: KubernetesApi, emulator: Emulator) -> Iterator[Scene]:
    """A VaultSecret that is in sync and expires, one that fails, and a rotation that everybody waits for."""
    scene = Scene.new(api, emulator)
    rotate(scene)
    scene.apply()
    scene.apply(entry(source="absent"), name="failing")
    scene.await_synced()
    scene.await_reason("SecretNotFound", "failing")
    yield scene
    api.delete(f"/api/v1/namespaces/{scene.namespace}")


@pytest.fixture(scope="module")
def watched(
    operator: RunningOperator, scene: Scene, helm: Helm, prometheus: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """A Prometheus that has seen the rotation, and a scrape after it."""
    assert operator.port is not None
    folder = tmp_path_factory.mktemp("prometheus")
    with Prometheus.start(prometheus, folder, target_port=operator.port, rules=rules(helm)) as running:
        eventually(lambda: running.query("count_over_time(vaultsync_build_info[30s]) > 1") != [], "two scrapes")
        scene.await_content(password=rotate(scene), within=NEXT_POLL)
        rotated = f"increase(vaultsync_rotation_latency_seconds_count[{WINDOW}]) > 0"
        eventually(lambda: running.query(rotated) != [], "a scrape after the rotation")
        yield running


@pytest.mark.parametrize("panel", queries())
def test_no_panel_of_the_dashboard_is_empty(panel: str, watched: Prometheus) -> None:
    for query in queries()[panel]:
        values = [series.value for series in watched.query(query.replace("$__rate_interval", WINDOW))]

        assert [value for value in values if not math.isnan(value)] != [], query


def test_what_was_can_be_asked_for_too(watched: Prometheus) -> None:
    now = datetime.now(UTC).timestamp()

    (version,) = watched.history("vaultsync_build_info", start=now - 2, end=now, step=1)

    moments, values = zip(*version.points, strict=True)
    assert moments == pytest.approx([now - 2, now - 1, now], abs=0.01)
    assert values == (1, 1, 1)


def test_every_metric_of_the_page_is_scraped(watched: Prometheus) -> None:
    scraped = {series.labels["__name__"] for series in watched.query('{__name__=~"vaultsync_.+"}')}
    scraped |= {name.removesuffix("_count") for name in scraped}

    assert {row.name for row in of_code()} - scraped == set()


def test_the_alerts_are_evaluated_and_know_what_fails(watched: Prometheus, scene: Scene) -> None:
    found = watched.rules()

    assert [rule["lastError"] for rule in found if rule["health"] != "ok"] == []
    pending = [alert["annotations"]["summary"] for rule in found for alert in rule["alerts"]]
    assert f"VaultSecret {scene.namespace}/failing is not in sync" in pending


def test_a_label_of_a_vaultsecret_is_its_own_namespace(watched: Prometheus, scene: Scene) -> None:
    (ready,) = watched.query(f'vaultsync_vaultsecret_ready{{namespace="{scene.namespace}", name="db"}}')

    assert ready.value == 1


def test_what_is_deleted_is_gone_from_the_next_scrape(
    watched: Prometheus, scene: Scene, operator: RunningOperator
) -> None:
    scene.apply(name="short-lived")
    eventually(lambda: 'name="short-lived"' in operator.says("/metrics").text, "the new VaultSecret in the metrics")

    scene.delete("short-lived")

    eventually(lambda: "short-lived" not in operator.says("/metrics").text, "no trace of it in the metrics")


def test_prometheus_finds_no_fault_with_a_real_scrape(operator: RunningOperator, promtool: Promtool) -> None:
    assert promtool("check", "metrics", stdin=operator.says("/metrics").text) == ""
