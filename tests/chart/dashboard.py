"""The Grafana dashboard of the chart, built with Grafana's own types; `make generate` writes it into the chart."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as options
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
    """The dashboard as JSON in Grafana's format."""
    builder = (
        dashboard.Dashboard("vaultsync")
        .uid("vaultsync")
        .description("Sync of Azure Key Vault secrets into Kubernetes Secrets.")
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
    """The queries of each panel, by its title."""
    panels = json.loads(dashboard_json())["panels"]
    return {panel["title"]: [target["expr"] for target in panel["targets"]] for panel in panels if "targets" in panel}


def _now() -> Iterable[Panel]:
    """Six numbers; green is good."""
    yield _number(
        "In sync",
        'sum(vaultsync_vaultsecrets{reason="Synced"})',
        "VaultSecrets whose Secret holds what the vault holds.",
    )
    yield _number(
        "Not in sync",
        'sum(vaultsync_vaultsecrets{reason!~"Synced|Suspended"})',
        "VaultSecrets that fail, or wait for their first reconcile. The table below lists those that fail.",
        bad_from=1,
    )
    yield _number("Stale", "sum(vaultsync_vaultsecret_stale)", "Not confirmed for three refresh intervals.", bad_from=1)
    yield _number(
        "Expire within two weeks",
        f"count({_EXPIRY} - time() < 14 * 86400) or vector(0)",
        "Keys whose secret in the vault has an expiry date that is near or has passed.",
        bad_from=1,
    )
    yield _number(
        "Vaults that cannot be polled",
        "count(min by (vault) (vaultsync_vault_up) == 0) or vector(0)",
        "As of the last poll.",
        bad_from=1,
    )
    yield _number(
        "Shards without a leader",
        "max(vaultsync_shards) - sum(vaultsync_shards_held)",
        "Namespaces of these shards are not synced. For some seconds after the loss of a leader there may be one.",
        bad_from=1,
    )


def _vault_secrets() -> Iterable[Panel]:
    yield _list(
        "Failing",
        "max by (namespace, name, reason, vault) (vaultsync_vaultsecret_failing)",
        ["namespace", "name", "reason", "vault"],
        "VaultSecrets that are not in sync, and why. `kubectl describe` shows what to change.",
    )
    yield _list(
        "Expiring next",
        f"sort({_EXPIRY} - time())",
        ["namespace", "name", "key", "Value"],
        "Time until expiry, for secrets with an expiry date in the vault.",
        unit="s",
    )
    yield _lines(
        "By reason",
        [("sum by (reason) (vaultsync_vaultsecrets) > 0", "{{reason}}")],
        "The reasons of the Ready conditions.",
    )
    yield _lines(
        "Oldest confirmation",
        [("max(time() - vaultsync_vaultsecret_last_success_timestamp_seconds)", "oldest")],
        "Time since the least recently confirmed target was known to hold what the vault holds.",
        unit="s",
    )


def _changes() -> Iterable[Panel]:
    yield _lines(
        "Secrets written",
        [("sum by (change) (increase(vaultsync_targets_written_total[$__rate_interval]))", "{{change}}")],
        "Healed: changed or deleted by other writers, and restored.",
        span=_THIRD,
    )
    yield _lines(
        "Rotation latency",
        _quantiles("vaultsync_rotation_latency_seconds"),
        "From a new version in the vault to the Secret. Up to the refresh interval by design.",
        unit="s",
        span=_THIRD,
    )
    yield _lines(
        "Late rotations",
        [("sum by (vault) (increase(vaultsync_rotations_late_total[$__rate_interval]))", "{{vault}}")],
        "Those that took more than three refresh intervals.",
        span=_THIRD,
    )
    yield _lines(
        "Restarts",
        [
            ("sum by (kind, result) (increase(vaultsync_restarts_total[$__rate_interval]))", "{{kind}} {{result}}"),
            ("sum(vaultsync_restarts_failing) or vector(0)", "failing now"),
        ],
        "Workloads that VaultSecrets name in restart. If one failed, its pods keep using the old content.",
        span=_THIRD,
    )


def _vaults() -> Iterable[Panel]:
    yield _lines(
        "Up",
        [
            ("min by (vault) (vaultsync_vault_up)", "{{vault}}"),
            ("max by (vault) (vaultsync_vault_deletion_brake)", "{{vault}}: deletion guard"),
        ],
        "Whether the last poll succeeded, and whether the deletion guard blocks deletions.",
    )
    yield _lines(
        "Time since the last poll",
        [("time() - min by (vault) (vaultsync_vault_last_poll_timestamp_seconds)", "{{vault}}")],
        "Since the start of the last successful one.",
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
        "By operation and response status.",
        unit="reqps",
    )
    yield _lines(
        "Duration of calls",
        _quantiles("vaultsync_vault_request_duration_seconds"),
        "Without the wait for the rate limit.",
        unit="s",
    )
    yield _lines(
        "Calls of a poll",
        [("sum by (vault) (vaultsync_poll_requests)", "{{vault}}")],
        "Some 25 secrets a call, old versions included. Leaders of several shards poll their vaults each.",
    )
    yield _lines(
        "Secrets listed",
        [("max by (vault) (vaultsync_vault_listed_secrets)", "{{vault}}")],
        "By the last complete listing.",
    )
    yield _lines(
        "Throttling",
        [
            ("sum by (vault) (rate(vaultsync_vault_throttled_seconds_total[$__rate_interval]))", "{{vault}} throttles"),
            (
                "sum by (vault) (rate(vaultsync_vault_budget_wait_seconds_total[$__rate_interval]))",
                "{{vault}}: own rate limit",
            ),
            ("max by (vault) (vaultsync_vault_breaker_open)", "{{vault}}: circuit breaker open"),
        ],
        "Seconds per second: the vault throttles the operator, or calls wait for its own rate limit.",
    )
    yield _lines(
        "Logins",
        [("sum by (result) (increase(vaultsync_logins_total[$__rate_interval]))", "{{result}}")],
        "Token requests.",
    )


def _leaders() -> Iterable[Panel]:
    yield _lines(
        "Shards by leader",
        [("vaultsync_shards_held", _POD), ("max(vaultsync_shards)", "all")],
        "How many shards each pod leads. One that stands by leads none.",
        span=_THIRD,
    )
    yield _lines(
        "Leaders",
        [
            ("sum(vaultsync_leader)", "pods that lead"),
            ("count(vaultsync_build_info)", "pods"),
            ("max(vaultsync_election_conflict)", "another installation"),
        ],
        "Pods that lead, of all that run. Another installation that serves the same namespaces keeps them from it.",
        span=_THIRD,
    )
    yield _lines(
        "Changes of leaders",
        [("increase(vaultsync_leader_transitions_total[$__rate_interval])", f"{_POD} {{{{transition}}}}")],
        "Shards that a pod took or lost, as at an upgrade. Often without a reason: leaders cannot renew their Leases.",
        span=_THIRD,
    )


def _operator() -> Iterable[Panel]:
    yield _lines(
        "Namespaces denied",
        [("max by (namespace, resource) (vaultsync_namespace_denied) or vector(0)", "{{namespace}} {{resource}}")],
        "The operator lacks the permission to list and watch there.",
    )
    yield _lines(
        "Reconciles",
        [
            ("sum by (reason) (rate(vaultsync_reconciles_total[$__rate_interval])) > 0", "{{reason}}"),
            ("sum(rate(vaultsync_reconcile_errors_total[$__rate_interval]))", "unexpected exceptions"),
        ],
        "By reason.",
        unit="ops",
    )
    yield _lines(
        "Duration of reconciles",
        _quantiles("vaultsync_reconcile_duration_seconds"),
        "With their calls to the vault and the API server.",
        unit="s",
    )
    yield _lines(
        "Queue",
        [("sum(vaultsync_queue_depth)", "waiting")],
        "VaultSecrets in the work queue.",
    )
    yield _lines(
        "Wait in the queue",
        [("max(vaultsync_queue_oldest_seconds)", "longest now"), *_quantiles("vaultsync_queue_wait_seconds")],
        "Time in the work queue.",
        unit="s",
    )
    yield _lines(
        "Event loop lag",
        _quantiles("vaultsync_event_loop_lag_seconds"),
        "Often above half a second: too little CPU.",
        unit="s",
    )
    yield _lines(
        "CPU",
        [(_OURS.format("rate(process_cpu_seconds_total[$__rate_interval])"), "{{instance}}")],
        "CPU seconds per second.",
    )
    yield _lines(
        "Memory", [(_OURS.format("process_resident_memory_bytes"), "{{instance}}")], "Resident set.", unit="bytes"
    )
    yield _list("Version", "vaultsync_build_info", ["version", "instance"], "Of the running operator.")


_POD: Final = "{{pod}} {{instance}}"

_EXPIRY: Final = "max by (namespace, name, key) (vaultsync_vaultsecret_expiry_timestamp_seconds)"

_OURS: Final = "{} and on (job, instance) vaultsync_build_info"
"""Selects our process among all that Prometheus scrapes."""

ROWS: Final = {
    "Now": _now,
    "VaultSecrets": _vault_secrets,
    "Changes": _changes,
    "Vaults": _vaults,
    "Leaders": _leaders,
    "Operator": _operator,
}


def _quantiles(histogram: str) -> list[tuple[str, str]]:
    by_bucket = f"sum by (le) (rate({histogram}_bucket[$__rate_interval]))"
    return [(f"histogram_quantile({share}, {by_bucket})", label) for share, label in ((0.5, "half"), (0.99, "99 %"))]


def _number(title: str, query: str, description: str, *, bad_from: float | None = None) -> Panel:
    """One number, red from `bad_from` on."""
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
        .color_mode(options.BigValueColorMode.VALUE)
        .graph_mode(options.BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps))
        .with_target(prometheus.Dataquery().ref_id("A").expr(query).range())
    )


def _lines(
    title: str, queries: list[tuple[str, str]], description: str, *, unit: str = "short", span: int = _HALF
) -> Panel:
    """Lines over time; `queries` are pairs of query and legend."""
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
            common.VizLegendOptions()
            .display_mode(options.LegendDisplayMode.LIST)
            .placement(options.LegendPlacement.BOTTOM)
        )
    )
    for letter, (query, legend) in zip("ABCD", queries, strict=False):
        panel.with_target(prometheus.Dataquery().ref_id(letter).expr(query).legend_format(legend).range())
    return panel


def _list(title: str, query: str, columns: list[str], description: str, *, unit: str = "short") -> Panel:
    """A table of the current series of a query, one row each."""
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
