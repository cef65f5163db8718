"""What must be read: what a poll saw of the vault against what was last read of an entry; decides on no write.

All moments but `now` are the vault's own clock, from its `Date` header. The vault stamps `updated` in whole seconds and
may stamp a second ahead, so two writes within one second look the same to a listing: an entry read that soon after its
`updated` is *unsettled* and is read once more when that second is safely past.
"""

from datetime import datetime, timedelta

from vaultsync.state.secrets import SecretRef, SecretState
from vaultsync.state.vaults import Missing, SecretMetadata, VaultView

CLOCKS_APART = timedelta(hours=1)
"""By how much the vault's clock may be ahead of ours."""


SETTLING = timedelta(seconds=3)
"""How long after `updated` a second write could still look the same."""


def due(ref: SecretRef, state: SecretState | None, view: VaultView, *, now: datetime, recheck: timedelta) -> str | None:
    """Say why a secret must be read, or None when what we know of it still holds."""
    if state is None:
        return "never read"
    if now - state.read_at >= recheck or state.read_at - now > CLOCKS_APART:
        # A reading in the future is no reading: whoever may write annotations must not put off the recheck with one.
        return "time for a recheck"
    if not ref.follows:
        # Polls follow the newest versions alone: a pinned one that is optional and absent waits for the recheck.
        return None
    metadata = view.secrets.get(ref.name.lower()) or (view.listing or {}).get(ref.name.lower())
    if metadata is None or metadata.observed_at < state.read_at:
        return None
    if isinstance(metadata, Missing):
        return None if state.version is None else "gone from the vault"
    return _difference(state, metadata)


def _difference(state: SecretState, metadata: SecretMetadata) -> str | None:
    """Compare a reading with a sighting that is newer; the same second counts as newer, to be safe."""
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
    """Tell whether a second write could hide behind the `updated` that was read."""
    return state.updated is not None and state.updated > state.read_at - SETTLING


def has_settled(state: SecretState, moment: datetime) -> bool:
    """Tell whether a reading at that moment would settle it."""
    return state.updated is not None and moment > state.updated + SETTLING
