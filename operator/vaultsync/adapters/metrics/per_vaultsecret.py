"""The metrics of each VaultSecret by its name, rendered as text; keeps nothing.

Only the number of these series grows with the number of VaultSecrets. prometheus-client would create several objects
for each: with ten thousand that takes four times as long, and garbage collection pauses the process to traverse them.
Gauges are the same in Prometheus' text format and in OpenMetrics.
https://github.com/prometheus/docs/blob/main/docs/instrumenting/exposition_formats.md
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from vaultsync.adapters.metrics.snapshot import PENDING, Snapshot, reason_of
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.errors import Reason
from vaultsync.status.conditions import STALE, condition
from vaultsync.status.freshness import last_success

MAX_SERIES: Final = 50_000
"""Series for one namespace: some ten thousand VaultSecrets of one key. What exceeds it is counted, and left out."""


@dataclass(frozen=True, slots=True)
class _Gauge:
    """One metric and its samples."""

    name: str
    help: str
    lines: list[str] = field(default_factory=list)

    def add(self, labels: str, value: float) -> None:
        self.lines.append(f"{self.name}{{{labels}}} {value!r}\n")

    def text(self) -> Iterator[str]:
        yield f"# HELP {self.name} {self.help}\n# TYPE {self.name} gauge\n"
        yield from self.lines


class _Gauges:
    """All metrics of VaultSecrets."""

    def __init__(self, most: int) -> None:
        """`most` is the limit of series of a namespace."""
        self._most = most
        self._ready = _Gauge(
            "vaultsync_vaultsecret_ready", "Whether the VaultSecret is in sync; absent while it is suspended."
        )
        self._failing = _Gauge(
            "vaultsync_vaultsecret_failing", "Why the VaultSecret is not in sync; absent while it is."
        )
        self._success = _Gauge(
            "vaultsync_vaultsecret_last_success_timestamp_seconds",
            "When the target was last confirmed to hold what the vault holds.",
        )
        self._stale = _Gauge(
            "vaultsync_vaultsecret_stale", "Whether that confirmation is older than three refresh intervals."
        )
        self._expiry = _Gauge(
            "vaultsync_vaultsecret_expiry_timestamp_seconds",
            "When the secret of a key, or the certificate in it, expires, if it does.",
        )

        self._left_out = _Gauge(
            "vaultsync_vaultsecret_series_left_out",
            "Series of VaultSecrets of a namespace that are left out, since it has too many; absent if none are.",
        )
        self._series: Counter[str] = Counter()
        self._excess: Counter[str] = Counter()

    def add(self, vault_secret: VaultSecret, polled_at: datetime | None) -> None:
        """Add a VaultSecret, all or nothing of it; `polled_at` is the start of its vault's last successful poll."""
        samples, namespace = list(self._samples(vault_secret, polled_at)), vault_secret.key.namespace
        if self._series[namespace] + len(samples) > self._most:
            self._excess[namespace] += len(samples)
            return
        self._series[namespace] += len(samples)
        for gauge, labels, value in samples:
            gauge.add(labels, value)

    def _samples(self, vault_secret: VaultSecret, polled_at: datetime | None) -> Iterator[tuple[_Gauge, str, float]]:
        labels = f"{_label('name', vault_secret.key.name)},{_label('namespace', vault_secret.key.namespace)}"
        last = last_success(vault_secret.status, polled_at)
        if not vault_secret.spec.suspend:
            reason = reason_of(vault_secret)
            yield self._ready, labels, int(reason == Reason.SYNCED)
            if reason not in {Reason.SYNCED, PENDING}:
                why = f"{_label('reason', reason)},{_label('vault', vault_secret.spec.vault_url)}"
                yield self._failing, f"{labels},{why}", 1
            stale = condition(vault_secret.status, STALE)
            yield self._stale, labels, int(stale is not None and stale.status == "True")
        if last is not None:
            yield self._success, labels, last.timestamp()
        for entry in vault_secret.status.entries:
            if (expires := entry.first_expiry) is not None:
                yield self._expiry, f"{_label('key', entry.key)},{labels}", expires.timestamp()

    def text(self) -> Iterator[str]:
        for namespace, number in sorted(self._excess.items()):
            self._left_out.add(_label("namespace", namespace), number)
        for gauge in (self._ready, self._failing, self._success, self._stale, self._expiry, self._left_out):
            yield from gauge.text()


def exposition(state: Snapshot, *, most: int = MAX_SERIES) -> str:
    """Render the metrics of all VaultSecrets, with at most that many series of a namespace."""
    gauges = _Gauges(most)
    for vault_secret in state.vault_secrets:
        vault = state.vaults.get(vault_secret.spec.vault_url)
        gauges.add(vault_secret, None if vault is None else vault.polled_at)
    return "".join(gauges.text())


def _label(name: str, text: str) -> str:
    escaped = text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'{name}="{escaped}"'
