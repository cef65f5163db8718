"""How each VaultSecret fares at one moment, by its name, written as Prometheus' text; keeps nothing.

These are the only series whose number grows with that of VaultSecrets. prometheus-client would make some objects of
each: at ten thousand that takes four times as long, and every now and then Python's garbage collector stops everything
to look through them. Gauges read the same in Prometheus' text and in OpenMetrics.
https://github.com/prometheus/docs/blob/main/docs/instrumenting/exposition_formats.md
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from vaultsync.adapters.metrics.snapshot import PENDING, State, reason_of
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.errors import Reason
from vaultsync.status.conditions import STALE, condition
from vaultsync.status.freshness import last_success


@dataclass(frozen=True, slots=True)
class _Gauge:
    """One metric, and its lines."""

    name: str
    meaning: str
    lines: list[str] = field(default_factory=list)

    def add(self, labels: str, value: float) -> None:
        self.lines.append(f"{self.name}{{{labels}}} {value!r}\n")

    def text(self) -> Iterator[str]:
        yield f"# HELP {self.name} {self.meaning}\n# TYPE {self.name} gauge\n"
        yield from self.lines


class _Gauges:
    """All of them."""

    def __init__(self) -> None:
        self._ready = _Gauge(
            "vaultsync_vaultsecret_ready", "Whether the VaultSecret is in sync; none while it is suspended."
        )
        self._failing = _Gauge("vaultsync_vaultsecret_failing", "Why the VaultSecret is not in sync; none while it is.")
        self._success = _Gauge(
            "vaultsync_vaultsecret_last_success_timestamp_seconds",
            "When the target was last known to hold what the vault holds.",
        )
        self._stale = _Gauge("vaultsync_vaultsecret_stale", "Whether that is longer ago than three refresh intervals.")
        self._expiry = _Gauge(
            "vaultsync_vaultsecret_expiry_timestamp_seconds",
            "When the secret behind a key expires, if the vault has a date for it.",
        )

    def add(self, vault_secret: VaultSecret, polled_at: datetime | None) -> None:
        """Tell of one VaultSecret, whose vault's last successful poll began at that moment."""
        who = f"{_label('name', vault_secret.key.name)},{_label('namespace', vault_secret.key.namespace)}"
        last = last_success(vault_secret.status, polled_at)
        if not vault_secret.spec.suspend:
            reason = reason_of(vault_secret)
            self._ready.add(who, int(reason == Reason.SYNCED))
            if reason not in {Reason.SYNCED, PENDING}:
                why = f"{_label('reason', reason)},{_label('vault', vault_secret.spec.vault_url)}"
                self._failing.add(f"{who},{why}", 1)
            stale = condition(vault_secret.status, STALE)
            self._stale.add(who, int(stale is not None and stale.status == "True"))
        if last is not None:
            self._success.add(who, last.timestamp())
        for entry in vault_secret.status.entries:
            if entry.expires is not None:
                self._expiry.add(f"{_label('key', entry.key)},{who}", entry.expires.timestamp())

    def text(self) -> Iterator[str]:
        for gauge in (self._ready, self._failing, self._success, self._stale, self._expiry):
            yield from gauge.text()


def exposition(state: State) -> str:
    """Write what there is to say of all VaultSecrets."""
    gauges = _Gauges()
    for vault_secret in state.vault_secrets:
        vault = state.vaults.get(vault_secret.spec.vault_url)
        gauges.add(vault_secret, None if vault is None else vault.polled_at)
    return "".join(gauges.text())


def _label(name: str, text: str) -> str:
    escaped = text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'{name}="{escaped}"'
