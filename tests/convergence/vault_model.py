"""A model of the vault by the simplest rules; every change is also made in the vault."""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kvsecrets.testing import FakeVault

MARK = "MARKED"
"""Part of every value, so that leaked values can be searched for."""


@dataclass(slots=True)
class Version:
    """One version of a secret."""

    value: str
    created: int
    """The second in which it was set."""
    not_before: datetime | None
    expires: datetime | None
    enabled: bool = True


@dataclass(slots=True)
class Secret:
    """A secret by its versions, the newest last; since when it is deleted, if it is, and whether it is purged."""

    versions: list[Version] = field(default_factory=list)
    deleted: datetime | None = None
    purged: bool = False

    @property
    def newest(self) -> Version:
        return self.versions[-1]

    @property
    def previous(self) -> set[str]:
        """The possible values of the version before the newest: those of one second have no order."""
        older = [version for version in self.versions[:-1] if version.enabled]
        return {version.value for version in older if version.created == max(other.created for other in older)}


class VaultModel:
    """The vault and its model. Changes that the vault would reject are skipped."""

    def __init__(self, vault: FakeVault) -> None:
        self.vault = vault
        self.secrets: dict[str, Secret] = {}
        self.ever_deleted: set[str] = set()
        self._values = 0

    def find(self, name: str) -> Secret | None:
        """Return the secret, if the vault has it."""
        secret = self.secrets.get(name)
        return secret if secret is not None and secret.deleted is None else None

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
        value = f"{MARK}-{self._values}"
        if name == "app-config":
            value = json.dumps({"color": value, "size": 7} if self._values % 3 else {"color": value})
        not_before = None if starts is None else (now + starts).replace(microsecond=0)
        expires = None if lasts is None else (now + lasts).replace(microsecond=0)
        self.vault.set(name, value, not_before=not_before, expires_on=expires)
        secret.versions.append(Version(value, int(now.timestamp()), not_before, expires))

    def enable(self, name: str, *, enabled: bool) -> None:
        if (secret := self.find(name)) is not None:
            secret.newest.enabled = enabled
            (self.vault.enable if enabled else self.vault.disable)(name)

    def delete(self, name: str, now: datetime) -> None:
        if (secret := self.find(name)) is not None:
            secret.deleted = now
            self.ever_deleted.add(name)
            self.vault.delete(name)

    def recover(self, name: str) -> None:
        secret = self.secrets.get(name)
        if secret is not None and secret.deleted is not None and not secret.purged:
            secret.deleted = None
            self.vault.recover(name)

    def purge(self, name: str) -> None:
        secret = self.secrets.get(name)
        if secret is not None and secret.deleted is not None and not secret.purged:
            secret.purged = True
            self.vault.purge(name)
