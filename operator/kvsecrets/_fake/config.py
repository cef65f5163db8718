"""The configuration of a fake vault: address, tenant, deletion rules, API versions; holds no secrets."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Self
from urllib.parse import urlsplit

VAULT_SUFFIXES = ("vault.azure.net", "vault.azure.cn", "vault.usgovcloudapi.net", "vault.microsoftazure.de")
"""DNS suffixes of the vaults of each cloud: https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates"""

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
"""The API versions that the fake accepts."""

_HTTPS_PORT = 443
_MIN_RETENTION_DAYS = 7
_MAX_RETENTION_DAYS = 90


@dataclass(frozen=True, slots=True)
class VaultConfig:
    """The settings of one vault."""

    url: str
    """Scheme and authority, without a default port and without a trailing slash: the prefix of every id."""

    paging_url: str
    """The same with its port, as the service writes it into `nextLink`."""

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
    def create(
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
        """Check the settings; `resource` is derived from the URL if it is None.

        Raises:
            ValueError: The URL is not https with a host, or the days are outside of 7 to 90.
        """
        parts = urlsplit(vault_url)
        host = parts.hostname
        if parts.scheme != "https" or not host:
            raise ValueError(f"a vault URL must be https://<host>, not {vault_url!r}")
        if not _MIN_RETENTION_DAYS <= recoverable_days <= _MAX_RETENTION_DAYS:
            raise ValueError(f"recoverable_days must be 7 to 90 days, not {recoverable_days}")
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
        """The recovery level in the attributes of every secret; purging is allowed only with `Purgeable` in it."""
        if not self.soft_delete:
            return "Purgeable"
        level = "Recoverable" if self.recoverable_days == _MAX_RETENTION_DAYS else "CustomizedRecoverable"
        return level if self.purge_protection else f"{level}+Purgeable"
