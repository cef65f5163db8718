"""Whether a VaultSecret may write a Secret, and which of several VaultSecrets may; reads nothing itself."""

import json

from vaultsync.api import ADOPT_BY_ANNOTATION, ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret, VaultSecretMeta
from vaultsync.errors import Reason
from vaultsync.policy.evidence import is_created, is_garbage, is_ours, is_written_for, other_controller
from vaultsync.policy.inputs import Inputs
from vaultsync.state.applied import fingerprint
from vaultsync.state.observed import Observed, Owner
from vaultsync.status.outcome import Failed
from vaultsync.texts import listed


def competing_vaultsecret(inputs: Inputs) -> Failed | None:
    """Block a target that another VaultSecret has a better right to.

    The oldest wins, so that the order of events does not matter. A Secret that outlives its VaultSecret stays with the
    one that has it, unless it names another.
    """
    vault_secret, target = inputs.vault_secret, inputs.target
    if target is not None and not is_garbage(target):
        if (other := _entitled(inputs, target)) is not None:
            return _conflict(vault_secret.target_key, f"belongs to VaultSecret {other}; choose another target.name")
        if is_written_for(vault_secret, target) or has_consent(vault_secret, target) or is_restored(inputs):
            return None
    for one in inputs.competing:
        if _age(one) < _age(vault_secret):
            return _conflict(
                vault_secret.target_key,
                f"belongs to VaultSecret {one.key.name}, which is older; choose another target.name",
            )
    return None


def _entitled(inputs: Inputs, target: Observed) -> str | None:
    """Return the other VaultSecret that the Secret names, or that we wrote it for if it names none of them."""
    named = {one.key.name for one in inputs.competing if one.key.name == target.adopt_by}
    written_for = {one.key.name for one in inputs.competing if is_written_for(one, target)}
    return next(iter(named or (written_for if not has_consent(inputs.vault_secret, target) else ())), None)


def foreign_target(inputs: Inputs) -> Failed | None:
    """Block a target that is not ours, unless those who may write it consent."""
    vault_secret, target = inputs.vault_secret, inputs.target
    if target is None or is_ours(vault_secret, target) or has_consent(vault_secret, target) or is_restored(inputs):
        return None
    return _conflict(vault_secret.target_key, f"{_owner_of(target)}; {_remedy(vault_secret, target)}")


def terminating_target(inputs: Inputs) -> Failed | None:
    """Block a target that is being deleted: a deletion cannot be taken back, and what is written goes with it."""
    target, key = inputs.target, inputs.vault_secret.target_key
    if target is None or not target.terminating:
        return None
    return Failed(
        Reason.TARGET_TERMINATING,
        f"Secret {key} is terminating, held by the {finalizers_of(target)}: nothing is written to it. What has set the "
        "finalizer removes it; if that is not there any more: "
        f"kubectl patch secret -n {key.namespace} {key.name} --type=merge --patch '{_NO_FINALIZERS}'. The Secret is "
        "created again once it is gone.",
    )


def finalizers_of(target: Observed) -> str:
    """Return the finalizers of a Secret as part of a sentence."""
    return f"finalizer{'' if len(target.finalizers) == 1 else 's'} {listed(target.finalizers)}"


def has_consent(vault_secret: VaultSecret, observed: Observed) -> bool:
    """Return whether a VaultSecret may take over a Secret that is not ours.

    Who may write VaultSecrets need not have a right on Secrets. So the spec alone is not enough: the Secret itself
    names the VaultSecret. One that we released for this very VaultSecret names it by its uid.
    """
    controller = other_controller(observed)
    if controller is None and not observed.managed and observed.retained_by == vault_secret.metadata.uid:
        return True
    adopts = vault_secret.spec.target.adopt or (controller is None and _is_released(observed))
    return adopts and observed.adopt_by == vault_secret.metadata.name


def is_restored(inputs: Inputs) -> bool:
    """Return whether the target was restored from a backup with its VaultSecret, which has another uid since.

    It says that it was written for a VaultSecret of this namespace, name and spec, whose uid does not exist any more.
    So it gets the content that it had. Who may write Secrets can forge that, and might as well consent; who may only
    write VaultSecrets cannot, and has had this Secret under that name before. A released one has no annotation.
    """
    vault_secret, target = inputs.vault_secret, inputs.target
    applied = None if target is None else target.applied
    if target is None or applied is None or applied.owner is None or not inputs.owner_is_gone:
        return False
    is_marked = target.managed and target.owner_uid == applied.owner and not target.owners
    is_same = applied.vault_secret == str(vault_secret.key)
    is_free = target.adopt_by in {None, vault_secret.metadata.name}
    # The object that we wrote ourselves is still there while its VaultSecret is deleted and it is not released yet.
    is_another_object = target.restored or not target.ours
    return (
        is_another_object
        and is_marked
        and is_same
        and is_free
        and applied.spec == fingerprint(vault_secret, uid=applied.owner)
    )


def creates(vault_secret: VaultSecret, target: Observed | None) -> bool:
    """Return whether the Secret is one that we create, or have created; otherwise it is, or was, adopted."""
    return target is None or is_created(vault_secret, target)


def _is_released(observed: Observed) -> bool:
    """Return whether we wrote a Secret before, for a VaultSecret that has left it behind, or that a backup has lost."""
    return observed.retained_by is not None or observed.applied is not None or bool(observed.ours)


def _age(vault_secret: VaultSecretMeta) -> tuple[float, str]:
    return vault_secret.metadata.creation_timestamp.timestamp(), vault_secret.metadata.uid


def _owner_of(observed: Observed) -> str:
    if (controller := other_controller(observed)) is not None:
        return f"is controlled by {listed([_name_of(controller)])}"
    if observed.owners:
        return "is owned by " + listed(map(_name_of, observed.owners))
    if _is_released(observed):
        return "exists already, left behind by a VaultSecret"
    if observed.managers:
        return "exists already, written by " + listed(observed.managers)
    return "exists already"


def _name_of(owner: Owner) -> str:
    return f"{owner.kind} {owner.name}"


def _remedy(vault_secret: VaultSecret, target: Observed) -> str:
    key, controller = vault_secret.target_key, other_controller(target)
    consent = (
        f"kubectl annotate secret -n {key.namespace} {key.name} --overwrite "
        f"{ADOPT_BY_ANNOTATION}={vault_secret.metadata.name}"
    )
    asks = vault_secret.spec.target.adopt or (controller is None and _is_released(target))
    steps = [] if asks else ["set target.adopt: true"]
    steps += [consent] if target.adopt_by != vault_secret.metadata.name else []
    taken = " and ".join(steps)
    if controller is None:
        return f"choose another target.name, delete it, or have it taken over: {taken}"
    removal = f"kubectl patch secret -n {key.namespace} {key.name} --type=merge --patch '{_NO_OWNERS}'"
    return (
        "choose another target.name, or stop that controller first. Then have the Secret taken over, which replaces "
        f"its owner reference: {taken}; or remove only the reference: {removal}"
    )


_NO_OWNERS = json.dumps({"metadata": {"ownerReferences": None}}, separators=(",", ":"))
_NO_FINALIZERS = json.dumps({"metadata": {"finalizers": None}}, separators=(",", ":"))


def _conflict(target: ObjectKey, why: str) -> Failed:
    return Failed(Reason.TARGET_CONFLICT, f"Secret {target} {why}.")
