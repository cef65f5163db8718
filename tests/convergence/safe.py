"""A vault and, beside it, a book of what everybody has done to it, kept by the simplest rules that there are."""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kvsecrets.testing import FakeVault

MARK = "MARKED"
"""Part of every value, so that it can be looked for where no value belongs."""


@dataclass(slots=True)
class Version:
    """One version of a secret."""

    value: str
    made: int
    """The second in which it was set."""
    not_before: datetime | None
    expires: datetime | None
    enabled: bool = True


@dataclass(slots=True)
class Secret:
    """A secret by its versions, the newest last; `gone` since when, if it is deleted, and whether for good."""

    versions: list[Version] = field(default_factory=list)
    gone: datetime | None = None
    purged: bool = False

    @property
    def newest(self) -> Version:
        return self.versions[-1]

    @property
    def before(self) -> set[str]:
        """The values that may be meant by the version before the newest: one second tells no order."""
        older = [version for version in self.versions[:-1] if version.enabled]
        return {version.value for version in older if version.made == max(other.made for other in older)}


class Safe:
    """The vault, and the book; `now` is the vault's clock. What cannot be done is left undone: see the answers."""

    def __init__(self, vault: FakeVault) -> None:
        self.vault = vault
        self.secrets: dict[str, Secret] = {}
        self._values = 0

    def there(self, name: str) -> Secret | None:
        """The secret, if the vault has it."""
        secret = self.secrets.get(name)
        return secret if secret is not None and secret.gone is None else None

    def why_absent(self, name: str) -> str:
        """The word for the absence of one that is not there."""
        secret = self.secrets.get(name)
        return "SecretNotFound" if secret is None or secret.purged else "SecretSoftDeleted"

    def set(
        self,
        name: str,
        now: datetime,
        *,
        starts: timedelta | None = None,
        lasts: timedelta | None = None,
        tags: dict[str, str] | None = None,
    ) -> None:
        secret = self.secrets.get(name)
        if secret is not None and secret.gone is not None and not secret.purged:
            return
        if secret is None or secret.purged:
            secret = self.secrets[name] = Secret()
        self._values += 1
        value = f"{MARK}-{self._values}"
        if name == "app-config":
            value = json.dumps({"color": value, "size": 7} if self._values % 3 else {"color": value})
        not_before = None if starts is None else (now + starts).replace(microsecond=0)
        expires = None if lasts is None else (now + lasts).replace(microsecond=0)
        self.vault.set(name, value, not_before=not_before, expires_on=expires, tags=tags)
        secret.versions.append(Version(value, int(now.timestamp()), not_before, expires))

    def enable(self, name: str, *, enabled: bool) -> None:
        if (secret := self.there(name)) is not None:
            secret.newest.enabled = enabled
            (self.vault.enable if enabled else self.vault.disable)(name)

    def delete(self, name: str, now: datetime) -> None:
        if (secret := self.there(name)) is not None:
            secret.gone = now
            self.vault.delete(name)

    def recover(self, name: str) -> None:
        secret = self.secrets.get(name)
        if secret is not None and secret.gone is not None and not secret.purged:
            secret.gone = None
            self.vault.recover(name)

    def purge(self, name: str) -> None:
        secret = self.secrets.get(name)
        if secret is not None and secret.gone is not None and not secret.purged:
            secret.purged = True
            self.vault.purge(name)
