"""The metrics of each VaultSecret by its name, rendered as text; keeps nothing.

Only the number of these series grows with the number of VaultSecrets. prometheus-client would create several objects
for each: with ten thousand that takes four times as long, and garbage collection pauses the process to traverse them.
Gauges are the same in Prometheus' text format and in OpenMetrics.
https://github.com/prometheus/docs/blob/main/docs/instrumenting/exposition_formats.md
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from vaultsync.adapters.metrics.snapshot import PENDING, Snapshot, reason_of
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.errors import Reason
from vaultsync.status.conditions import STALE, condition
from vaultsync.status.freshness import last_success


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

    def __init__(self) -> None:
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

    def add(self, vault_secret: VaultSecret, polled_at: datetime | None) -> None:
        """Add a VaultSecret; `polled_at` is the start of its vault's last successful poll."""
        labels = f"{_label('name', vault_secret.key.name)},{_label('namespace', vault_secret.key.namespace)}"
        last = last_success(vault_secret.status, polled_at)
        if not vault_secret.spec.suspend:
            reason = reason_of(vault_secret)
            self._ready.add(labels, int(reason == Reason.SYNCED))
            if reason not in {Reason.SYNCED, PENDING}:
                why = f"{_label('reason', reason)},{_label('vault', vault_secret.spec.vault_url)}"
                self._failing.add(f"{labels},{why}", 1)
            stale = condition(vault_secret.status, STALE)
            self._stale.add(labels, int(stale is not None and stale.status == "True"))
        if last is not None:
            self._success.add(labels, last.timestamp())
        for entry in vault_secret.status.entries:
            if (expires := entry.first_expiry) is not None:
                self._expiry.add(f"{_label('key', entry.key)},{labels}", expires.timestamp())

    def text(self) -> Iterator[str]:
        for gauge in (self._ready, self._failing, self._success, self._stale, self._expiry):
            yield from gauge.text()


def exposition(state: Snapshot) -> str:
    """Render the metrics of all VaultSecrets."""
    gauges = _Gauges()
    for vault_secret in state.vault_secrets:
        vault = state.vaults.get(vault_secret.spec.vault_url)
        gauges.add(vault_secret, None if vault is None else vault.polled_at)
    return "".join(gauges.text())


def _label(name: str, text: str) -> str:
    escaped = text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'{name}="{escaped}"'
