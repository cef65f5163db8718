"""What the metadata of a Secret prove about its origin; reads nothing itself.

Anybody who may write a Secret can write its labels, annotations and owner references, and a copy has them all. What
vaultsync applied, and no other writer has changed since, is recorded in `managedFields`, which a copy does not have.
Who may write a Secret can forge these too, and gains nothing: they decide about a Secret that is theirs.
"""

from vaultsync.api import APPLIED_ANNOTATION, GROUP, KIND
from vaultsync.api.v1alpha1 import VaultSecretMeta
from vaultsync.state.observed import Field, Observed, Owner, names_owner


def is_written_for(vault_secret: VaultSecretMeta, observed: Observed) -> bool:
    """Return whether we wrote a Secret for this very VaultSecret."""
    return names_owner(observed, vault_secret.metadata.uid)


def is_created(vault_secret: VaultSecretMeta, observed: Observed) -> bool:
    """Return whether we created a Secret, for this VaultSecret or one whose garbage it is: it may be deleted.

    Only the creation sets what proves it. A Secret that was adopted, and one whose proof is lost, is never deleted.
    """
    applied = observed.applied
    says_so = applied is not None and applied.created and applied.owner == vault_secret.metadata.uid
    proven = says_so and Field("annotations", APPLIED_ANNOTATION) in observed.ours
    return (proven or is_garbage(observed)) and other_controller(observed) is None


def is_garbage(observed: Observed) -> bool:
    """Return whether the garbage collector deletes a Secret with its VaultSecret: we set the owner reference."""
    return any(_is_ours(owner) and Field("ownerReferences", owner.uid) in observed.ours for owner in observed.owners)


def is_ours(vault_secret: VaultSecretMeta, observed: Observed) -> bool:
    """Return whether a Secret may be written without anybody's consent.

    We wrote it for this VaultSecret, or created it for another one, with which the garbage collector deletes it. Our
    labels and annotations alone prove nothing.
    """
    is_proven = is_written_for(vault_secret, observed) or is_garbage(observed)
    return is_proven and other_controller(observed) is None


def other_controller(observed: Observed) -> Owner | None:
    """Return the owner that is the Secret's controller, unless it is a VaultSecret."""
    return next((owner for owner in observed.owners if owner.controller and not _is_ours(owner)), None)


def _is_ours(owner: Owner) -> bool:
    return owner.kind == KIND and owner.api_version.partition("/")[0] == GROUP
