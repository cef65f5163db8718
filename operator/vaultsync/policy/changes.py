"""Which secrets must be read: compares what was last observed with the last-read state; reads and writes nothing.

A change is another version, `updated` or expiry date, or that the secret can or cannot be read now. Observations are
ordered by `Moment`, not by the clock of the vault or the operator. These clocks only ever cause one more read: the
vault stamps `updated` in whole seconds and may stamp a second ahead, so two writes within one second have the same
metadata in a listing. A secret that was read so soon after its `updated` by the vault's clock or by the operator's is
*unsettled* and is read once more.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from vaultsync.state.listings import SecretMetadata
from vaultsync.state.moments import Moment
from vaultsync.state.secrets import MissingReading, Reading, SecretRef, SecretState, VaultReading
from vaultsync.state.vaults import LastRead, Missing, VaultView

MAX_CLOCK_SKEW = timedelta(minutes=1)
"""By how much a reading of a former process may be dated ahead of the operator's clock."""

SETTLING = timedelta(seconds=3)
"""How long after `updated` a second write could still have the same metadata."""

ACTIVE_RETRY = timedelta(seconds=10)
"""After which a version is read again that should be active by the operator's clock and is not by the vault's."""


def due(ref: SecretRef, state: SecretState | None, view: VaultView, *, now: datetime, recheck: timedelta) -> str | None:
    """Return why a secret must be read; None while its last-read state is current.

    Args:
        ref: The secret.
        state: Its last-read state; None if it was never read.
        view: What polls and reads of this process know of the vault.
        now: The operator's clock.
        recheck: The recheck interval of this VaultSecret.
    """
    if state is None:
        return "never read"
    if now - state.read_at >= recheck or state.read_at - now > MAX_CLOCK_SKEW:
        # A `read_at` in the future is not trusted: an edited annotation, or a clock that was ahead, must not postpone
        # the recheck.
        return "recheck interval is over"
    if state.pending is not None and until_active(state, now) <= timedelta(0):
        return "a version becomes active"
    if ref.previous:
        return _unconfirmed(ref, state, view)
    if not ref.follows:
        # Polls observe only newest versions: a pinned one that is optional and missing waits for the recheck.
        return None
    return _change(state, view, ref.name.lower())


def _unconfirmed(ref: SecretRef, state: SecretState, view: VaultView) -> str | None:
    """Return why the version before the newest is looked for once more: a list that lacks it may be incomplete."""
    read, metadata = view.reads.get(ref.read_as), view.find(ref.name.lower())
    if state.newest is not None or read is None or read.version is not None or read.settled:
        return None
    if not isinstance(metadata, SecretMetadata):
        return None
    is_over = metadata.observed_at.seconds - read.since >= SETTLING.total_seconds()
    return "missing in one list of versions" if is_over else None


def until_active(state: SecretState, now: datetime) -> timedelta:
    """Return the time until a secret must be read since its pending version becomes active."""
    assert state.pending is not None
    not_before = state.pending.not_before
    return not_before - now if state.read_at < not_before else ACTIVE_RETRY - (now - state.read_at)


def _change(state: SecretState, view: VaultView, name: str) -> str | None:
    """Compare the last-read state with the last observation of the secret, by a poll or a read."""
    metadata, read = view.find(name), view.reads.get(name)
    if metadata is None:
        return None
    if read is not None and read.began > metadata.observed_at:
        if read.version is not None:
            return _difference(state, read)
        if state.newest is None:
            return None
    if isinstance(metadata, Missing):
        return None if state.newest is None else "gone from the vault"
    if state.newest is not None and not metadata.readable:
        return "cannot be read"
    return _difference(state, metadata) or _unsettled(state, metadata, read)


def is_before(earlier: datetime | None, later: datetime | None) -> bool:
    """Return whether one `updated` is certainly before another.

    The clocks of the vault's servers differ: a write that follows another may be dated before it.
    """
    return earlier is not None and later is not None and later - earlier > SETTLING


def last_read(view: VaultView, name: str, reading: VaultReading | MissingReading, requested: Moment) -> LastRead:
    """Return what is recorded of a read, by its `SecretRef.read_as`, which was requested at that moment."""
    before = view.reads.get(name)
    if isinstance(reading, MissingReading):
        # Of the version before the newest, polls observe the newest.
        listed = _listed(view, name.partition("/")[0])
        read = LastRead(requested, None, None, None, listed, requested.seconds, settled=False)
    else:
        settled, older = _has_settled(reading), older_in_use(reading)
        listed = _listed(view, name)
        read = LastRead(reading.began, *reading.newest, listed, reading.began.seconds, settled, older)
    if before is None or _series(before) != _series(read):
        return read
    since = min(read.since, before.since)
    settled = read.settled or before.settled or read.since - since >= SETTLING.total_seconds()
    return replace(read, since=since, settled=settled)


def _listed(view: VaultView, name: str) -> datetime | None:
    metadata = view.find(name)
    return metadata.updated if isinstance(metadata, SecretMetadata) else None


def older_in_use(reading: VaultReading) -> str | None:
    """Return the older version that is used while the newest is not active yet; None if there is none."""
    return reading.version if isinstance(reading, Reading) and reading.pending is not None else None


def _series(read: LastRead) -> tuple[object, ...]:
    return read.version, read.updated, read.listed, read.older


def _difference(state: SecretState, observed: SecretMetadata | LastRead) -> str | None:
    """Compare the last-read state with what was observed; a listing has no version."""
    newest = state.newest
    if newest is None:
        return "appeared in the vault"
    same_version = observed.version in {None, newest.id}
    same = same_version and (observed.updated, observed.expires) == (newest.updated, newest.expires)
    return None if same else "changed in the vault"


def _unsettled(state: SecretState, metadata: SecretMetadata, read: LastRead | None) -> str | None:
    """Return why a secret with unchanged metadata is read again, if a second write could have the same.

    So is one whose active version is from a list of versions, once, since that may have been incomplete.
    """
    newest = state.newest
    assert newest is not None
    if metadata.version is not None and state.pending is None:
        return None
    if read is None or (read.updated, read.expires) != (newest.updated, newest.expires):
        # A former process has read it.
        settled = newest.updated is None or newest.updated + SETTLING <= state.read_at
        return None if settled else "unsettled"
    if read.version != newest.id:
        return "changed in the vault"  # another VaultSecret has read it
    is_over = metadata.observed_at.seconds - read.since >= SETTLING.total_seconds()
    return "unsettled" if is_over and not read.settled else None


def _has_settled(reading: VaultReading) -> bool:
    """Return whether it was read late enough after `updated`, by the vault's clock and by the operator's.

    What a list of versions decides is not settled by one read.
    """
    times = [reading.read_at] if reading.vault_time is None else [reading.read_at, reading.vault_time]
    updated = reading.newest.updated
    return reading.pending is None and (updated is None or updated + SETTLING <= min(times))
