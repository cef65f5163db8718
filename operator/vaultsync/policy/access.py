"""Which vaults may be called and which Secret types may be written."""

from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.errors import Reason, SyncError

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
