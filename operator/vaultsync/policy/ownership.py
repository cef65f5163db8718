"""Who may do what: which vaults are spoken to, and which Secrets are ours to write; reads nothing itself."""

from collections.abc import Iterable

from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret, VaultSecretMeta
from vaultsync.errors import Reason, SyncError
from vaultsync.state.observed import Observed


def check_target(vault_secret: VaultSecret, observed: Observed | None, competing: Iterable[VaultSecretMeta]) -> None:
    """Refuse a target that is somebody else's.

    `rivals` are the other VaultSecrets that want the same target: the oldest wins, so that the answer does not depend
    on who came by first.
    """
    competing = tuple(competing)
    for rival in competing:
        if _age(rival) < _age(vault_secret):
            raise _conflict(
                vault_secret.target_key,
                f"belongs to VaultSecret {rival.key.name}, which is older; choose another target.name",
            )
    if observed is None or is_ours(vault_secret, observed) or vault_secret.spec.target.adopt:
        return
    raise _conflict(
        vault_secret.target_key,
        f"{_whose(observed)}; choose another target.name, delete it, or set target.adopt: true to take it over",
    )


def is_ours(vault_secret: VaultSecret, observed: Observed) -> bool:
    """Tell whether we made it: it holds fields that we applied, or says that it belongs to this very VaultSecret.

    That it carries our label does not tell: whoever copies a Secret copies its labels along.
    """
    return bool(observed.ours) or (observed.managed and observed.owner_uid == vault_secret.metadata.uid)


def is_written_for(vault_secret: VaultSecret, observed: Observed) -> bool:
    """Tell whether we wrote a Secret for this very VaultSecret.

    Labels alone do not tell: whoever copies a Secret copies them along.
    """
    return observed.owner_uid == vault_secret.metadata.uid and observed.managed and bool(observed.ours)


def _age(vault_secret: VaultSecretMeta) -> tuple[float, str]:
    return vault_secret.metadata.creation_timestamp.timestamp(), vault_secret.metadata.uid


def _whose(observed: Observed) -> str:
    if observed.owners:
        return "is owned by " + ", ".join(f"{owner.kind} {owner.name}" for owner in observed.owners)
    if observed.managers:
        return "exists already, written by " + ", ".join(observed.managers)
    return "exists already"


def _conflict(target: ObjectKey, why: str) -> SyncError:
    return SyncError(Reason.TARGET_CONFLICT, f"Secret {target} {why}.")
