"""A real Prometheus scrapes the operator: the metrics that the chart's dashboard and alerts query exist."""

import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from tests.chart.dashboard import FILE, concrete, queries
from tests.chart.renders import rule_groups
from tests.contract.test_metrics import of_code
from tests.controlplane.helm import Helm
from tests.controlplane.prometheus import Prometheus
from tests.controlplane.promtool import Promtool
from tests.e2e.harness import Harness, entry, eventually
from tests.e2e.kubernetes import KubernetesApi
from tests.e2e.operators import RunningOperator
from tests.e2e.recorder import ObjectRecorder
from tests.emulator.client import Emulator

WINDOW: Final = "1h"
"""In place of Grafana's `$__rate_interval` and `$__range`: all that was scraped, however slow this machine is."""


ONLY_IN_TROUBLE: Final = {
    "vaultsync_namespace_denied",
    "vaultsync_restarts_failing",
    "vaultsync_vaultsecret_series_left_out",
}
"""Metrics that have no series while namespaces are permitted and small, and restarts succeed; other tests read them."""


def rotate(harness: Harness) -> str:
    """Set the secret to a new value that expires within two weeks."""
    value, expires = harness.value(), datetime.now(UTC) + timedelta(days=7)
    harness.vault.set("db-password", value, expires_on=expires.isoformat())
    return value


@pytest.fixture(scope="module")
def harness(
    operator: RunningOperator, api: KubernetesApi, recorder: ObjectRecorder, emulator: Emulator
) -> Iterator[Harness]:
    """A VaultSecret that is in sync and expires soon, and one that fails."""
    harness = Harness.new(api, recorder, emulator)
    rotate(harness)
    harness.apply()
    harness.apply(entry(source="absent"), name="failing")
    harness.await_synced()
    harness.await_reason("SecretNotFound", name="failing")
    yield harness
    api.delete(f"/api/v1/namespaces/{harness.namespace}")


@pytest.fixture(scope="module")
def watched(
    operator: RunningOperator, harness: Harness, helm: Helm, prometheus: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """A Prometheus that has scraped before and after a rotation."""
    folder = tmp_path_factory.mktemp("prometheus")
    with Prometheus.start(prometheus, folder, target_port=operator.port, groups=rule_groups(helm)) as running:
        eventually(lambda: running.query(f"count_over_time(vaultsync_build_info[{WINDOW}]) > 1") != [], "two scrapes")
        harness.await_content(password=rotate(harness))
        rotated = f"increase(vaultsync_rotation_latency_seconds_count[{WINDOW}]) > 0"
        eventually(lambda: running.query(rotated) != [], "a scrape after the rotation")
        yield running


@pytest.mark.parametrize("panel", queries())
def test_no_panel_of_the_dashboard_is_empty(panel: str, watched: Prometheus) -> None:
    def unanswered() -> list[str]:
        return [query for query in queries()[panel] if numbers(watched, concrete(query, WINDOW, WINDOW)) == []]

    # A scrape that a busy machine has missed makes series stale until the next one.
    eventually(lambda: unanswered() == [], f"an answer to each query of {panel}")


@pytest.mark.parametrize(("label", "value"), [("namespace", "{0.namespace}"), ("vault", "{0.vault.url}")])
def test_the_dashboard_offers_the_namespaces_and_the_vaults(
    label: str, value: str, watched: Prometheus, harness: Harness
) -> None:
    variables = {one["name"]: one["query"] for one in json.loads(FILE.read_text())["templating"]["list"]}
    (series,) = re.findall(rf"label_values\((.*), {label}\)", variables[label]["query"])
    offered = f"group by ({label}) ({concrete(series, WINDOW, WINDOW)})"

    eventually(lambda: value.format(harness) in {one.labels.get(label) for one in watched.query(offered)}, offered)


def numbers(prometheus: Prometheus, query: str) -> list[float]:
    """The values of a query that are numbers."""
    return [series.value for series in prometheus.query(query) if not math.isnan(series.value)]


def test_history_has_the_points_of_the_range(watched: Prometheus) -> None:
    (last,) = watched.query("max_over_time(timestamp(vaultsync_build_info)[1h:1s])")

    # A scrape that a busy machine has missed ends a series, but not what a range of it holds.
    held = "last_over_time(vaultsync_build_info[1h])"
    (version,) = watched.history(held, start=last.value, end=last.value + 2, step=1)

    moments, values = zip(*version.points, strict=True)
    assert moments == pytest.approx([last.value, last.value + 1, last.value + 2], abs=0.01)
    assert values == (1, 1, 1)


def test_every_documented_metric_is_scraped(watched: Prometheus) -> None:
    def scraped() -> set[str]:
        names = {series.labels["__name__"] for series in watched.query('{__name__=~"vaultsync_.+"}')}
        return names | {name.removesuffix("_count") for name in names}

    expected = {row.name for row in of_code()} - ONLY_IN_TROUBLE
    eventually(lambda: expected <= scraped(), "all metrics in one scrape")


def test_the_alerts_are_evaluated_and_fire_for_a_failing_vaultsecret(watched: Prometheus, harness: Harness) -> None:
    def labels() -> list[dict[str, str]]:
        return [alert["labels"] for rule in watched.rules() for alert in rule.get("alerts", ())]

    about = {"alertname": "VaultsyncNotSynced", "namespace": harness.namespace, "reason": "SecretNotFound"}
    eventually(lambda: any(about.items() <= found.items() for found in labels()), "an alert")
    eventually(lambda: {rule["health"] for rule in watched.rules()} == {"ok"}, "no rule that cannot be evaluated")


def test_the_label_namespace_is_that_of_the_vaultsecret(watched: Prometheus, harness: Harness) -> None:
    query = f'vaultsync_vaultsecret_ready{{namespace="{harness.namespace}", name="db"}}'

    eventually(lambda: numbers(watched, query) == [1], query)


def test_a_deleted_vaultsecret_is_not_in_the_metrics(
    watched: Prometheus, harness: Harness, operator: RunningOperator
) -> None:
    harness.apply(name="short-lived")
    eventually(lambda: 'name="short-lived"' in operator.get("/metrics").text, "the new VaultSecret in the metrics")

    harness.delete("short-lived")

    eventually(lambda: "short-lived" not in operator.get("/metrics").text, "no trace of it in the metrics")


def test_promtool_accepts_a_scrape(operator: RunningOperator, promtool: Promtool) -> None:
    assert promtool("check", "metrics", stdin=operator.get("/metrics").text) == ""
