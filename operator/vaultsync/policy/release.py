"""Which losses the deletion guard holds, and which of them a user has released; counts none: see `policy.losses`."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from vaultsync.api import RELEASE_ANNOTATION
from vaultsync.api.v1alpha1 import StatusMissing, VaultSecret
from vaultsync.errors import Reason
from vaultsync.policy.losses import unit_of
from vaultsync.policy.lost_keys import Loss
from vaultsync.state.vaults import VaultView
from vaultsync.status.outcome import Failed
from vaultsync.texts import listed

MAX_USER_CLOCK_SKEW = timedelta(minutes=5)
"""By how much the clock of a user may be ahead of ours."""


def is_held(vault_secret: VaultSecret, item: StatusMissing, view: VaultView, now: datetime) -> bool:
    """Return whether the deletion guard keeps the keys of a loss, which no user has released."""
    holds = view.losses is not None and view.losses.holds(unit_of(item))
    return holds and not is_released(vault_secret, item, now)


def is_released(vault_secret: VaultSecret, item: StatusMissing, now: datetime) -> bool:
    """Return whether a user has released a loss, by the annotation of the VaultSecret."""
    released, _ = _released_until(vault_secret, now)
    return released is not None and _lost_at(item, now) <= released


def held_failure(
    vault_secret: VaultSecret, held: Sequence[Loss], now: datetime, missing: tuple[StatusMissing, ...]
) -> Failed | None:
    """Return what is reported while the deletion guard keeps keys."""
    if not held:
        return None
    _, problem = _released_until(vault_secret, now)
    message = (
        f"Most secrets of vault {vault_secret.spec.vault_url} whose keys would be removed with them, or most keys of "
        f"its JSON objects, went missing within a day, so nothing is removed; kept: "
        f"{listed(f'{loss.key} of secret {loss.request.ref.name}' for loss in held)}. "
        f"If this is intended: kubectl annotate vaultsecret -n {vault_secret.key.namespace} {vault_secret.key.name} "
        f'--overwrite {RELEASE_ANNOTATION}="$(date -u +%FT%TZ)".{problem}'
    )
    return Failed(Reason.DELETION_HELD, message, missing=missing)


def _lost_at(missing: StatusMissing, now: datetime) -> datetime:
    """Return when a secret was lost: by the vault's clock if ours was ahead then, since no user could release it."""
    return missing.vault_since if missing.vault_since and missing.since > now else missing.since


def _released_until(vault_secret: VaultSecret, now: datetime) -> tuple[datetime | None, str]:
    """Return the time until which the annotation releases losses, and a sentence for an invalid annotation."""
    text = vault_secret.metadata.annotations.get(RELEASE_ANNOTATION)
    if text is None:
        return None, ""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None, " The annotation's present value is not a time."
    if moment.tzinfo is None:
        return None, " The annotation's present value is a time without a time zone."
    if moment > now + MAX_USER_CLOCK_SKEW:
        return None, " The annotation's present value is in the future."
    return moment, ""
