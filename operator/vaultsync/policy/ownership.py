"""Who owns a Secret, and which of several VaultSecrets may write it; reads nothing itself."""

from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret, VaultSecretMeta
from vaultsync.errors import Reason
from vaultsync.policy.inputs import Inputs
from vaultsync.state.observed import Observed, names_owner
from vaultsync.status.outcome import Failed
from vaultsync.texts import listed


def competing_vaultsecret(inputs: Inputs) -> Failed | None:
    """Block a target that an older VaultSecret names: the oldest wins, so that the order of events does not matter."""
    vault_secret = inputs.vault_secret
    for other in inputs.competing:
        if _age(other) < _age(vault_secret):
            return _conflict(
                vault_secret.target_key,
                f"belongs to VaultSecret {other.key.name}, which is older; choose another target.name",
            )
    return None


def foreign_target(inputs: Inputs) -> Failed | None:
    """Block a target that we did not create, unless `target.adopt` is set."""
    vault_secret, target = inputs.vault_secret, inputs.target
    if target is None or is_ours(vault_secret, target) or vault_secret.spec.target.adopt:
        return None
    return _conflict(
        vault_secret.target_key,
        f"{_owner_of(target)}; choose another target.name, delete it, or set target.adopt: true to take it over",
    )


def is_ours(vault_secret: VaultSecret, observed: Observed) -> bool:
    """Return whether we created it: it has fields that we applied, or names this very VaultSecret as its owner.

    Our label alone proves nothing: a copy of a Secret has its labels too.
    """
    return bool(observed.ours) or (observed.managed and observed.owner_uid == vault_secret.metadata.uid)


def is_written_for(vault_secret: VaultSecret, observed: Observed) -> bool:
    """Return whether we wrote a Secret for this very VaultSecret."""
    return names_owner(observed, vault_secret.metadata.uid)


def _age(vault_secret: VaultSecretMeta) -> tuple[float, str]:
    return vault_secret.metadata.creation_timestamp.timestamp(), vault_secret.metadata.uid


def _owner_of(observed: Observed) -> str:
    if observed.owners:
        return "is owned by " + listed(f"{owner.kind} {owner.name}" for owner in observed.owners)
    if observed.managers:
        return "exists already, written by " + listed(observed.managers)
    return "exists already"


def _conflict(target: ObjectKey, why: str) -> Failed:
    return Failed(Reason.TARGET_CONFLICT, f"Secret {target} {why}.")
