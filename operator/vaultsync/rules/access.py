"""Who may do what: which vaults are spoken to, and which Secrets are ours to write; reads nothing itself."""

from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret, VaultSecretHead
from vaultsync.rules.observed import Observed
from vaultsync.rules.outcome import Reason, SyncError

REFUSED_TYPES = frozenset({"kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"})
"""Secret types that Kubernetes itself turns into credentials: never written, whoever asks."""


def is_known_vault(vault_url: str, dns_suffixes: Iterable[str]) -> bool:
    """Tell whether a vault is in a known domain, since the operator's token would go there.

    A suffix with a leading dot admits every host below it; one without admits that very host.
    """
    host = (urlsplit(vault_url).hostname or "").lower()
    suffixes = (suffix.lower() for suffix in dns_suffixes)
    return any(host.endswith(suffix) if suffix.startswith(".") else host == suffix for suffix in suffixes)


def check_vault(vault_url: str, dns_suffixes: Collection[str]) -> None:
    """Refuse a vault outside the known domains."""
    if is_known_vault(vault_url, dns_suffixes):
        return
    raise SyncError(
        Reason.INVALID_SPEC,
        f"vaultUrl {vault_url} is not in a domain that this operator speaks to ({', '.join(dns_suffixes)}); "
        "correct it, or add its domain to the operator's setting VAULTSYNC_VAULT_DNS_SUFFIXES.",
    )


def check_type(vault_secret: VaultSecret) -> None:
    """Refuse the types that mint credentials, even where an older CRD let them through."""
    if vault_secret.spec.target.type in REFUSED_TYPES:
        raise SyncError(
            Reason.INVALID_SPEC,
            f"target.type {vault_secret.spec.target.type} is never written: Kubernetes turns it into a credential.",
        )


def check_target(vault_secret: VaultSecret, observed: Observed | None, rivals: Iterable[VaultSecretHead]) -> None:
    """Refuse a target that is somebody else's.

    `rivals` are the other VaultSecrets that want the same target: the oldest wins, so that the answer does not depend
    on who came by first.
    """
    rivals = tuple(rivals)
    for rival in rivals:
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


def _age(vault_secret: VaultSecretHead) -> tuple[float, str]:
    return vault_secret.metadata.creation_timestamp.timestamp(), vault_secret.metadata.uid


def _whose(observed: Observed) -> str:
    if observed.owners:
        return "is owned by " + ", ".join(f"{owner.kind} {owner.name}" for owner in observed.owners)
    if observed.managers:
        return "exists already, written by " + ", ".join(observed.managers)
    return "exists already"


def _conflict(target: ObjectKey, why: str) -> SyncError:
    return SyncError(Reason.TARGET_CONFLICT, f"Secret {target} {why}.")
