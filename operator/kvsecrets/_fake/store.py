"""What each operation makes of the secrets, and when it is refused; knows no HTTP and no permissions."""

import heapq
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from kvsecrets._fake import refusals
from kvsecrets._fake.bodies import Changes
from kvsecrets._fake.profile import Profile
from kvsecrets._fake.rows import Phase, Rows, SecretVersion, StoredSecret

_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")


class Store:
    """The secrets of one vault. Every method first lets time do its part: `now` finishes what is due by then."""

    def __init__(self, profile: Profile, new_version: Callable[[], str]) -> None:
        self.rows = Rows()
        self._profile = profile
        self._new_version = new_version
        self._due: list[tuple[datetime, str]] = []

    def settle(self, now: datetime) -> None:
        """Finish the deletions, recoveries and purges that are due."""
        while self._due and self._due[0][0] <= now:
            when, name = heapq.heappop(self._due)
            secret = self.rows.find(name)
            if secret is not None and secret.settles_at == when:
                self._finish(secret)

    def set(self, name: str, value: str, given: Changes, now: datetime, *, managed: bool = False) -> StoredSecret:
        """Add a version, and the secret if need be."""
        check_name(name)
        secret = self.rows.find(name)
        if secret is not None:
            _refuse_unless_settable(secret, managed=managed)
        stamp = int(now.timestamp())
        version = SecretVersion(id=self._new_version(), value=value, created=stamp, updated=stamp, managed=managed)
        version = given.applied_to(version)
        if secret is None:
            secret = StoredSecret(name, {version.id: version})
            self.rows.add(secret)
        else:
            secret.versions[version.id] = version
        return secret

    def live(self, name: str) -> StoredSecret:
        """Find a secret that is neither deleted nor on its way there or back."""
        check_name(name)
        secret = self.rows.find(name)
        if secret is None or secret.phase is not Phase.LIVE:
            raise refusals.not_found(name)
        return secret

    def version(self, name: str, version: str) -> tuple[StoredSecret, SecretVersion]:
        """Find one version of a live secret, or with an empty version its newest."""
        secret = self.live(name)
        if not version:
            return secret, secret.newest
        # [?] A version that is no 32 hex digits may be a 400 in the real service.
        found = secret.versions.get(version.lower())
        if found is None:
            raise refusals.not_found(name, version)
        return secret, found

    def update(self, name: str, version: str, given: Changes, now: datetime) -> tuple[StoredSecret, SecretVersion]:
        """Change attributes of a version; its value and its id stay."""
        secret, found = self.version(name, version)
        if found.managed:
            raise refusals.secret_managed("update")
        changed = given.applied_to(replace(found, updated=int(now.timestamp())))
        secret.versions[found.id] = changed
        return secret, changed

    def delete(self, name: str, now: datetime) -> StoredSecret:
        """Start a deletion; without soft-delete the secret is gone at once."""
        secret = self.live(name)
        if secret.newest.managed:
            raise refusals.secret_managed("delete")
        if not self._profile.soft_delete:
            self.rows.remove(secret)
            return secret
        secret.deleted_on = int(now.timestamp())
        secret.purge_on = secret.deleted_on + self._profile.recoverable_days * 86400
        self._enter(secret, Phase.DELETING, now)
        return secret

    def deleted(self, name: str) -> StoredSecret:
        """Find a secret whose deletion has finished."""
        check_name(name)
        secret = self.rows.find(name)
        if secret is None:
            raise refusals.not_found(name)
        if secret.phase is not Phase.DELETED:
            raise refusals.deleted_not_found(name)  # [?] for a live secret and for one being recovered
        return secret

    def recover(self, name: str, now: datetime) -> StoredSecret:
        """Start the way back of a deleted secret."""
        secret = self._deleted_and_settled(name)
        self._enter(secret, Phase.RECOVERING, now)
        return secret

    def purge(self, name: str, now: datetime) -> None:
        """Start the final removal of a deleted secret."""
        secret = self._deleted_and_settled(name)
        if self._profile.purge_protection:
            raise refusals.purge_protected(self._profile.name)
        self._enter(secret, Phase.PURGING, now)

    def restore(self, secret: StoredSecret) -> StoredSecret:
        """Put a backed-up secret in its place, with its versions, ids and dates."""
        if self.rows.find(secret.name) is not None:
            raise refusals.restore_conflict(f"{self._profile.url}/secrets/{secret.name}/{secret.newest.id}")
        self.rows.add(secret)
        return secret

    def _deleted_and_settled(self, name: str) -> StoredSecret:
        check_name(name)
        secret = self.rows.find(name)
        if secret is not None and secret.phase in (Phase.DELETING, Phase.PURGING):
            raise refusals.being_deleted()
        if secret is not None and secret.phase is Phase.RECOVERING:
            raise refusals.being_recovered()
        return self.deleted(name)

    def _enter(self, secret: StoredSecret, phase: Phase, now: datetime) -> None:
        secret.phase = phase
        self._settle_at(secret, now + self._profile.deletion_delay)
        self.settle(now)

    def _settle_at(self, secret: StoredSecret, when: datetime | None) -> None:
        secret.settles_at = when
        if when is not None:
            heapq.heappush(self._due, (when, secret.name))

    def _finish(self, secret: StoredSecret) -> None:
        match secret.phase:
            case Phase.DELETING:
                secret.phase = Phase.DELETED
                assert secret.settles_at is not None
                began = secret.settles_at - self._profile.deletion_delay
                self._settle_at(secret, began + timedelta(days=self._profile.recoverable_days))
            case Phase.RECOVERING:
                secret.phase = Phase.LIVE
                self._settle_at(secret, None)
            case Phase.DELETED | Phase.PURGING:
                self.rows.remove(secret)
            case Phase.LIVE:  # pragma: no cover - a live secret has nothing to wait for
                pass


def check_name(name: str) -> None:
    """Refuse a name that the service would not take."""
    if not _NAME.fullmatch(name):
        raise refusals.bad_name(name)


def _refuse_unless_settable(secret: StoredSecret, *, managed: bool) -> None:
    if secret.newest.managed and not managed:
        raise refusals.secret_managed("set")
    match secret.phase:
        case Phase.DELETED:
            raise refusals.name_deleted(secret.name)
        case Phase.DELETING | Phase.PURGING:
            raise refusals.name_being_deleted(secret.name)
        case Phase.RECOVERING:
            raise refusals.name_being_recovered(secret.name)
        case Phase.LIVE:
            return
