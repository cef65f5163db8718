"""What becomes of keys whose secrets the vault has no more: when they go, and when nothing goes at all.

A deletion is believed late and not blindly: a secret that is being recovered answers for seconds as if it were not
there, and a vault that has lost most of its secrets has more likely been mistaken than emptied. Deletes nothing itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from vaultsync.api import RELEASE_ANNOTATION
from vaultsync.api.v1alpha1 import OnSourceDeleted, StatusMissing, VaultSecret
from vaultsync.errors import NotYet, PendingDeletion, Reason
from vaultsync.policy.plan import Plan
from vaultsync.policy.requests import disabled_finds
from vaultsync.state.requests import SecretRequest, named_secrets
from vaultsync.state.secrets import MissingReading, Reading, Readings, SecretRef
from vaultsync.state.vaults import Missing, VaultView
from vaultsync.status.outcome import Pruned

PERSON_AHEAD = timedelta(minutes=5)
"""By how much the clock of a person may be ahead of ours."""


def confirmed_deletions(
    vault_secret: VaultSecret, plan: Plan, readings: Readings, view: VaultView, *, now: datetime
) -> tuple[StatusMissing, ...]:
    """Say what is gone for good, so that its keys may go, too; of all that is wanted, or of a part that was read first.

    Raises:
        NotThere: Something is not there and never was; the words are the vault's.
        Vanished: Something is gone, and it is too early for its key to go, or too much is gone.
        NotYet: It is not known yet how much is gone.
    """
    absent = {ref: reading for ref, reading in readings.items() if isinstance(reading, MissingReading)}
    lost: list[SecretRequest] = []
    for one in plan.wanted:
        if (reading := absent.get(one.ref.identity)) is None:
            continue
        if _was_there(one, plan):
            lost.append(one)
        elif not one.optional:
            raise reading.why
    if not lost:
        return ()
    missing = _missing(plan, lost, now)
    _check_surveyed(vault_secret.spec.vault_url, view)
    _brake(vault_secret, plan, missing, view, now=now)
    required = [one for one in lost if not one.optional]
    _wait(vault_secret, plan, required, absent, missing, now=now)
    _check_missed(vault_secret.spec.vault_url, plan, lost, view)
    return tuple({one.ref.name.lower(): missing[one.ref.name.lower()] for one in required}.values())


def check_brake(vault_secret: VaultSecret, plan: Plan, view: VaultView, *, now: datetime) -> None:
    """Read nothing in vain while most of the vault is gone. Raises `Vanished`, if something is of what is wanted."""
    deletes = vault_secret.spec.on_source_deleted is OnSourceDeleted.DELETE
    lost = [
        one
        for one in plan.wanted
        if (one.vanished or _is_missed(one, plan, view)) and (one.optional or deletes) and _was_there(one, plan)
    ]
    lost += disabled_finds(vault_secret.spec, plan.known, view)
    if lost:
        _brake(vault_secret, plan, _missing(plan, lost, now), view, now=now)


def check_listing_agrees(wanted: Iterable[SecretRequest], readings: Readings, vault_url: str) -> None:
    """Do nothing while a listing lacks what the vault gives all the same. Raises `NotYet`."""
    for one in wanted:
        if one.vanished and isinstance(readings[one.ref.identity], Reading):
            raise NotYet(Reason.VAULT_FAILED, f"Vault {vault_url} gave {one.ref.name}, which it did not list.")


def pruned(readings: Readings, missing: tuple[StatusMissing, ...]) -> Pruned:
    """Say why there is no target any more, in the vault's words about the first secret."""
    gone = {one.secret_name for one in missing}
    why = next(
        reading.why
        for ref, reading in readings.items()
        if isinstance(reading, MissingReading) and ref.name.lower() in gone
    )
    return Pruned(why.reason, why.message, missing)


def lost_names(vault_secrets: Iterable[VaultSecret], view: VaultView) -> set[str]:
    """Which secrets are gone of those whose keys would go with them, by their names in lower case."""
    return {name for name in known_names(vault_secrets) if _is_lost(name, view)}


def known_names(vault_secrets: Iterable[VaultSecret]) -> set[str]:
    """Which secrets fill keys that would go with them."""
    return {name for vault_secret in vault_secrets for name in _deletable(vault_secret)}


def _was_there(wanted: SecretRequest, plan: Plan) -> bool:
    """Tell a secret that has gone from one that never was."""
    state = plan.known.get(wanted.ref.identity)
    gone_before = {missing.secret_name for missing in plan.missing}
    return (state is not None and state.version is not None) or wanted.ref.name.lower() in gone_before


def _is_missed(wanted: SecretRequest, plan: Plan, view: VaultView) -> bool:
    """Tell whether a poll, too, has missed it, and that after it was last read."""
    metadata, state = view.secrets.get(wanted.ref.name.lower()), plan.known.get(wanted.ref.identity)
    return isinstance(metadata, Missing) and (state is None or metadata.observed_at >= state.read_at)


def _missing(plan: Plan, lost: Iterable[SecretRequest], now: datetime) -> dict[str, StatusMissing]:
    """Since when what is lost has been missing, by its name in lower case."""
    before = {missing.secret_name: missing for missing in plan.missing}
    names = dict.fromkeys(one.ref.name.lower() for one in lost)
    return {name: before.get(name) or StatusMissing(secret_name=name, since=now) for name in names}


def _vanished(
    reason: Reason,
    message: str,
    plan: Plan,
    missing: Mapping[str, StatusMissing],
    *,
    retry_after: float | None = None,
) -> PendingDeletion:
    """What is lost now, beside what went before."""
    known = {**{one.secret_name: one for one in plan.missing}, **missing}
    return PendingDeletion(reason, message, missing=tuple(known.values()), retry_after=retry_after)


def _check_surveyed(vault_url: str, view: VaultView) -> None:
    """Let nothing go before a poll has looked how much is gone."""
    if view.losses is None:
        raise view.unknown(f"Vault {vault_url} has not been looked through yet.")


def _check_missed(vault_url: str, plan: Plan, lost: Iterable[SecretRequest], view: VaultView) -> None:
    """Let nothing go before a poll has missed it, too, where polls look for it."""
    for one in lost:
        if one.ref.follows and not one.vanished and not _is_missed(one, plan, view):
            raise view.unknown(f"No poll of vault {vault_url} has missed {one.ref.name} yet.")


def _brake(
    vault_secret: VaultSecret, plan: Plan, missing: Mapping[str, StatusMissing], view: VaultView, *, now: datetime
) -> None:
    """Hold everything up while most of the vault is gone, but for what a person has released."""
    if view.losses is None or not view.losses.tripped:
        return
    released, complaint = _released_until(vault_secret, now)
    if released is not None and all(one.since <= released for one in missing.values()):
        return
    message = (
        f"Most secrets of vault {vault_secret.spec.vault_url} whose keys would go with them have vanished together, so "
        "nothing is deleted; the Secret stays as it is. If they are meant to be gone: kubectl annotate vaultsecret "
        f"-n {vault_secret.key.namespace} {vault_secret.key.name} --overwrite "
        f'{RELEASE_ANNOTATION}="$(date -u +%FT%TZ)".{complaint}'
    )
    raise _vanished(Reason.DELETION_HELD, message, plan, missing)


def _released_until(vault_secret: VaultSecret, now: datetime) -> tuple[datetime | None, str]:
    """Read the annotation: the moment up to which losses are released, or a complaint about it."""
    text = vault_secret.metadata.annotations.get(RELEASE_ANNOTATION)
    if text is None:
        return None, ""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None, " What the annotation holds now is no moment."
    if moment.tzinfo is None:
        return None, " What the annotation holds now is a moment without a time zone."
    if moment > now + PERSON_AHEAD:
        return None, " What the annotation holds now lies in the future."
    return moment, ""


def _wait(
    vault_secret: VaultSecret,
    plan: Plan,
    lost: Sequence[SecretRequest],
    absent: Mapping[SecretRef, MissingReading],
    missing: Mapping[str, StatusMissing],
    *,
    now: datetime,
) -> None:
    """Let nothing go before its time."""
    waiting = [
        (missing[one.ref.name.lower()].since + vault_secret.spec.delete_after, absent[one.ref.identity].why)
        for one in lost
    ]
    early = [(moment, why) for moment, why in waiting if moment > now]
    if not early:
        return
    moment, why = early[0]
    message = f"{why.message} Its key goes at {moment:%Y-%m-%d %H:%M:%S} UTC, unless the secret is back by then."
    last = max(moment for moment, _ in early)
    raise _vanished(why.reason, message, plan, missing, retry_after=(last - now).total_seconds())


def _deletable(vault_secret: VaultSecret) -> set[str]:
    spec = vault_secret.spec
    names = {entry.secret_name.lower() for entry in vault_secret.status.entries if entry.version is not None}
    if spec.on_source_deleted is OnSourceDeleted.DELETE:
        return names
    return names - {wanted.ref.name.lower() for wanted in named_secrets(spec) if not wanted.optional}


def _is_lost(name: str, view: VaultView) -> bool:
    metadata = view.secrets.get(name)
    if metadata is None and view.listing is not None:
        listed = view.listing.get(name)
        return listed is None or not listed.readable
    return isinstance(metadata, Missing)
