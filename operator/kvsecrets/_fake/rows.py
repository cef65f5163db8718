"""What the fake vault keeps: secrets with their versions, in an order that pages can be cut from; knows no rules.

The real service pages over rows of its storage, and a page counts the rows that it scanned, not the secrets that it
shows. Here a secret has one row for its newest version and one for each older version, live or deleted.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import islice


class Phase(StrEnum):
    """Where a secret stands between being set and being gone."""

    LIVE = "live"
    DELETING = "deleting"
    DELETED = "deleted"
    RECOVERING = "recovering"
    PURGING = "purging"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretVersion:
    """One version of a secret; times are whole seconds since 1970, as on the wire."""

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


@dataclass(slots=True)
class StoredSecret:
    """A secret with all its versions, in the order of their creation: the last is the newest."""

    name: str
    versions: dict[str, SecretVersion]
    phase: Phase = Phase.LIVE
    settles_at: datetime | None = None
    """When the phase ends by itself: a deletion is done, a recovery is done, the retention is over."""

    deleted_on: int = 0
    purge_on: int = 0

    @property
    def newest(self) -> SecretVersion:
        """The version that a GET without a version means, enabled or not."""
        return self.versions[next(reversed(self.versions))]


class Rows:
    """The secrets by their upper-cased names, which is the key of the real storage."""

    def __init__(self) -> None:
        self._secrets: dict[str, StoredSecret] = {}
        self._keys: list[str] = []

    def __len__(self) -> int:
        return len(self._secrets)

    def find(self, name: str) -> StoredSecret | None:
        """Look a secret up in whatever phase it is; names compare without regard to case."""
        return self._secrets.get(name.upper())

    def add(self, secret: StoredSecret) -> None:
        """Keep a secret whose name is not taken."""
        key = secret.name.upper()
        self._secrets[key] = secret
        insort(self._keys, key)

    def remove(self, secret: StoredSecret) -> None:
        """Forget a secret with all its versions."""
        key = secret.name.upper()
        del self._secrets[key]
        del self._keys[bisect_left(self._keys, key)]

    def page(self, phase: Phase, marker: str, size: int) -> tuple[list[StoredSecret], str | None]:
        """Scan `size` rows from the marker on; give the secrets in that phase, and the marker of the next page."""
        rows = list(islice(self._from(marker), size + 1))
        shown = [secret for _, secret, head in rows[:size] if head and secret.phase is phase]
        return shown, rows[size][0] if len(rows) > size else None

    def _from(self, marker: str) -> Iterator[tuple[str, StoredSecret, bool]]:
        """Walk the rows: (marker of the row, its secret, whether it is the row of the newest version)."""
        start, _, version = marker.partition("/")
        for index in range(bisect_left(self._keys, start), len(self._keys)):
            key = self._keys[index]
            secret = self._secrets[key]
            resumed = version if key == start else ""
            if not resumed:
                yield key, secret, True
            for older in sorted(secret.versions.keys() - {secret.newest.id}):
                if older >= resumed:
                    yield f"{key}/{older}", secret, False


def page_of_versions(secret: StoredSecret, marker: str, size: int) -> tuple[list[SecretVersion], str | None]:
    """Cut a page out of a secret's versions, which come in the order of their ids: random in time."""
    ids = [version for version in sorted(secret.versions) if version >= marker]
    following = ids[size] if len(ids) > size else None
    return [secret.versions[version] for version in ids[:size]], following
