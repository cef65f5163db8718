"""What stays the same about a fake vault: address, tenant, rules on deletion, API versions; holds no secrets."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Self
from urllib.parse import urlsplit

VAULT_SUFFIXES = ("vault.azure.net", "vault.azure.cn", "vault.usgovcloudapi.net", "vault.microsoftazure.de")
"""Where the real vaults of each cloud live: https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates"""

API_VERSIONS = (
    "2016-10-01",
    "7.0",
    "7.1",
    "7.2",
    "7.3",
    "7.4",
    "7.5",
    "7.6",
    "2025-07-01",
    "2026-03-01-preview",
    "2026-04-01",
)
"""The API versions that the fake recognizes."""

_HTTPS_PORT = 443
_LEAST_RETENTION_DAYS = 7
_FULL_RETENTION_DAYS = 90


@dataclass(frozen=True, slots=True)
class Profile:
    """One vault as its owner has set it up."""

    url: str
    """Scheme and authority, without a default port and without a trailing slash: the start of every id."""

    paging_url: str
    """The same with its port always in it, as the service writes it into `nextLink`."""

    name: str
    resource: str
    authority: str
    tenant_id: str
    soft_delete: bool
    recoverable_days: int
    purge_protection: bool
    deletion_delay: timedelta
    rbac: bool

    @classmethod
    def of(
        cls,
        vault_url: str,
        *,
        resource: str | None,
        authority: str,
        tenant_id: str,
        soft_delete: bool,
        recoverable_days: int,
        purge_protection: bool,
        deletion_delay: timedelta,
        rbac: bool,
    ) -> Self:
        """Read the vault's address apart; `resource` is guessed from it when it is not given.

        Raises:
            ValueError: the URL is not https with a host, or the days are outside 7 to 90.
        """
        parts = urlsplit(vault_url)
        host = parts.hostname
        if parts.scheme != "https" or not host:
            raise ValueError(f"a vault URL is https://<host>, not {vault_url!r}")
        if not _LEAST_RETENTION_DAYS <= recoverable_days <= _FULL_RETENTION_DAYS:
            raise ValueError(f"a vault keeps deleted secrets for 7 to 90 days, not {recoverable_days}")
        port = parts.port or _HTTPS_PORT
        url = f"https://{host}" if port == _HTTPS_PORT else f"https://{host}:{port}"
        suffix = next((suffix for suffix in VAULT_SUFFIXES if host.endswith(f".{suffix}")), None)
        return cls(
            url=url,
            paging_url=f"https://{host}:{port}",
            name=host.partition(".")[0],
            resource=resource or f"https://{suffix or host}",
            authority=authority.rstrip("/"),
            tenant_id=tenant_id,
            soft_delete=soft_delete,
            recoverable_days=recoverable_days if soft_delete else 0,
            purge_protection=purge_protection,
            deletion_delay=deletion_delay,
            rbac=rbac,
        )

    @property
    def recovery_level(self) -> str:
        """The word that every secret's attributes carry; without `Purgeable` in it, nobody may purge."""
        if not self.soft_delete:
            return "Purgeable"
        word = "Recoverable" if self.recoverable_days == _FULL_RETENTION_DAYS else "CustomizedRecoverable"
        return word if self.purge_protection else f"{word}+Purgeable"
