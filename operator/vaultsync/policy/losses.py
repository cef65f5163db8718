"""Counts the secrets that a vault has lost at a poll, of those whose keys would be deleted with them; polls nothing."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from vaultsync.api.v1alpha1 import OnSourceDeleted, VaultSecret
from vaultsync.state.requests import named_secrets, searches
from vaultsync.state.vaults import MAX_UNCONFIRMED_LOSSES, LossReport, Missing, SecretMetadata, VaultView


def loss_report(
    before: LossReport | None, known: AbstractSet[str], lost: AbstractSet[str], view: VaultView
) -> LossReport:
    """Return the report of a poll.

    Args:
        before: The report of the poll before.
        known: The secrets whose keys would be deleted with them; may be incomplete if few are lost.
        lost: Those of them that are lost.
        view: The view of the vault after the poll.
    """
    latched = frozenset() if before is None else before.latched
    latched_known = 0 if before is None else before.latched_known
    if _is_suspicious(len(known), len(lost)):
        latched |= lost
        latched_known = max(latched_known, len(known))
    latched = frozenset(name for name in latched if not _is_recovered(name, view))
    if latched.isdisjoint(lost) or not _is_suspicious(latched_known, len(latched)):
        return LossReport(len(known), len(lost))
    return LossReport(len(known), len(lost), latched, latched_known)


def needs_all_known(lost: AbstractSet[str]) -> bool:
    """Return whether so many are lost that `known` must be complete."""
    return len(lost) > MAX_UNCONFIRMED_LOSSES


def lost_names(vault_secrets: Iterable[VaultSecret], view: VaultView) -> set[str]:
    """Return the names, in lower case, of lost secrets whose keys would be deleted with them."""
    return {name for name in known_names(vault_secrets) if _is_lost(name, view)}


def known_names(vault_secrets: Iterable[VaultSecret]) -> set[str]:
    """Return the names, in lower case, of all secrets whose keys would be deleted with them."""
    return {name for vault_secret in vault_secrets for name in _deletable(vault_secret)}


def _is_suspicious(known: int, lost: int) -> bool:
    return lost > MAX_UNCONFIRMED_LOSSES and 2 * lost > known


def _deletable(vault_secret: VaultSecret) -> set[str]:
    """Return the secrets that the status lists and the spec asks for: users can write to the status.

    Names that no poll looks for would never be lost, and thousands of them would keep the guard from tripping.
    """
    spec = vault_secret.spec
    names = {entry.secret_name.lower() for entry in vault_secret.status.entries if entry.version is not None}
    if not searches(spec):
        names &= {request.ref.name.lower() for request in named_secrets(spec)}
    if spec.on_source_deleted is OnSourceDeleted.DELETE:
        return names
    return names - {request.ref.name.lower() for request in named_secrets(spec) if not request.optional}


def _is_lost(name: str, view: VaultView) -> bool:
    metadata = view.secrets.get(name)
    if metadata is None and view.listing is not None:
        listed = view.listing.get(name)
        return listed is None or not listed.readable
    return isinstance(metadata, Missing)


def _is_recovered(name: str, view: VaultView) -> bool:
    """Return whether polls find it again; a secret that no VaultSecret names any more is not polled."""
    metadata = view.find(name)
    return isinstance(metadata, SecretMetadata) and metadata.readable
