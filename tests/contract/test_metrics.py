"""docs/metrics.md lists exactly the metrics of the operator, and promtool accepts a scrape."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.builders import READ_AT, VAULT, a_status, a_status_entry, a_vault_secret
from tests.controlplane.promtool import Promtool, PromtoolFailed
from vaultsync.adapters.metrics import Recorder, Scrapes, Snapshot, VaultSnapshot
from vaultsync.adapters.metrics.per_vaultsecret import exposition
from vaultsync.adapters.metrics.recorder import GONE
from vaultsync.adapters.metrics.snapshot import PENDING, families
from vaultsync.api.v1alpha1 import StatusRestart, WorkloadKind
from vaultsync.errors import Reason
from vaultsync.status.outcome import Change

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGE: Final = DOCS / "metrics.md"

READER: Final = DOCS.parent / "operator" / "vaultsync" / "adapters" / "keyvault" / "clients.py"

SUFFIXES: Final = {"counter": "_total", "info": "_info"}
"""Suffixes of the text format by type."""


class Row(NamedTuple):
    """The row of one metric."""

    name: str
    type: str
    labels: frozenset[str]
    meaning: str


FAILED_RESTART: Final = StatusRestart(kind=WorkloadKind.DEPLOYMENT, name="web", at=READ_AT, problem="It was refused.")

STATE: Final = Snapshot(
    [
        a_vault_secret(status=a_status(a_status_entry(expires=READ_AT + timedelta(days=3)))),
        a_vault_secret(
            metadata={"name": "api"},
            status=a_status(reason="AccessDenied").model_copy(update={"restarts": (FAILED_RESTART,)}),
        ),
        a_vault_secret(metadata={"name": "excess"}),
    ],
    {VAULT: VaultSnapshot(up=True, polled_at=READ_AT, listed=40)},
    denied=[("shop", "secrets")],
)
"""A state with a sample of each metric."""


def recorder() -> Recorder:
    """A recorder with a sample of each metric."""
    ours = Recorder(CollectorRegistry(), version="1.2.3")
    ours.vault_call(VAULT, operation="get_secret", status="200", seconds=0.1)
    ours.polled(VAULT, mode="list", calls=1, seconds=0.1, failure=None)
    return ours


def of_code() -> set[Row]:
    """The metrics of the operator."""
    of_each = text_string_to_metric_families(exposition(STATE, most=8))
    return {_row(metric) for metric in [*recorder().registry.collect(), *families(STATE), *of_each]}


def _row(metric: Metric) -> Row:
    labels = {name for sample in metric.samples for name in sample.labels} - {"le"}
    name = metric.name + SUFFIXES.get(metric.type, "")
    return Row(name, metric.type.replace("info", "gauge"), frozenset(labels), metric.documentation)


def of_page() -> set[Row]:
    """The metrics of the page."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `vaultsync_")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {
        Row(name.strip("`"), kind, frozenset(re.findall(r"`(\w+)`", labels)), meaning)
        for name, kind, labels, meaning, _advice in rows
    }


def labels_of_page() -> dict[str, str]:
    """The labels that the page explains, and their descriptions."""
    return {
        label: text
        for names, text in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ([^|]+) \|$", PAGE.read_text(), re.MULTILINE)
        for label in re.findall(r"`(\w+)`", names)
    }


def test_the_page_lists_exactly_the_metrics_of_the_operator() -> None:
    assert of_page() == of_code()


def test_the_page_explains_every_label() -> None:
    used = {label for row in of_code() for label in row.labels} - {"version"}

    assert labels_of_page().keys() == used


def test_the_page_names_every_change_and_the_placeholders_of_a_reason() -> None:
    explained = labels_of_page()

    assert [change for change in Change if change is not Change.NONE and f"`{change}`" not in explained["change"]] == []
    for placeholder in (PENDING, GONE):
        assert f"`{placeholder}`" in explained["reason"]
    assert not {PENDING, GONE} & set(Reason)


def test_the_page_names_every_operation_that_calls_are_counted_by() -> None:
    calls = re.findall(r'_call\(\s*vault, [^,]+, "(\w+)"', READER.read_text())

    assert set(re.findall(r"`(\w+)`", labels_of_page()["operation"])) == set(calls)


def test_every_link_of_the_page_exists() -> None:
    links = re.findall(r"\]\((?!https)([^)#]+)\)", PAGE.read_text())

    assert links
    assert [link for link in links if not (DOCS / link).exists()] == []


async def test_promtool_accepts_a_scrape(promtool: Promtool) -> None:
    scrapes = Scrapes(recorder(), state=lambda: STATE, per_vault_secret=True)

    text, _ = await scrapes.render("text/plain")

    assert promtool("check", "metrics", stdin=text.decode()) == ""


def test_promtool_rejects_a_metric_without_help(promtool: Promtool) -> None:
    with pytest.raises(PromtoolFailed, match="no help text"):
        promtool("check", "metrics", stdin="vaultsync_apples 3\n")
