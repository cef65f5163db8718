"""The secrets of a fake vault: versions, the phases of deletion and recovery, and pages; knows no HTTP, no permissions.

The real service pages over rows of its storage. A page counts the rows that it scans, not the secrets that it shows.
Here a secret has one row for its newest version and one for each older version, live or deleted.
"""

import heapq
import re
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice

from kvsecrets._fake import errors
from kvsecrets._fake.config import VaultConfig

_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")


class Phase(StrEnum):
    """The phase of a secret between creation and purge."""

    LIVE = "live"
    DELETING = "deleting"
    DELETED = "deleted"
    RECOVERING = "recovering"
    PURGING = "purging"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretVersion:
    """One version of a secret. Times are whole seconds since 1970, as in JSON."""

    id: str
    value: str = field(repr=False)
    content_type: str | None = None
    tags: dict[str, str] | None = None
    enabled: bool = True
    not_before: int | None = None
    expires: int | None = None
    created: int
    updated: int
    managed: bool = False


@dataclass(frozen=True, slots=True)
class Changes:
    """Fields of a `SecretVersion` to change, by name; a field that is None is cleared.

    [?] Whether the service clears a field on a JSON null or ignores it is not recorded.
    """

    fields: Mapping[str, object]

    def applied_to(self, version: SecretVersion) -> SecretVersion:
        """Return the changed version."""
        return replace(version, **self.fields)  # type: ignore[arg-type]  # `parse_changes` has checked every type


@dataclass(slots=True)
class StoredSecret:
    """A secret with all its versions, in the order of their creation: the last is the newest."""

    name: str
    versions: dict[str, SecretVersion]
    phase: Phase = Phase.LIVE
    phase_ends_at: datetime | None = None
    """When the phase ends by itself: a deletion or recovery completes, or the retention period ends."""

    deleted_on: int = 0
    purge_on: int = 0

    @property
    def newest(self) -> SecretVersion:
        """The version that a GET without a version returns, enabled or not."""
        return self.versions[next(reversed(self.versions))]


class Rows:
    """The secrets by their upper-cased names, which is the key of the real storage."""

    def __init__(self) -> None:
        self._secrets: dict[str, StoredSecret] = {}
        self._keys: list[str] = []

    def __len__(self) -> int:
        return len(self._secrets)

    def find(self, name: str) -> StoredSecret | None:
        """Return the secret of a name in any phase; case is ignored."""
        return self._secrets.get(name.upper())

    def add(self, secret: StoredSecret) -> None:
        """Add a secret whose name is not in use."""
        key = secret.name.upper()
        self._secrets[key] = secret
        insort(self._keys, key)

    def remove(self, secret: StoredSecret) -> None:
        """Remove a secret with all its versions."""
        key = secret.name.upper()
        del self._secrets[key]
        del self._keys[bisect_left(self._keys, key)]

    def page(self, phase: Phase, marker: str, size: int) -> tuple[list[StoredSecret], str | None]:
        """Scan `size` rows from the marker; return the secrets in that phase, and the marker of the next page."""
        rows = list(islice(self._from(marker), size + 1))
        shown = [secret for _, secret, is_newest in rows[:size] if is_newest and secret.phase is phase]
        return shown, rows[size][0] if len(rows) > size else None

    def _from(self, marker: str) -> Iterator[tuple[str, StoredSecret, bool]]:
        """Yield rows: (marker of the row, its secret, whether it is the row of the newest version)."""
        start, _, version = marker.partition("/")
        for index in range(bisect_left(self._keys, start), len(self._keys)):
            key = self._keys[index]
            secret = self._secrets[key]
            first_version = version if key == start else ""
            if not first_version:
                yield key, secret, True
            for older in sorted(secret.versions.keys() - {secret.newest.id}):
                if older >= first_version:
                    yield f"{key}/{older}", secret, False


class Store:
    """The secrets of one vault.

    `settle` must be called before each operation: it ends the phases that are over by then.
    """

    def __init__(self, config: VaultConfig, new_version: Callable[[], str]) -> None:
        self.rows = Rows()
        self._config = config
        self._new_version = new_version
        self._phase_ends: list[tuple[datetime, str]] = []

    def settle(self, now: datetime) -> None:
        """Complete the deletions, recoveries and purges that end by now."""
        while self._phase_ends and self._phase_ends[0][0] <= now:
            when, name = heapq.heappop(self._phase_ends)
            secret = self.rows.find(name)
            if secret is not None and secret.phase_ends_at == when:
                self._end_phase(secret)

    def set(self, name: str, value: str, changes: Changes, now: datetime, *, managed: bool = False) -> StoredSecret:
        """Add a version, and the secret if its name is new."""
        check_name(name)
        secret = self.rows.find(name)
        if secret is not None:
            _check_settable(secret, managed=managed)
        stamp = int(now.timestamp())
        version = SecretVersion(id=self._new_version(), value=value, created=stamp, updated=stamp, managed=managed)
        version = changes.applied_to(version)
        if secret is None:
            secret = StoredSecret(name, {version.id: version})
            self.rows.add(secret)
        else:
            secret.versions[version.id] = version
        return secret

    def live(self, name: str) -> StoredSecret:
        """Return a secret that is in the phase `LIVE`."""
        check_name(name)
        secret = self.rows.find(name)
        if secret is None or secret.phase is not Phase.LIVE:
            raise errors.not_found(name)
        return secret

    def version(self, name: str, version: str) -> tuple[StoredSecret, SecretVersion]:
        """Return a live secret and one of its versions; an empty version means the newest."""
        secret = self.live(name)
        if not version:
            return secret, secret.newest
        # [?] The real service may return 400 for a version that is not 32 hex digits.
        found = secret.versions.get(version.lower())
        if found is None:
            raise errors.not_found(name, version)
        return secret, found

    def update(self, name: str, version: str, changes: Changes, now: datetime) -> tuple[StoredSecret, SecretVersion]:
        """Change attributes of a version; its value and id do not change."""
        secret, found = self.version(name, version)
        if found.managed:
            raise errors.secret_managed("update")
        changed = changes.applied_to(replace(found, updated=int(now.timestamp())))
        secret.versions[found.id] = changed
        return secret, changed

    def delete(self, name: str, now: datetime) -> StoredSecret:
        """Start a deletion; without soft-delete the secret is removed at once."""
        secret = self.live(name)
        if secret.newest.managed:
            raise errors.secret_managed("delete")
        if not self._config.soft_delete:
            self.rows.remove(secret)
            return secret
        secret.deleted_on = int(now.timestamp())
        secret.purge_on = secret.deleted_on + self._config.recoverable_days * 86400
        self._enter(secret, Phase.DELETING, now)
        return secret

    def deleted(self, name: str) -> StoredSecret:
        """Return a secret whose deletion has completed."""
        check_name(name)
        secret = self.rows.find(name)
        if secret is None:
            raise errors.not_found(name)
        if secret.phase is not Phase.DELETED:
            raise errors.deleted_not_found(name)  # [?] for a live secret and for one in recovery
        return secret

    def recover(self, name: str, now: datetime) -> StoredSecret:
        """Start the recovery of a deleted secret."""
        secret = self._deleted_and_settled(name)
        self._enter(secret, Phase.RECOVERING, now)
        return secret

    def purge(self, name: str, now: datetime) -> None:
        """Start the purge of a deleted secret."""
        secret = self._deleted_and_settled(name)
        if self._config.purge_protection:
            raise errors.purge_protected(self._config.name)
        self._enter(secret, Phase.PURGING, now)

    def restore(self, secret: StoredSecret) -> StoredSecret:
        """Add a secret from a backup, with its versions, ids and dates."""
        if self.rows.find(secret.name) is not None:
            raise errors.restore_conflict(f"{self._config.url}/secrets/{secret.name}/{secret.newest.id}")
        self.rows.add(secret)
        return secret

    def _deleted_and_settled(self, name: str) -> StoredSecret:
        check_name(name)
        secret = self.rows.find(name)
        if secret is not None and secret.phase in (Phase.DELETING, Phase.PURGING):
            raise errors.being_deleted()
        if secret is not None and secret.phase is Phase.RECOVERING:
            raise errors.being_recovered()
        return self.deleted(name)

    def _enter(self, secret: StoredSecret, phase: Phase, now: datetime) -> None:
        secret.phase = phase
        self._set_phase_end(secret, now + self._config.deletion_delay)
        self.settle(now)

    def _set_phase_end(self, secret: StoredSecret, when: datetime | None) -> None:
        secret.phase_ends_at = when
        if when is not None:
            heapq.heappush(self._phase_ends, (when, secret.name))

    def _end_phase(self, secret: StoredSecret) -> None:
        match secret.phase:
            case Phase.DELETING:
                secret.phase = Phase.DELETED
                assert secret.phase_ends_at is not None
                started = secret.phase_ends_at - self._config.deletion_delay
                self._set_phase_end(secret, started + timedelta(days=self._config.recoverable_days))
            case Phase.RECOVERING:
                secret.phase = Phase.LIVE
                self._set_phase_end(secret, None)
            case Phase.DELETED | Phase.PURGING:
                self.rows.remove(secret)
            case Phase.LIVE:  # pragma: no cover - this phase does not end by itself
                pass


def page_of_versions(secret: StoredSecret, marker: str, size: int) -> tuple[list[SecretVersion], str | None]:
    """Return `size` versions from the marker, ordered by id, and the marker of the next page."""
    ids = [version for version in sorted(secret.versions) if version >= marker]
    following = ids[size] if len(ids) > size else None
    return [secret.versions[version] for version in ids[:size]], following


def check_name(name: str) -> None:
    """Reject a name that the service does not accept."""
    if not _NAME.fullmatch(name):
        raise errors.bad_name(name)


def _check_settable(secret: StoredSecret, *, managed: bool) -> None:
    if secret.newest.managed and not managed:
        raise errors.secret_managed("set")
    match secret.phase:
        case Phase.DELETED:
            raise errors.name_deleted(secret.name)
        case Phase.DELETING | Phase.PURGING:
            raise errors.name_being_deleted(secret.name)
        case Phase.RECOVERING:
            raise errors.name_being_recovered(secret.name)
        case Phase.LIVE:
            return
