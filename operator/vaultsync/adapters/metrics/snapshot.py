"""The state at the time of a scrape, as Prometheus metrics without VaultSecrets' names; keeps nothing.

What is deleted is therefore absent from the next scrape.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from vaultsync.api.v1alpha1 import Condition, VaultSecret
from vaultsync.errors import Reason
from vaultsync.status.conditions import READY, condition

ALL_NAMESPACES = "*"
"""The label in place of a namespace if all are watched; Prometheus would replace an empty one."""

_REASONS: Final = frozenset(map(str, Reason))

PENDING = "Pending"
"""The label in place of a reason before the first reconcile."""


@dataclass(frozen=True, slots=True)
class VaultSnapshot:
    """The state of one vault. Sums are since the start of the process."""

    up: bool | None = None
    """Whether the last poll succeeded; None before the first."""
    polled_at: datetime | None = None
    """When the last successful poll started; None before the first."""
    listed: int | None = None
    """The number of secrets in the last complete listing; None before the first."""
    deletion_guard: bool = False
    """Whether the deletion guard has tripped."""
    breaker_open: bool = False
    """Whether the circuit breaker is open."""
    throttled_seconds: float = 0.0
    """The sum of the waits that the vault requested, in seconds."""
    waited_seconds: float = 0.0
    """The sum of the waits for our own rate limit, in seconds."""

    def combined(self, other: "VaultSnapshot") -> "VaultSnapshot":
        """Return the worse of the states in which two grants see the same vault, and the sums of both.

        But the vault is up if it answers one of them: the identity of the other is its own problem, of which its
        VaultSecrets tell the reason, and a tenant must not hide that of others by it.
        """
        known = [one.up for one in (self, other) if one.up is not None]
        polled = [one.polled_at for one in (self, other) if one.polled_at is not None]
        listed = [one.listed for one in (self, other) if one.listed is not None]
        return VaultSnapshot(
            up=any(known) if known else None,
            polled_at=min(polled, default=None),
            listed=max(listed, default=None),
            deletion_guard=self.deletion_guard or other.deletion_guard,
            breaker_open=self.breaker_open or other.breaker_open,
            throttled_seconds=self.throttled_seconds + other.throttled_seconds,
            waited_seconds=self.waited_seconds + other.waited_seconds,
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of the operator. It is immutable, and rendered in another thread."""

    vault_secrets: Collection[VaultSecret] = ()
    vaults: Mapping[str, VaultSnapshot] = field(default_factory=dict)
    queue_depth: int = 0
    queue_oldest_seconds: float = 0.0
    denied: Collection[tuple[str, str]] = ()
    """The namespaces, or `ALL_NAMESPACES`, in which the operator may not list and watch a resource: both by name."""
    shards: int = 1
    """The number of shards."""
    held: int = 0
    """How many of them this replica leads."""
    is_in_conflict: bool = False
    """Whether another installation keeps this replica from leading."""


def families(state: Snapshot) -> Iterator[Metric]:
    """Render the state as metrics."""
    yield GaugeMetricFamily("vaultsync_queue_depth", "VaultSecrets that wait in the queue.", state.queue_depth)
    yield GaugeMetricFamily(
        "vaultsync_queue_oldest_seconds",
        "Time that the oldest VaultSecret in the queue has waited.",
        state.queue_oldest_seconds,
    )
    yield from _leadership(state)
    yield _denied(state.denied)
    yield _by_reason(state)
    yield _failing_restarts(state.vault_secrets)
    yield from _of_vaults(state.vaults)


def _leadership(state: Snapshot) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "vaultsync_shards", "Shards into which the namespaces are divided; each is to have a leader.", state.shards
    )
    yield GaugeMetricFamily("vaultsync_shards_held", "Shards that this replica leads.", state.held)
    yield GaugeMetricFamily(
        "vaultsync_leader",
        "Whether this replica leads in any shard; a replica that stands by does not.",
        state.held > 0,
    )
    yield GaugeMetricFamily(
        "vaultsync_election_conflict",
        "Whether another installation, or another number of shards, keeps this replica from leading.",
        state.is_in_conflict,
    )


def _denied(denied: Iterable[tuple[str, str]]) -> Metric:
    metric = GaugeMetricFamily(
        "vaultsync_namespace_denied",
        "Namespaces that are not synced, since the operator may not list and watch a resource there.",
        labels=["namespace", "resource"],
    )
    for namespace, resource in sorted(denied):
        metric.add_metric([namespace, resource], 1)
    return metric


def _by_reason(state: Snapshot) -> Metric:
    """Count VaultSecrets. A vault that no grant allows is not named: a tenant can name any number of them."""
    counts = Counter((one.metadata.namespace, one.spec.vault_url, reason_of(one)) for one in state.vault_secrets)
    named: Counter[tuple[str, str, str]] = Counter()
    for (namespace, vault, reason), count in counts.items():
        named[namespace, vault if vault in state.vaults else "", reason] += count
    metric = GaugeMetricFamily(
        "vaultsync_vaultsecrets",
        "VaultSecrets, by namespace, vault and the reason of their Ready condition.",
        labels=["namespace", "vault", "reason"],
    )
    for labels, count in named.items():
        metric.add_metric(labels, count)
    return metric


def _failing_restarts(vault_secrets: Iterable[VaultSecret]) -> Metric:
    counts = Counter(
        (one.metadata.namespace, restart.kind)
        for one in vault_secrets
        for restart in one.status.restarts
        if restart.problem is not None and not one.spec.suspend
    )
    metric = GaugeMetricFamily(
        "vaultsync_restarts_failing",
        "Workloads whose last restart failed and is retried, by namespace and kind; absent if there are none.",
        labels=["namespace", "kind"],
    )
    for labels, count in counts.items():
        metric.add_metric(labels, count)
    return metric


def _of_vaults(vaults: Mapping[str, VaultSnapshot]) -> Iterable[Metric]:
    up = GaugeMetricFamily(
        "vaultsync_vault_up",
        "Whether the last poll of the vault succeeded, with one of the identities that read it.",
        labels=["vault"],
    )
    polled_at = GaugeMetricFamily(
        "vaultsync_vault_last_poll_timestamp_seconds",
        "When the last successful poll of the vault started.",
        labels=["vault"],
    )
    listed = GaugeMetricFamily(
        "vaultsync_vault_listed_secrets",
        "Secrets in the last complete listing of the vault.",
        labels=["vault"],
    )
    deletion_guard = GaugeMetricFamily(
        "vaultsync_vault_deletion_brake",
        "Whether the deletion guard has tripped: most secrets of the vault are gone, and nothing is deleted.",
        labels=["vault"],
    )
    breaker_open = GaugeMetricFamily(
        "vaultsync_vault_breaker_open",
        "Whether the circuit breaker is open: the vault failed repeatedly, and only probes are sent.",
        labels=["vault"],
    )
    throttled = CounterMetricFamily(
        "vaultsync_vault_throttled_seconds", "Time that the vault asked clients to wait (HTTP 429).", labels=["vault"]
    )
    waited = CounterMetricFamily(
        "vaultsync_vault_budget_wait_seconds",
        "Time that calls to the vault waited for vaultsync's own rate limit.",
        labels=["vault"],
    )
    for vault, state in vaults.items():
        if state.up is not None:
            up.add_metric([vault], state.up)
        if state.polled_at is not None:
            polled_at.add_metric([vault], state.polled_at.timestamp())
        if state.listed is not None:
            listed.add_metric([vault], state.listed)
        deletion_guard.add_metric([vault], state.deletion_guard)
        breaker_open.add_metric([vault], state.breaker_open)
        throttled.add_metric([vault], state.throttled_seconds)
        waited.add_metric([vault], state.waited_seconds)
    return up, polled_at, listed, deletion_guard, breaker_open, throttled, waited


def reason_of(vault_secret: VaultSecret) -> str:
    """Return the reason of its Ready condition; `PENDING` if there is none, or none of ours: others may write it."""
    ready: Condition | None = condition(vault_secret.status, READY)
    return ready.reason if ready is not None and ready.reason in _REASONS else PENDING
