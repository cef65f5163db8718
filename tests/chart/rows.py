"""The rows of the dashboard: its panels and their queries; places none."""

from collections.abc import Iterable
from typing import Final

from tests.chart.panels import (
    BAD,
    GOOD,
    NOTABLE,
    QUANTILES,
    THIRD,
    Panel,
    lines,
    number,
    quantiles,
    rows,
    states,
)

CLUSTERS: Final = 'cluster=~"$cluster"'
_VAULTS: Final = f'{CLUSTERS},vault=~"$vault"'
_NAMESPACES: Final = f'{CLUSTERS},namespace=~"$namespace"'
_SECRETS: Final = f'{_NAMESPACES},vault=~"$vault"'
_OF_POD: Final = "{{cluster}} {{pod}} {{instance}}"
_OF_VAULT: Final = "{{cluster}} {{vault}}"
_DAY: Final = 86_400
_EXPIRY: Final = (
    f"max by (cluster, namespace, name, key) (vaultsync_vaultsecret_expiry_timestamp_seconds{{{_NAMESPACES}}})"
)


_UP: Final = f"min by (cluster, vault) (vaultsync_vault_up{{{_VAULTS}}})"
_ROTATIONS: Final = "cluster_le:vaultsync_rotation_latency_seconds_bucket:rate5m"


def _now() -> Iterable[Panel]:
    """Numbers; red is broken, orange will be."""
    is_bad, is_notable = ((None, GOOD), (1, BAD)), ((None, GOOD), (1, NOTABLE))
    yield number(
        "In sync",
        f'sum(vaultsync_vaultsecrets{{{_SECRETS},reason="Synced"}}) or vector(0)',
        "VaultSecrets whose Secret holds what the vault holds.",
    )
    yield number(
        "Not in sync",
        f'sum(vaultsync_vaultsecrets{{{_SECRETS},reason!~"Synced|Suspended"}}) or vector(0)',
        "VaultSecrets that fail, or wait for their first reconcile. The table below lists those that fail.",
        steps=is_bad,
        runbook="VaultsyncNotSynced",
    )
    yield number(
        "Stale",
        f"sum(vaultsync_vaultsecret_stale{{{_NAMESPACES}}}) or vector(0)",
        "Not confirmed for three refresh intervals: pods may have values that are out of date. Of all vaults.",
        steps=is_bad,
        runbook="VaultsyncNotSynced",
    )
    yield number(
        "Expired",
        f"count({_EXPIRY} <= time()) or vector(0)",
        "Keys whose secret in the vault, or the certificate in it, has expired. Of all vaults.",
        steps=is_bad,
        runbook="VaultsyncExpired",
    )
    yield number(
        "Expire in two weeks",
        f"count(0 < {_EXPIRY} - time() < {14 * _DAY}) or vector(0)",
        "Keys whose secret in the vault, or the certificate in it, expires soon. Of all vaults.",
        steps=is_notable,
        runbook="VaultsyncExpiring",
    )
    yield number(
        "Vaults unreachable",
        f"count({_UP} == 0) or vector(0)",
        "Their last poll failed. Secrets stay as they are.",
        steps=is_bad,
        runbook="VaultsyncVaultUnreachable",
    )
    yield number(
        "Restarts failing",
        f"sum(vaultsync_restarts_failing{{{_NAMESPACES}}}) or vector(0)",
        "Workloads that could not be restarted after their Secret has changed. Their pods may use the former content.",
        steps=is_bad,
        runbook="VaultsyncRestartFailed",
    )
    yield number(
        "Leaderless shards",
        f"sum(max by (cluster, job) (vaultsync_shards{{{CLUSTERS}}})"
        f" - sum by (cluster, job) (vaultsync_shards_held{{{CLUSTERS}}}))",
        "Namespaces of these shards are not synced. For some seconds after the loss of a leader there may be one.",
        steps=is_bad,
        runbook="VaultsyncNoLeader",
    )


def _vault_secrets() -> Iterable[Panel]:
    yield rows(
        "Failing",
        f"max by (cluster, namespace, name, reason, vault) (vaultsync_vaultsecret_failing{{{_SECRETS}}})",
        {"cluster": "Cluster", "namespace": "Namespace", "name": "VaultSecret", "reason": "Reason", "vault": "Vault"},
        "VaultSecrets that are not in sync, and why. `kubectl describe` shows what to change.",
        runbook="VaultsyncNotSynced",
    )
    yield rows(
        "Expiring next",
        f"sort({_EXPIRY} - time())",
        {"cluster": "Cluster", "namespace": "Namespace", "name": "VaultSecret", "key": "Key", "Value": "Expires in"},
        "Time until expiry, for secrets with an expiry date in the vault.",
        unit="s",
        steps=((None, BAD), (3 * _DAY, NOTABLE), (14 * _DAY, GOOD)),
        runbook="VaultsyncExpiring",
    )
    yield lines(
        "Not in sync, by reason",
        [
            (
                f'sum by (reason) (vaultsync_vaultsecrets{{{_SECRETS},reason!~"Synced|Suspended"}})',
                "{{reason}}",
            )
        ],
        "The reasons of the Ready conditions.",
        stacked=True,
        runbook="VaultsyncNotSynced",
    )
    yield lines(
        "Oldest confirmation",
        [
            (
                f"max by (cluster) (time() - vaultsync_vaultsecret_last_success_timestamp_seconds{{{_NAMESPACES}}})",
                "{{cluster}} oldest",
            )
        ],
        "Time since the least recently confirmed target was known to hold what the vault holds.",
        unit="s",
    )


def _changes() -> Iterable[Panel]:
    yield lines(
        "Secrets written",
        [
            (
                f"sum by (change) (increase(vaultsync_targets_written_total{{{CLUSTERS}}}[$__rate_interval]))",
                "{{change}}",
            )
        ],
        "Healed: changed or deleted by other writers, and restored.",
        colors={"^healed$": NOTABLE, "^(deleted|removed)$": BAD, "^rotated$": "blue", "^created$": GOOD},
        runbook="VaultsyncTargetTampered",
    )
    yield lines(
        "Rotation latency",
        quantiles(f"{{{CLUSTERS}}}", "vaultsync_rotation_latency_seconds"),
        "From a new version in the vault to the Secret. Up to the refresh interval by design.",
        unit="s",
        colors=QUANTILES,
    )
    yield lines(
        "Late rotations",
        [(f"sum by (vault) (increase(vaultsync_rotations_late_total{{{_VAULTS}}}[$__rate_interval]))", "{{vault}}")],
        "Those that took more than three refresh intervals.",
        runbook="VaultsyncRotationsLate",
    )
    yield lines(
        "Restarts",
        [
            (
                f"sum by (kind, result) (increase(vaultsync_restarts_total{{{CLUSTERS}}}[$__rate_interval]))",
                "{{kind}} {{result}}",
            )
        ],
        "Workloads that VaultSecrets name in restart. If one failed, its pods keep using the old content.",
        colors={"failed$": BAD},
        runbook="VaultsyncRestartFailed",
    )


def _vaults() -> Iterable[Panel]:
    yield states(
        "Reachable",
        (
            f"{_UP} + 2 * max by (cluster, vault) (vaultsync_vault_deletion_brake{{{_VAULTS}}})",
            _OF_VAULT,
        ),
        "Whether the last poll succeeded, and whether the deletion guard blocks deletions.",
        meaning={
            0: ("unreachable", BAD),
            1: ("reachable", GOOD),
            2: ("unreachable, deletion guard on", "purple"),
            3: ("deletion guard on", NOTABLE),
        },
        runbook="VaultsyncVaultUnreachable",
    )
    yield lines(
        "Time since the last poll",
        [
            (
                f"time() - min by (cluster, vault) (vaultsync_vault_last_poll_timestamp_seconds{{{_VAULTS}}})",
                _OF_VAULT,
            )
        ],
        "Since the start of the last successful one.",
        unit="s",
    )
    yield lines(
        "Calls",
        [
            (
                f"sum by (operation, status) (rate(vaultsync_vault_requests_total{{{_VAULTS}}}[$__rate_interval]))",
                "{{operation}} {{status}}",
            )
        ],
        "By operation and response status. 404 is a secret that does not exist, 429 throttling.",
        unit="reqps",
        colors={" (401|403|429)$": NOTABLE, " (5..|[A-Za-z].*)$": BAD},
        runbook="VaultsyncVaultUnreachable",
    )
    yield lines(
        "Duration of calls",
        quantiles(f"{{{CLUSTERS}}}", "vaultsync_vault_request_duration_seconds"),
        "Without the wait for the rate limit. Of all vaults.",
        unit="s",
        colors=QUANTILES,
    )
    yield lines(
        "Calls of a poll",
        [(f"sum by (cluster, vault) (vaultsync_poll_requests{{{_VAULTS}}})", _OF_VAULT)],
        "Some 25 secrets a call, old versions included. Leaders of several shards poll their vaults each.",
    )
    yield lines(
        "Secrets listed",
        [(f"max by (cluster, vault) (vaultsync_vault_listed_secrets{{{_VAULTS}}})", _OF_VAULT)],
        "By the last complete listing.",
        runbook="VaultsyncDeletionBrake",
    )
    yield lines(
        "Throttling",
        [
            (
                f"sum by (vault) (rate(vaultsync_vault_throttled_seconds_total{{{_VAULTS}}}[$__rate_interval]))",
                "{{vault}} throttles",
            ),
            (
                f"sum by (vault) (rate(vaultsync_vault_budget_wait_seconds_total{{{_VAULTS}}}[$__rate_interval]))",
                "{{vault}}: own rate limit",
            ),
            (f"max by (vault) (vaultsync_vault_breaker_open{{{_VAULTS}}})", "{{vault}}: circuit breaker open"),
        ],
        "Seconds per second: the vault throttles the operator, or calls wait for its own rate limit.",
        runbook="VaultsyncVaultThrottled",
    )
    yield lines(
        "Logins",
        [(f"sum by (result) (increase(vaultsync_logins_total{{{CLUSTERS}}}[$__rate_interval]))", "{{result}}")],
        "Token requests.",
        colors={"^refused$": BAD, "^issued$": GOOD},
        runbook="VaultsyncLoginRefused",
    )


def _leaders() -> Iterable[Panel]:
    yield lines(
        "Shards by leader",
        [
            (f"vaultsync_shards_held{{{CLUSTERS}}}", _OF_POD),
            (f"max by (cluster) (vaultsync_shards{{{CLUSTERS}}})", "{{cluster}} all"),
        ],
        "How many shards each pod leads. One that stands by leads none.",
        span=THIRD,
        runbook="VaultsyncShardsUnbalanced",
    )
    yield lines(
        "Leaders",
        [
            (f"sum by (cluster) (vaultsync_leader{{{CLUSTERS}}})", "{{cluster}} pods that lead"),
            (f"count by (cluster) (vaultsync_build_info{{{CLUSTERS}}})", "{{cluster}} pods"),
            (f"max by (cluster) (vaultsync_election_conflict{{{CLUSTERS}}})", "{{cluster}} another installation"),
        ],
        "Pods that lead, of all that run. Another installation that serves the same namespaces keeps them from it.",
        span=THIRD,
        colors={"another installation$": BAD},
        runbook="VaultsyncElectionConflict",
    )
    yield lines(
        "Changes of leaders",
        [
            (
                f"increase(vaultsync_leader_transitions_total{{{CLUSTERS}}}[$__rate_interval])",
                f"{_OF_POD} {{{{transition}}}}",
            )
        ],
        "Shards that a pod took or lost, as at an upgrade. Often without a reason: leaders cannot renew their Leases.",
        span=THIRD,
        runbook="VaultsyncLeaderChanges",
    )


def _operator() -> Iterable[Panel]:
    yield lines(
        "Namespaces denied",
        [
            (
                f"count(group by (cluster, namespace) (vaultsync_namespace_denied{{{CLUSTERS}}})) or vector(0)",
                "namespaces",
            )
        ],
        "The operator lacks the permission to list and watch there. `vaultsync_namespace_denied` names them.",
        colors={"namespaces": BAD},
        runbook="VaultsyncNamespaceDenied",
    )
    yield lines(
        "Reconciles",
        [
            (f"sum by (reason) (rate(vaultsync_reconciles_total{{{CLUSTERS}}}[$__rate_interval])) > 0", "{{reason}}"),
            (
                f"sum(rate(vaultsync_reconcile_errors_total{{{CLUSTERS}}}[$__rate_interval]))",
                "unexpected exceptions",
            ),
            (
                f'sum(rate(vaultsync_status_writes_total{{{CLUSTERS},result="failed"}}[$__rate_interval]))',
                "statuses not written",
            ),
        ],
        "By reason.",
        unit="ops",
        colors={"^Synced$": GOOD, "^(InternalError|unexpected exceptions|statuses not written)$": BAD},
        runbook="VaultsyncInternalError",
    )
    yield lines(
        "Duration of reconciles",
        quantiles(f"{{{CLUSTERS}}}", "vaultsync_reconcile_duration_seconds"),
        "With their calls to the vault and the API server.",
        unit="s",
        colors=QUANTILES,
    )
    yield lines(
        "Queue",
        [(f"sum by (cluster) (vaultsync_queue_depth{{{CLUSTERS}}})", "{{cluster}} waiting")],
        "VaultSecrets in the work queue.",
    )
    yield lines(
        "Wait in the queue",
        [
            (f"max(vaultsync_queue_oldest_seconds{{{CLUSTERS}}})", "longest now"),
            *quantiles(f"{{{CLUSTERS}}}", "vaultsync_queue_wait_seconds"),
        ],
        "Time in the work queue. The alert is at five minutes.",
        unit="s",
        limit=300,
        colors=QUANTILES,
        runbook="VaultsyncQueueStuck",
    )
    yield lines(
        "Event loop lag",
        quantiles(f"{{{CLUSTERS}}}", "vaultsync_event_loop_lag_seconds"),
        "Often above half a second: too little CPU.",
        unit="s",
        limit=0.5,
        colors=QUANTILES,
    )
    yield lines("CPU", [(_ours("rate(process_cpu_seconds_total[$__rate_interval])"), _OF_POD)], "Cores in use.")
    yield lines("Memory", [(_ours("process_resident_memory_bytes"), _OF_POD)], "Resident set.", unit="bytes")
    yield rows(
        "Version",
        f"max by (cluster, version, instance, pod) (vaultsync_build_info{{{CLUSTERS}}})",
        {"cluster": "Cluster", "pod": "Pod", "instance": "Instance", "version": "Version"},
        "Of each running pod.",
    )


def _levels() -> Iterable[Panel]:
    """What a report says of weeks: choose the time range."""
    rule = "Over the time range that is shown, by the chart's recording rules (prometheusRule.enabled)."
    yield number(
        "Share of VaultSecrets in sync",
        f"min(avg_over_time(cluster:vaultsync_vaultsecrets_synced:ratio{{{CLUSTERS}}}[$__range]))",
        f"On average; of several clusters, the lowest. {rule}",
        unit="percentunit",
        steps=((None, BAD), (0.95, NOTABLE), (0.99, GOOD)),
        span=THIRD,
    )
    yield number(
        "Availability of the vault that fails most",
        f"min(avg_over_time(cluster_vault:vaultsync_vault_up:min{{{_VAULTS}}}[$__range]))",
        f"As polls see it. {rule}",
        unit="percentunit",
        steps=((None, BAD), (0.99, NOTABLE), (0.999, GOOD)),
        span=THIRD,
    )
    yield number(
        "Rotation latency, p99",
        f"histogram_quantile(0.99, sum by (le) (avg_over_time({_ROTATIONS}{{{CLUSTERS}}}[$__range])))",
        f"From a new version in the vault to the Secret. {rule}",
        unit="s",
        span=THIRD,
    )


def _ours(query: str) -> str:
    """Select our process among all that Prometheus scrapes."""
    return f"{query} and on (cluster, job, instance) vaultsync_build_info{{{CLUSTERS}}}"


ROWS: Final = {
    "Now": _now,
    "VaultSecrets": _vault_secrets,
    "Rotations and restarts": _changes,
    "Vaults": _vaults,
    "Leaders": _leaders,
    "Operator": _operator,
    "Service level": _levels,
}
