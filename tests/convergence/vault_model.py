"""A model of the vault by the simplest rules; every change is also made in the vault."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from kvsecrets.testing import FakeVault
from tests.convergence.desired_spec import PINNED_NAME
from tests.vault_faults import Change

MARK = "MARKED"
"""Part of every value, so that leaked values can be searched for."""

_MARKED: Final = re.compile(rf"{MARK}-\d+")


@dataclass(slots=True)
class Version:
    """One version of a secret."""

    value: str
    created: int
    """The second in which it was set."""
    not_before: datetime | None
    expires: datetime | None
    id: str = ""
    enabled: bool = True

    @property
    def since(self) -> datetime:
        """When it became active."""
        created = datetime.fromtimestamp(self.created, UTC)
        return created if self.not_before is None else max(created, self.not_before)

    def is_active(self, now: datetime) -> bool:
        return self.not_before is None or self.not_before <= now


def _newest_of(versions: list[Version]) -> list[Version]:
    return [one for one in versions if one.created == max(other.created for other in versions)]


@dataclass(slots=True)
class Secret:
    """A secret by its versions, the newest last; since when it is deleted, if it is, and whether it is purged."""

    versions: list[Version] = field(default_factory=list)
    deleted: datetime | None = None
    purged: bool = False

    @property
    def newest(self) -> Version:
        return self.versions[-1]

    def active(self, now: datetime) -> list[Version]:
        """Return the version that is active: several if they were set in one second, which have no order."""
        return [self.newest] if self.newest.is_active(now) else _newest_of(self._usable(now))

    def previous(self, now: datetime) -> set[str]:
        """Return the possible values of the version before the active one: one that was active before it."""
        found = set()
        for active in self.active(now):
            older = [one for one in self._usable(active.since) if one is not active and one.created <= active.created]
            found |= {one.value for one in _newest_of(older)}
        return found

    def _usable(self, now: datetime) -> list[Version]:
        return [one for one in self.versions if one.enabled and one.is_active(now)]

    def version(self, version_id: str | None) -> Version:
        """Return the version with that id, by default the newest."""
        return self.newest if version_id is None else next(one for one in self.versions if one.id == version_id)


class VaultModel:
    """The vault and its model. Changes that the vault would reject are skipped.

    `on_change` is called after every change.
    """

    def __init__(self, vault: FakeVault) -> None:
        self.vault = vault
        self.on_change: Callable[[], None] = lambda: None
        self.secrets: dict[str, Secret] = {}
        self.ever_deleted: set[str] = set()
        self.history: list[Change] = []
        self._origins: dict[str, tuple[str, int]] = {}
        """Name and second of each value that was set."""
        self._values = 0

    def find(self, name: str) -> Secret | None:
        """Return the secret, if the vault has it."""
        secret = self.secrets.get(name)
        return secret if secret is not None and secret.deleted is None else None

    @property
    def lacks_field(self) -> bool:
        """Whether the object lacks the field that comes and goes."""
        return "size" not in json.loads(self.secrets["app-config"].newest.value)

    def created(self, text: str) -> int | None:
        """Return the second in which a value was set that is in this text, if there is one."""
        return self._origin(text)[1]

    def is_of(self, name: str, text: str) -> bool:
        """Return whether a text has a value that a secret had at some time."""
        return self._origin(text)[0] == name

    def _origin(self, text: str) -> tuple[str | None, int | None]:
        found = _MARKED.search(text)
        return (None, None) if found is None else self._origins[found[0]]

    def created_version(self, name: str, version_id: str) -> int | None:
        """Return the second in which a version of a secret was set, if the vault still has it."""
        secret = self.secrets.get(name)
        versions = [] if secret is None else secret.versions
        return next((version.created for version in versions if version.id == version_id), None)

    def reason_for_absence(self, name: str) -> str:
        """Return the condition's reason for a secret that the vault does not have."""
        secret = self.secrets.get(name)
        return "SecretNotFound" if secret is None or secret.purged else "SecretSoftDeleted"

    def set(self, name: str, now: datetime, *, starts: timedelta | None = None, lasts: timedelta | None = None) -> None:
        """Set a new version; `now` is the vault's clock."""
        secret = self.secrets.get(name)
        if secret is not None and secret.deleted is not None and not secret.purged:
            return
        if secret is None or secret.purged:
            secret = self.secrets[name] = Secret()
        self._values += 1
        value = mark = f"{MARK}-{self._values}"
        if name == "app-config":
            value = json.dumps({"color": mark, "size": 7} if self._values % 3 else {"color": mark})
        not_before = None if starts is None else (now + starts).replace(microsecond=0)
        expires = None if lasts is None else (now + lasts).replace(microsecond=0)
        created = self.vault.set(name, value, not_before=not_before, expires_on=expires)
        version = Version(value, int(now.timestamp()), not_before, expires, created.rpartition("/")[2])
        secret.versions.append(version)
        self._origins[mark] = (name, version.created)
        repeated = partial(FakeVault.set, name=name, value=value, not_before=not_before, expires_on=expires)
        self.history.append(Change(name, now, repeated, version.id, can_be_late=len(secret.versions) > 1))
        self.on_change()

    def enable(self, name: str, now: datetime, *, enabled: bool) -> None:
        if (secret := self.find(name)) is not None:
            secret.newest.enabled = enabled
            self._change(name, now, FakeVault.enable if enabled else FakeVault.disable)

    def delete(self, name: str, now: datetime) -> None:
        if (secret := self.find(name)) is not None:
            secret.deleted = now
            self.ever_deleted.add(name)
            self._change(name, now, FakeVault.delete)

    def recover(self, name: str, now: datetime) -> None:
        secret = self.secrets.get(name)
        if secret is not None and secret.deleted is not None and not secret.purged:
            secret.deleted = None
            self._change(name, now, FakeVault.recover)

    def purge(self, name: str, now: datetime) -> None:
        """Purge a deleted secret; one of which a version is pinned is kept."""
        if name == PINNED_NAME:
            return
        secret = self.secrets.get(name)
        if secret is not None and secret.deleted is not None and not secret.purged:
            secret.purged = True
            self._change(name, now, FakeVault.purge)

    def _change(self, name: str, now: datetime, change: Callable[[FakeVault, str], None]) -> None:
        self.history.append(Change(name, now, lambda vault: change(vault, name)))
        change(self.vault, name)
        self.on_change()
