"""The Grafana dashboard of the chart, built with Grafana's own types; `make generate` writes it into the chart."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from tests.chart.renders import CHART

FILE: Final[Path] = CHART / "files" / "dashboard.json"

SOURCE: Final = model.DataSourceRef(type_val="prometheus", uid="${source}")

_HALF: Final = 12
_THIRD: Final = 8
"""Of the grid's 24 columns."""

_BAD: Final = "red"
_GOOD: Final = "green"

Panel = Builder[model.Panel]


def dashboard_json() -> str:
    """The dashboard, as Grafana reads it."""
    builder = (
        dashboard.Dashboard("vaultsync")
        .uid("vaultsync")
        .description("How Key Vault secrets fare on their way into Kubernetes Secrets.")
        .tags(["vaultsync"])
        .readonly()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .time("now-6h", "now")
        .refresh("1m")
        .with_variable(dashboard.DatasourceVariable("source").label("Data source").type("prometheus"))
    )
    for title, panels in ROWS.items():
        builder.with_row(dashboard.Row(title))
        for panel in panels():
            builder.with_panel(panel)
    built = builder.build()
    for number, each in enumerate(built.panels or [], start=1):
        each.id_val = number
    return JSONEncoder(sort_keys=True, indent=2).encode(built) + "\n"


def queries() -> dict[str, list[str]]:
    """What each panel asks for, by its title."""
    panels = json.loads(dashboard_json())["panels"]
    return {panel["title"]: [target["expr"] for target in panel["targets"]] for panel in panels if "targets" in panel}


def _now() -> Iterable[Panel]:
    """Six numbers that should be green."""
    yield _number(
        "In sync", 'sum(vaultsync_vaultsecrets{reason="Synced"})', "VaultSecrets whose Secret is as it should be."
    )
    yield _number(
        "Not in sync",
        'sum(vaultsync_vaultsecrets{reason!~"Synced|Suspended"})',
        "VaultSecrets that fail, or wait for their first turn. The table below has those that fail.",
        bad_from=1,
    )
    yield _number(
        "Stale", "sum(vaultsync_vaultsecret_stale)", "Nobody has confirmed these for three intervals.", bad_from=1
    )
    yield _number(
        "Expire within two weeks",
        "count(vaultsync_vaultsecret_expiry_timestamp_seconds - time() < 14 * 86400) or vector(0)",
        "Keys whose secret in the vault has an expiry date that is near or has passed.",
        bad_from=1,
    )
    yield _number(
        "Vaults that cannot be polled", "count(vaultsync_vault_up == 0) or vector(0)", "By their last poll.", bad_from=1
    )
    yield _number("Operators", "count(vaultsync_build_info)", "There should be one.", bad_from=2)


def _vault_secrets() -> Iterable[Panel]:
    yield _list(
        "Failing",
        "vaultsync_vaultsecret_failing",
        ["namespace", "name", "reason", "vault"],
        "Which VaultSecrets are not in sync, and why. `kubectl describe` tells what to change.",
    )
    yield _list(
        "Expiring next",
        "sort(vaultsync_vaultsecret_expiry_timestamp_seconds - time())",
        ["namespace", "name", "key", "Value"],
        "The time until secrets expire that have a date in the vault.",
        unit="s",
    )
    yield _lines(
        "By reason",
        [("sum by (reason) (vaultsync_vaultsecrets) > 0", "{{reason}}")],
        "The reasons of the Ready conditions.",
    )
    yield _lines(
        "Oldest knowledge",
        [("max(time() - vaultsync_vaultsecret_last_success_timestamp_seconds)", "oldest")],
        "How long ago the target that was confirmed least lately was known to hold what the vault holds.",
        unit="s",
    )


def _changes() -> Iterable[Panel]:
    yield _lines(
        "Secrets written",
        [("sum by (change) (increase(vaultsync_targets_written_total[$__rate_interval]))", "{{change}}")],
        "Healed ones had been changed or deleted by others.",
        span=_THIRD,
    )
    yield _lines(
        "From the vault to the Secret",
        _quantiles("vaultsync_rotation_latency_seconds"),
        "How long a new version took. Up to the refresh interval by design.",
        unit="s",
        span=_THIRD,
    )
    yield _lines(
        "Restarts",
        [("sum by (kind, result) (increase(vaultsync_restarts_total[$__rate_interval]))", "{{kind}} {{result}}")],
        "Of workloads that VaultSecrets name. Where one failed, pods go on with what the Secret held before.",
        span=_THIRD,
    )


def _vaults() -> Iterable[Panel]:
    yield _lines(
        "Up",
        [("vaultsync_vault_up", "{{vault}}"), ("vaultsync_vault_deletion_brake", "{{vault}}: deletes nothing")],
        "Whether the last poll went well, and whether so many secrets have vanished that nothing is deleted.",
    )
    yield _lines(
        "Time since the last poll",
        [("time() - vaultsync_vault_last_poll_timestamp_seconds", "{{vault}}")],
        "Since the beginning of the last one that went well.",
        unit="s",
    )
    yield _lines(
        "Calls",
        [
            (
                "sum by (operation, status) (rate(vaultsync_vault_requests_total[$__rate_interval]))",
                "{{operation}} {{status}}",
            )
        ],
        "What vaults are asked, and what they answer.",
        unit="reqps",
    )
    yield _lines(
        "Duration of calls",
        _quantiles("vaultsync_vault_request_duration_seconds"),
        "Without waiting for their turn.",
        unit="s",
    )
    yield _lines(
        "Calls of a poll", [("vaultsync_poll_requests", "{{vault}}")], "Some 25 secrets a call, old versions counted."
    )
    yield _lines(
        "Secrets listed", [("vaultsync_vault_listed_secrets", "{{vault}}")], "What the last whole listing has found."
    )
    yield _lines(
        "Waiting",
        [
            ("rate(vaultsync_vault_throttled_seconds_total[$__rate_interval])", "{{vault}} throttles"),
            ("rate(vaultsync_vault_budget_wait_seconds_total[$__rate_interval])", "{{vault}}: our budget"),
            ("vaultsync_vault_breaker_open", "{{vault}}: left alone after failures"),
        ],
        "Seconds a second: the vault has us wait, or calls wait for our own budget.",
    )
    yield _lines(
        "Logins",
        [("sum by (result) (increase(vaultsync_logins_total[$__rate_interval]))", "{{result}}")],
        "Tokens that were asked for.",
    )


def _operator() -> Iterable[Panel]:
    yield _lines(
        "Reconciles",
        [("sum by (reason) (rate(vaultsync_reconciles_total[$__rate_interval])) > 0", "{{reason}}")],
        "By what came of them.",
        unit="ops",
    )
    yield _lines(
        "Duration of reconciles", _quantiles("vaultsync_reconcile_duration_seconds"), "With their calls.", unit="s"
    )
    yield _lines(
        "Queue",
        [("vaultsync_queue_depth", "waiting")],
        "VaultSecrets that wait for their turn.",
    )
    yield _lines(
        "Wait in the queue",
        [("vaultsync_queue_oldest_seconds", "longest now"), *_quantiles("vaultsync_queue_wait_seconds")],
        "How long they wait.",
        unit="s",
    )
    yield _lines(
        "Lag of the event loop",
        _quantiles("vaultsync_event_loop_lag_seconds"),
        "Above half a second often: too little processor time.",
        unit="s",
    )
    yield _lines(
        "Processor",
        [(_OURS.format("rate(process_cpu_seconds_total[$__rate_interval])"), "{{instance}}")],
        "Seconds a second.",
    )
    yield _lines(
        "Memory", [(_OURS.format("process_resident_memory_bytes"), "{{instance}}")], "Resident set.", unit="bytes"
    )
    yield _list("Version", "vaultsync_build_info", ["version", "instance"], "What runs.")


_OURS: Final = "{} and on (job, instance) vaultsync_build_info"
"""Of all processes that Prometheus knows, ours."""

ROWS: Final = {
    "Now": _now,
    "VaultSecrets": _vault_secrets,
    "Changes": _changes,
    "Vaults": _vaults,
    "Operator": _operator,
}


def _quantiles(histogram: str) -> list[tuple[str, str]]:
    by_bucket = f"sum by (le) (rate({histogram}_bucket[$__rate_interval]))"
    return [(f"histogram_quantile({share}, {by_bucket})", label) for share, label in ((0.5, "half"), (0.99, "99 %"))]


def _number(title: str, query: str, description: str, *, bad_from: float | None = None) -> Panel:
    """One number, red from a bound on."""
    steps = [model.Threshold(value=None, color=_GOOD)]
    if bad_from is not None:
        steps.append(model.Threshold(value=bad_from, color=_BAD))
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(4)
        .height(4)
        .color_mode(looks.BigValueColorMode.VALUE)
        .graph_mode(looks.BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps))
        .with_target(prometheus.Dataquery().ref_id("A").expr(query).range())
    )


def _lines(
    title: str, queries: list[tuple[str, str]], description: str, *, unit: str = "short", span: int = _HALF
) -> Panel:
    """Lines over time, each query with its legend."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(span)
        .height(7)
        .unit(unit)
        .min(0)
        .line_width(1)
        .fill_opacity(10)
        .legend(
            common.VizLegendOptions().display_mode(looks.LegendDisplayMode.LIST).placement(looks.LegendPlacement.BOTTOM)
        )
    )
    for letter, (query, legend) in zip("ABCD", queries, strict=False):
        panel.with_target(prometheus.Dataquery().ref_id(letter).expr(query).legend_format(legend).range())
    return panel


def _list(title: str, query: str, columns: list[str], description: str, *, unit: str = "short") -> Panel:
    """The series of a query as they are now, a line each."""
    only = model.DataTransformerConfig(id_val="filterFieldsByName", options={"include": {"names": columns}})
    return (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(_HALF)
        .height(7)
        .unit(unit)
        .with_transformation(only)
        .with_target(prometheus.Dataquery().ref_id("A").expr(query).instant().format(PromQueryFormat.TABLE))
    )
