"""Decides what becomes of a target whose grant was revoked; deletes nothing.

A VaultSecret that asks for more than before is refused, and its target stays: only an administrator revokes.
"""

from typing import Final

from vaultsync.api.status import OnRevoked
from vaultsync.api.v1alpha1 import OnSourceDeleted, VaultSecret
from vaultsync.errors import Reason
from vaultsync.policy.evidence import is_written_for
from vaultsync.policy.grants import decide
from vaultsync.policy.inputs import Inputs
from vaultsync.state.applied import fingerprint
from vaultsync.state.grants import GrantView, Refused
from vaultsync.status.outcome import Failed

DELETED_AFTER: Final = 60.0
"""Seconds from the revocation to the deletion: a tool may delete a grant in order to create it again."""


def is_revoked(inputs: Inputs, grants: GrantView) -> bool:
    """Return whether the target shall be deleted, since the grant by which it was written does not allow it any more.

    The status has that grant. While it exists, its `onRevoked` applies as it is now.
    """
    written_by, target = inputs.vault_secret.status.grant, inputs.target
    if not isinstance(inputs.decision, Refused) or inputs.decision.reason is not Reason.NOT_GRANTED:
        return False
    if inputs.vault_secret.spec.suspend:
        return False
    if written_by is None or target is None or target.terminating or not is_written_for(inputs.vault_secret, target):
        return False
    grant = grants.grants.get(written_by.name)
    on_revoked = written_by.on_revoked if grant is None else grant.spec.on_revoked
    is_unchanged = target.applied is not None and target.applied.spec == fingerprint(inputs.vault_secret)
    return on_revoked is OnRevoked.DELETE and is_unchanged and _is_refused_content(inputs.vault_secret, grants)


def _is_refused_content(vault_secret: VaultSecret, grants: GrantView) -> bool:
    """Return whether what the target holds is refused, and not only what else the VaultSecret may do.

    The target does not show since when the spec asks for that: it may ask for more than before.
    """
    defaults = {"restart": (), "on_source_deleted": OnSourceDeleted.RETAIN}
    decision = decide(vault_secret.model_copy(update={"spec": vault_secret.spec.model_copy(update=defaults)}), grants)
    return isinstance(decision, Refused) and decision.reason is Reason.NOT_GRANTED


def pending_revocation(inputs: Inputs) -> Failed | None:
    """Return the outcome of a revoked VaultSecret until its target is deleted; None if that is now."""
    assert isinstance(inputs.decision, Refused)
    if inputs.refused_for >= DELETED_AFTER:
        return None
    text = f"{inputs.decision.message} The Secret is deleted a minute after that, as onRevoked of the VaultGrant says."
    return Failed(inputs.decision.reason, text, retry_after=DELETED_AFTER - inputs.refused_for)
