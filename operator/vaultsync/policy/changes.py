"""Which secrets must be read: compares a poll's metadata with the last-read state; reads and writes nothing.

All moments but `now` are the vault's own clock, from its `Date` header. The vault stamps `updated` in whole seconds and
may stamp a second ahead, so two writes within one second have the same metadata in a listing: a secret that was read so
soon after its `updated` is *unsettled* and is read once more when that second is over.
"""

from datetime import datetime, timedelta

from vaultsync.state.secrets import SecretRef, SecretState
from vaultsync.state.vaults import Missing, SecretMetadata, VaultView

MAX_CLOCK_SKEW = timedelta(hours=1)
"""By how much the vault's clock may be ahead of ours."""

SETTLING = timedelta(seconds=3)
"""How long after `updated` a second write could still have the same metadata."""


def due(ref: SecretRef, state: SecretState | None, view: VaultView, *, now: datetime, recheck: timedelta) -> str | None:
    """Return why a secret must be read; None while its last-read state is current.

    Args:
        ref: The secret.
        state: Its last-read state; None if it was never read.
        view: What polls know of the vault.
        now: The operator's clock.
        recheck: The recheck interval of this VaultSecret.
    """
    if state is None:
        return "never read"
    if now - state.read_at >= recheck or state.read_at - now > MAX_CLOCK_SKEW:
        # A `read_at` in the future is not trusted: an edited annotation must not postpone the recheck.
        return "recheck interval is over"
    if not ref.follows:
        # Polls observe only newest versions: a pinned one that is optional and missing waits for the recheck.
        return None
    metadata = view.find(ref.name.lower())
    if metadata is None or metadata.observed_at < state.read_at:
        return None
    if isinstance(metadata, Missing):
        return None if state.version is None else "gone from the vault"
    return _difference(state, metadata)


def _difference(state: SecretState, metadata: SecretMetadata) -> str | None:
    """Compare a reading with newer metadata; the same second counts as newer, to be safe."""
    if state.version is None:
        return "appeared in the vault"
    if not metadata.readable:
        return "cannot be read"
    if (metadata.updated, metadata.expires) != (state.updated, state.expires):
        return "changed in the vault"
    if metadata.version is not None:
        return None if metadata.version == state.version else "changed in the vault"
    return "unsettled" if unsettled(state) and has_settled(state, metadata.observed_at) else None


def unsettled(state: SecretState) -> bool:
    """Return whether a second write could have the same `updated` as the one that was read."""
    return state.updated is not None and state.updated > state.read_at - SETTLING


def has_settled(state: SecretState, moment: datetime) -> bool:
    """Return whether a read at that moment shows every write of the second of `updated`."""
    return state.updated is not None and moment > state.updated + SETTLING
