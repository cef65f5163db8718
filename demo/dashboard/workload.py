"""The workload behind the picture of the dashboard: rotations, and one failure after another; observes nothing."""

import base64
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from demo.dashboard.record import Moment
from tests.e2e.kubernetes import KubernetesApi
from tests.emulator.client import EmulatedVault, Emulator
from tests.manifests import grant, manifest
from tests.workloads import a_workload
from vaultsync.api import API_VERSION, GRANT_PLURAL, PLURAL, ObjectKey
from vaultsync.api.v1alpha1 import WorkloadKind

VAULTS: Final = {"shop": (15, 130), "billing": (20, 60), "platform": (10, 30)}
"""For each vault the seconds between two polls, and the number of secrets that no VaultSecret uses."""

NAMES: Final = (
    "database", "cache", "queue", "smtp", "payments", "search", "sessions", "ldap", "storage", "webhooks", "signing",
    "analytics", "backups",
)  # fmt: skip

SECONDS: Final = 600.0
"""The duration."""

_WEB: Final = {"kind": WorkloadKind.DEPLOYMENT.value, "name": "web"}
_BEGIN: Final = 5.0

_EXPIRE_IN_DAYS: Final = {
    ("shop", "signing"): 9,
    ("billing", "payments"): 41,
    ("platform", "ldap"): 73,
    ("shop", "webhooks"): 120,
    ("platform", "backups"): 300,
}


@dataclass(frozen=True, slots=True)
class Action:
    """An action so many seconds after the beginning; one that is marked in the picture has a text."""

    at: float
    act: Callable[[], object]
    text: str = ""


@dataclass(frozen=True, slots=True)
class Workload:
    """Teams, each with a vault and a namespace of the same name, and the changes to their secrets."""

    api: KubernetesApi
    emulator: Emulator
    chance: random.Random
    _gone: set[tuple[str, str]] = field(default_factory=set)
    _throttled: dict[str, int] = field(default_factory=dict)
    """The number of calls of a vault when its next one was last throttled."""

    def prepare(self) -> None:
        """Fill the vaults with secrets that were changed long ago, and grant each team its own."""
        # Tokens are renewed five minutes before they expire: this makes it every two minutes.
        self.emulator.token_lifetime(420)
        long_ago = {"created_on": datetime.now(UTC) - timedelta(days=100)}
        long_ago["updated_on"] = long_ago["created_on"]
        for team, (_, others) in VAULTS.items():
            vault = self._vault(team)
            self.api.apply(f"/apis/{API_VERSION}/{GRANT_PLURAL}/{team}", grant(team, vault.url, team))
            unused = [{"name": f"other-{number:03}", "value": "unused", **long_ago} for number in range(others)]
            used = [{"name": name, "value": "first", **self._expiry(team, name), **long_ago} for name in NAMES]
            vault.set_many([*unused, *used])

    def actions(self) -> list[Action]:
        """All actions in order."""
        return sorted([*self._routine(), *self._failures()], key=lambda action: action.at)

    def _routine(self) -> Iterator[Action]:
        wanted = [(team, name) for name in NAMES for team in VAULTS]
        for number, (team, name) in enumerate(wanted):
            yield Action(_BEGIN + 1.5 * number, partial(self._apply, team, name))
        for at in range(75, int(SECONDS), 7):
            yield Action(at, self._rotate_any)
        for at in range(0, int(SECONDS), 10):
            yield Action(at, self._vary_latency)

    def _failures(self) -> Iterator[Action]:
        yield Action(0, self._run_web)
        billing, platform = self._vault("billing"), self._vault("platform")
        yield Action(_BEGIN, _nothing, f"{len(NAMES) * len(VAULTS)} VaultSecrets are applied, one after another")
        yield Action(130, partial(self._tamper, 6), "six Secrets are edited by hand and corrected")
        yield Action(190, _nothing, "the vault “billing” throttles for a minute")
        for at in range(190, 250, 3):
            yield Action(at, partial(self._throttle, billing))
        yield Action(300, platform.close_door, "the vault “platform” is unreachable for a minute")
        yield Action(360, platform.open_door)
        yield Action(410, partial(self._delete_in_vault, "shop", "analytics"), "a secret is deleted in its vault")
        yield Action(
            440, partial(self._apply, "billing", "reports"), "a VaultSecret names a secret that does not exist yet"
        )
        yield Action(490, partial(self._rotate, "billing", "reports"))
        yield Action(
            520, partial(self._rotate_all, "shop"), "all secrets of “shop” are rotated at once, and “web” is restarted"
        )
        yield Action(560, partial(self._delete_targets, 4), "four Secrets are deleted by hand and created again")

    def _apply(self, team: str, name: str) -> None:
        refresh, _ = VAULTS[team]
        spec = {
            "vaultUrl": self._vault(team).url,
            "refreshInterval": f"{refresh}s",
            "data": [{"key": "password", "secretName": name}],
            "restart": [{**_WEB, "minInterval": "30s"}] if team == "shop" else [],
        }
        path = f"/apis/{API_VERSION}/namespaces/{team}/{PLURAL}/{name}"
        self.api.apply(path, manifest(spec, name=name, namespace=team))

    def _rotate(self, team: str, name: str) -> None:
        self._vault(team).set(name, f"{self.chance.getrandbits(128):032x}", **self._expiry(team, name))

    def _rotate_any(self) -> None:
        self._rotate(*self.chance.choice(self._present()))

    def _rotate_all(self, team: str) -> None:
        for vault, name in self._present():
            if vault == team:
                self._rotate(team, name)

    def _tamper(self, count: int) -> None:
        for team, name in self.chance.sample(self._present(), count):
            guessed = base64.b64encode(b"guessed").decode()
            self.api.patch(_secret(team, name), {"data": {"password": guessed}})

    def _delete_targets(self, count: int) -> None:
        for team, name in self.chance.sample(self._present(), count):
            self.api.delete(_secret(team, name))

    def _delete_in_vault(self, team: str, name: str) -> None:
        self._gone.add((team, name))
        self._vault(team).delete(name)

    def _throttle(self, vault: EmulatedVault) -> None:
        """Throttle the next call, unless the last throttled one is not made yet."""
        calls = vault.calls().total()
        if self._throttled.get(vault.name) != calls:
            vault.throttle(retry_after=6)
            self._throttled[vault.name] = calls

    def _run_web(self) -> None:
        key = ObjectKey("shop", _WEB["name"])
        self.api.create("/apis/apps/v1/namespaces/shop/deployments", a_workload(WorkloadKind.DEPLOYMENT, key))

    def _vary_latency(self) -> None:
        for team in VAULTS:
            self._vault(team).latency(self.chance.uniform(0.015, 0.06))

    def _present(self) -> list[tuple[str, str]]:
        return [(team, name) for team in VAULTS for name in NAMES if (team, name) not in self._gone]

    def _vault(self, team: str) -> EmulatedVault:
        return self.emulator.vault(team)

    def _expiry(self, team: str, name: str) -> dict[str, str]:
        days = _EXPIRE_IN_DAYS.get((team, name))
        return {"expires_on": (datetime.now(UTC) + timedelta(days=days)).isoformat()} if days else {}


def run(
    actions: list[Action],
    *,
    clock: Callable[[], float],
    wait: Callable[[float], None],
    say: Callable[[float, str], None],
) -> list[Moment]:
    """Run each action at its time; returns the moments to mark.

    Args:
        actions: In order of time.
        clock: Seconds since the beginning.
        wait: Returns after so many seconds.
        say: Called for each action that has a text.
    """
    moments = []
    for action in actions:
        wait(max(0.0, action.at - clock()))
        action.act()
        if action.text:
            moments.append(Moment(action.at, action.text))
            say(action.at, action.text)
    return moments


def _nothing() -> None:
    """Do nothing, for a mark."""


def _secret(team: str, name: str) -> str:
    return f"/api/v1/namespaces/{team}/secrets/{name}"
