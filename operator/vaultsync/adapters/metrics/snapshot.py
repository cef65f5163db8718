"""How things are at one moment, as Prometheus metrics; counts nothing over time, keeps nothing, names no VaultSecret.

Whatever is deleted is gone from the next scrape, since nobody remembers it here.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from vaultsync.api.v1alpha1 import Condition, VaultSecret
from vaultsync.errors import Reason
from vaultsync.status.conditions import READY, condition

PENDING = "Pending"
"""In the place of a reason: not looked at yet."""


@dataclass(frozen=True, slots=True)
class VaultState:
    """How it is with one vault; seconds are sums since the start."""

    up: bool | None = None
    """Whether the last poll went well; None before the first."""
    polled_at: datetime | None = None
    """When the last poll began that went well."""
    listed: int | None = None
    """How many secrets the last whole listing has found."""
    latched: bool = False
    """Whether so many secrets are gone that nothing is deleted."""
    broken: bool = False
    """Whether only a probe is let through to it."""
    throttled_seconds: float = 0.0
    waited_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class State:
    """How things are; nothing in it ever changes, so that another thread may read it."""

    vault_secrets: Collection[VaultSecret] = ()
    vaults: Mapping[str, VaultState] = field(default_factory=dict)
    queue_depth: int = 0
    queue_oldest: float = 0.0
    """Seconds."""


def families(state: State) -> Iterator[Metric]:
    """Write the state as metrics."""
    yield GaugeMetricFamily("vaultsync_queue_depth", "VaultSecrets that wait for their turn.", state.queue_depth)
    yield GaugeMetricFamily(
        "vaultsync_queue_oldest_seconds", "How long the longest waiting VaultSecret has waited.", state.queue_oldest
    )
    yield _by_reason(state.vault_secrets)
    yield from _of_vaults(state.vaults)


def _by_reason(vault_secrets: Iterable[VaultSecret]) -> Metric:
    counts = Counter(reason_of(vault_secret) for vault_secret in vault_secrets)
    metric = GaugeMetricFamily(
        "vaultsync_vaultsecrets", "VaultSecrets, by the reason of their Ready condition.", labels=["reason"]
    )
    for reason in (*Reason, PENDING):
        metric.add_metric([str(reason)], counts[reason])
    return metric


def _of_vaults(vaults: Mapping[str, VaultState]) -> Iterable[Metric]:
    up = GaugeMetricFamily("vaultsync_vault_up", "Whether the last poll of the vault went well.", labels=["vault"])
    polled_at = GaugeMetricFamily(
        "vaultsync_vault_last_poll_timestamp_seconds",
        "When the last poll of the vault began that went well.",
        labels=["vault"],
    )
    listed = GaugeMetricFamily(
        "vaultsync_vault_listed_secrets",
        "Secrets that the last whole listing of the vault has found.",
        labels=["vault"],
    )
    latched = GaugeMetricFamily(
        "vaultsync_vault_deletion_brake",
        "Whether most secrets of the vault have vanished together, so that nothing is deleted.",
        labels=["vault"],
    )
    broken = GaugeMetricFamily(
        "vaultsync_vault_breaker_open",
        "Whether the vault has failed so often that only a probe is let through now and then.",
        labels=["vault"],
    )
    throttled = CounterMetricFamily(
        "vaultsync_vault_throttled_seconds", "Time for which the vault has told us to wait.", labels=["vault"]
    )
    waited = CounterMetricFamily(
        "vaultsync_vault_budget_wait_seconds",
        "Time that calls to the vault have waited for room in vaultsync's own budget.",
        labels=["vault"],
    )
    for vault, state in vaults.items():
        if state.up is not None:
            up.add_metric([vault], state.up)
        if state.polled_at is not None:
            polled_at.add_metric([vault], state.polled_at.timestamp())
        if state.listed is not None:
            listed.add_metric([vault], state.listed)
        latched.add_metric([vault], state.latched)
        broken.add_metric([vault], state.broken)
        throttled.add_metric([vault], state.throttled_seconds)
        waited.add_metric([vault], state.waited_seconds)
    return up, polled_at, listed, latched, broken, throttled, waited


def reason_of(vault_secret: VaultSecret) -> str:
    """Give the reason of its Ready condition."""
    ready: Condition | None = condition(vault_secret.status, READY)
    return PENDING if ready is None else ready.reason
