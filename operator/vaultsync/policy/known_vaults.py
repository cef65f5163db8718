"""Which vaults the operator may call, by its settings, whatever a VaultSecret names; calls none."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

HTTPS_PORT: Final = 443


@dataclass(frozen=True, slots=True)
class KnownVaults:
    """The vaults to which the operator's token may be sent.

    Whoever writes VaultSecrets chooses among them. With any port of any host, he could have the operator connect to
    whatever is reachable from its pod, and wait for it.
    """

    dns_suffixes: tuple[str, ...]
    """The domains, each with a leading dot, whose hosts are called on port 443."""
    hosts: tuple[str, ...] = ()
    """Further hosts, each with the only port on which it is called, or `*` for any port: `kv.example.com:8443`."""

    def problem(self, vault_url: str) -> str | None:
        """Return why a vault may not be called, and what to do; None if it may."""
        if self.has(vault_url):
            return None
        if self._has_host(_address(vault_url)[0]):
            return (
                f"vaultUrl {vault_url} names a port that this operator may not call; remove the port, or add the host "
                "with its port to the operator's setting VAULTSYNC_VAULT_HOSTS."
            )
        return (
            f"vaultUrl {vault_url} is not in a domain that this operator may call ({', '.join(self.dns_suffixes)}); "
            "correct it, or add its domain to the operator's setting VAULTSYNC_VAULT_DNS_SUFFIXES, or its host to "
            "VAULTSYNC_VAULT_HOSTS."
        )

    def has(self, vault_url: str) -> bool:
        """Return whether a vault is known: host and port."""
        host, port = _address(vault_url)
        if port == HTTPS_PORT and self._has_domain(host):
            return True
        return not {f"{host}:{port}", f"{host}:*"}.isdisjoint(self.hosts)

    def _has_host(self, host: str) -> bool:
        return self._has_domain(host) or any(host == known.rpartition(":")[0] for known in self.hosts)

    def _has_domain(self, host: str) -> bool:
        return host.endswith(self.dns_suffixes)


@lru_cache(maxsize=256)
def _address(vault_url: str) -> tuple[str, int]:
    """Return the host and the port of a vault."""
    parts = urlsplit(vault_url)
    return (parts.hostname or "").lower(), parts.port or HTTPS_PORT
