"""Where identities log in, and what their tokens are for: by the vault's domain, never by what a vault says.

A challenge names an authority too. It is not used: whoever serves it would get the identity's credentials.
https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

CLOUDS: Final[Mapping[str, str]] = {
    ".vault.azure.net": "https://login.microsoftonline.com",
    ".vault.azure.cn": "https://login.chinacloudapi.cn",
    ".vault.usgovcloudapi.net": "https://login.microsoftonline.us",
}
"""The authority of each cloud, by the domain of its vaults."""


@dataclass(frozen=True, slots=True)
class Authorities:
    """The authorities of Azure's clouds, and those that the settings add."""

    of_domains: Mapping[str, str] = field(default_factory=dict)
    """Authorities by the domain of vaults, or by host; a domain begins with a dot."""
    resources: Mapping[str, str] = field(default_factory=dict)
    """What tokens are for, by the domain of vaults, or by host, where it is not the vaults' domain."""
    of_environment: str = ""
    """`AZURE_AUTHORITY_HOST`: where the operator's own identity is registered."""

    def of_grant(self, vault_url: str) -> str:
        """Return where an identity of a VaultGrant logs in for a vault."""
        known = _of_host(vault_url, {**CLOUDS, **self.of_domains})
        return known or self.of_environment or CLOUDS[".vault.azure.net"]

    def of_own(self, vault_url: str) -> str:
        """Return where the operator's own identity logs in for a vault; empty for what the environment says.

        An identity is registered in one cloud. The environment says in which, if it says anything.
        """
        return "" if self.of_environment else self.of_grant(vault_url)

    def resource(self, vault_url: str) -> str | None:
        """Return what tokens for a vault are for; None for what the vault requests, which must be its own domain."""
        return _of_host(vault_url, self.resources)


def _of_host(vault_url: str, of_domains: Mapping[str, str]) -> str | None:
    """Return the value of the host, or of the longest domain that it is in."""
    host = (urlsplit(vault_url).hostname or "").lower()
    matching = [domain for domain in of_domains if _is_in(host, domain.lower())]
    return of_domains[max(matching, key=len)] if matching else None


def _is_in(host: str, domain: str) -> bool:
    return host.endswith(domain) if domain.startswith(".") else host == domain
