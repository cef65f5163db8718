"""Caches which secrets of one vault reads have found missing, and since when; reads none itself."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from vaultsync.errors import SecretNotFound
from vaultsync.state.secrets import SecretRef

MAX_ABSENCES = 10_000
"""Bounds the memory; the oldest is dropped, and is read again when it is needed."""

READ_AGAIN_AFTER = 900.0
"""Seconds after which a missing secret is read again, whatever polls observe: they do not show that it was purged."""


class Times(NamedTuple):
    """The time of one observation by the operator's clock, and by the vault's, if that is known."""

    observed_at: datetime
    vault_time: datetime | None


@dataclass(slots=True)
class _Absence:
    error: SecretNotFound
    times: Times
    """When a read or a poll missed it last."""
    since: float
    """When a read found it missing for the first time, on the monotonic clock."""
    read_at: float
    """When a read missed it last, on the monotonic clock."""
    current_until: float
    """Until then a poll that also misses it stands for another read."""


class Absences:
    """Per vault: the errors of secrets that reads have found missing, by `SecretRef.identity`; it saves reads.

    `Reads` has what was read last of each secret; `Waits` has since when a VaultSecret has known of missing ones.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds."""
        self._clock = clock
        self._by_ref: dict[SecretRef, _Absence] = {}

    def on_missing(self, ref: SecretRef, error: SecretNotFound) -> SecretNotFound:
        """Record a read that found a secret missing; return the error, with how long it has been so."""
        now = self._clock()
        known = self._by_ref.get(ref)
        absence = self._by_ref[ref] = _Absence(
            error, Times(error.observed_at, error.vault_time), now if known is None else known.since, now, now
        )
        if len(self._by_ref) > MAX_ABSENCES:
            del self._by_ref[next(iter(self._by_ref))]
        return self._error_of(absence)

    def on_found(self, ref: SecretRef) -> None:
        """Record a read that returned the secret."""
        self._by_ref.pop(ref, None)

    def on_observed(self, names: Iterable[str]) -> None:
        """Record a poll that found secrets, by their names in lower case."""
        for name in names:
            self._by_ref.pop(SecretRef(name), None)

    def on_unobserved(self, times: Times, seconds: float, *, name: str | None = None) -> None:
        """Record a poll that missed one secret, or all that are known to be missing: they are not read for some time.

        Polls observe newest versions only.
        """
        until = self._clock() + seconds
        for ref, absence in self._by_ref.items():
            if ref.follows and name in {None, ref.name}:
                absence.times = times
                absence.current_until = min(until, absence.read_at + READ_AGAIN_AFTER)

    def current(self, ref: SecretRef) -> SecretNotFound | None:
        """Return the result of the last read, as long as another read would repeat it; else None."""
        absence = self._by_ref.get(ref)
        return None if absence is None or self._clock() >= absence.current_until else self._error_of(absence)

    def _error_of(self, absence: _Absence) -> SecretNotFound:
        error = absence.error
        return SecretNotFound(
            error.reason,
            error.message,
            observed_at=absence.times.observed_at,
            vault_time=absence.times.vault_time,
            missing_for=self._clock() - absence.since,
        )
