"""Checks vaults from here, with the user's own Azure login: DNS, proxy, TLS, login, list, and get of secrets.

A token is sent to vaults of known domains only, whatever a VaultSecret names: those of Azure, and those of the same
variables that are the operator's settings. A value is read, and neither kept nor printed.
"""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from kvsecrets import CertificateProblem, ConnectionProblem, SecretValue
from vaultsync.adapters.identities import Authorities, Credentials
from vaultsync.adapters.keyvault import Budget, VaultClients
from vaultsync.adapters.keyvault.errors import NoConnection
from vaultsync.api import ObjectKey
from vaultsync.cli.doctor.findings import Finding, failed, ok, unknown
from vaultsync.cli.explain import advice
from vaultsync.connection_faults import ConnectionFault
from vaultsync.errors import NoLogin, Reason, SyncError
from vaultsync.policy.known_vaults import KnownVaults
from vaultsync.settings import Settings
from vaultsync.state.access import Access, TokenClaims, UserLogin
from vaultsync.state.secrets import InactiveReading, SecretRef
from vaultsync.trust import client_tls

_CALLS: Final = Budget(calls=100)
_DNS: Final = frozenset({ConnectionProblem.UNRESOLVED, ConnectionProblem.LOOKUP_FAILED})
_SETTING: Final = (
    "This command reads the operator's settings from the same variables, such as VAULTSYNC_VAULT_DNS_SUFFIXES."
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A vault, and which secrets of it are read."""

    url: str
    secrets: Sequence[SecretRef] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    """The versions that the Secret has, by the names of secrets in lower case."""


class _NoSources:
    """What identities of grants log in with: a user has none of it."""

    async def request_token(self, account: ObjectKey, *, audience: str) -> SecretValue:
        raise NotImplementedError(audience)

    async def read_key(self, secret: ObjectKey, name: str) -> SecretValue:
        raise NotImplementedError(name)


class VaultChecks:
    """The clients with which vaults are checked; close them by leaving the context."""

    def __init__(self, settings: Settings, environ: Mapping[str, str], now: Callable[[], datetime]) -> None:
        """Open no connection yet.

        Raises:
            OSError: The file of authorities cannot be read.
        """
        tls = client_tls(settings.ca_file)
        self._known = KnownVaults(settings.vault_dns_suffixes, settings.vault_hosts)
        authorities = Authorities(
            dict(settings.vault_authorities),
            dict(settings.vault_resources),
            of_environment=environ.get("AZURE_AUTHORITY_HOST", ""),
        )
        self._credentials = Credentials(
            _NoSources(), authorities=authorities, namespace="", tls=tls, count=lambda _: None
        )
        self._vaults = VaultClients(
            self._credentials,
            budget=_CALLS,
            count_call=lambda *_: None,
            now=now,
            clock=time.monotonic,
            tls=tls,
        )
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._stack.push_async_callback(self._credentials.aclose)
        self._stack.push_async_callback(self._vaults.aclose)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def check(self, wanted: Wanted) -> Sequence[Finding]:
        """Return the lines about a vault and its secrets."""
        area = f"vault {wanted.url}"
        if (problem := self._known.problem(wanted.url)) is not None:
            return [unknown(area, f"Not called: {problem}", _SETTING)]
        access = Access("", wanted.url, UserLogin())
        claims, error = TokenClaims(), None
        try:
            claims = await self._vaults.probe(access)
        except SyncError as failure:
            error = failure
        lines = list(vault_findings(area, error, claims, proxy=proxy_to(wanted.url)))
        if error is None or error.reason is Reason.ACCESS_DENIED:
            lines += [line async for line in self._secrets(area, access, wanted)]
        return lines

    async def _secrets(self, area: str, access: Access, wanted: Wanted) -> AsyncIterator[Finding]:
        for ref in wanted.secrets:
            try:
                reading = await self._vaults.get(access, ref)
            except SyncError as error:
                yield failed(area, f"get: {error.message}", advice(error.reason))
                continue
            if isinstance(reading, InactiveReading):
                yield failed(
                    area, f"get: secret {ref.name} has no active version.", advice(Reason.SECRET_NOT_YET_ACTIVE)
                )
            else:
                yield secret_finding(area, ref, reading.version, wanted.versions.get(ref.name.lower()))


def proxy_to(vault_url: str) -> str | None:
    """Return host and port of the proxy to a vault, by the variables of the environment; None if there is none."""
    host, proxies = urlsplit(vault_url).hostname or "", getproxies()
    url = proxies.get("https") or proxies.get("all")
    if not url or proxy_bypass(host):
        return None
    # Never the user and the password.
    return urlsplit(url if "://" in url else f"http://{url}").netloc.rpartition("@")[2]


def vault_findings(area: str, error: SyncError | None, claims: TokenClaims, *, proxy: str | None) -> Iterator[Finding]:
    """Yield the lines about the way to a vault, by the first call, or by its failure."""
    if isinstance(error, NoConnection):
        yield from _connection(area, error, error.fault)
        return
    way = "DNS and TLS are fine" if proxy is None else f"proxy {proxy} and TLS are fine"
    yield ok(area, f"It responds: {way}.")
    match error:
        case NoLogin():
            yield unknown(area, f"login: {error.message}", "Without one, list and get are not tried from here.")
        case SyncError(reason=Reason.LOGIN_FAILED):
            yield failed(area, f"login: {error.message}", advice(error.reason))
        case SyncError(reason=Reason.ACCESS_DENIED):
            yield ok(area, "login: your Azure identity got a token.")
            yield failed(area, f"list: {error.message}", advice(error.reason))
        case SyncError():
            yield failed(area, f"list: {error.reason}: {error.message}", advice(error.reason))
        case None:
            client = "" if claims.client_id is None else f" (client id {claims.client_id})"
            yield ok(area, f"login: your Azure identity{client} got a token.")
            yield ok(area, "list: allowed.")


def _connection(area: str, error: SyncError, fault: ConnectionFault) -> Iterator[Finding]:
    """Yield what is wrong with the way to a vault, after what is not."""
    what = _stage(fault)
    if what == "TLS":
        yield ok(area, "DNS: the host is reached." if fault.proxy is None else f"proxy {fault.proxy} is reached.")
    is_private = fault.certificate is CertificateProblem.UNKNOWN_AUTHORITY
    hint = "For this command, set VAULTSYNC_CA_FILE to the authority's file." if is_private else advice(error.reason)
    yield failed(area, f"{what}: {error.message}", hint)


def _stage(fault: ConnectionFault) -> str:
    if fault.is_of_proxy or fault.problem is ConnectionProblem.PROXY:
        return "proxy"
    if fault.problem in _DNS:
        return "DNS"
    return "TLS" if fault.problem is ConnectionProblem.UNTRUSTED else "connection"


def secret_finding(area: str, ref: SecretRef, version: str, written: str | None) -> Finding:
    """Return the line about a secret that was read: its version is compared with that in the Secret, if it has one."""
    if written is None or ref.previous or version == written:
        same = "" if written is None else ", the version that the Secret has"
        return ok(area, f"get: secret {ref.name} can be read{same}.")
    text = f"get: secret {ref.name} has version {version}, and the Secret has {written}."
    return unknown(area, text, "The Secret follows within refreshInterval, or at once by vaultsync refresh.")
