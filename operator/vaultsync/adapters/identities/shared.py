"""Credentials that are shared: one for each identity and authority, open as long as a vault is reached with it."""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import aiohttp

from vaultsync.adapters.identities.authorities import Authorities
from vaultsync.adapters.identities.claims import claims_of
from vaultsync.adapters.identities.errors import login_error
from vaultsync.adapters.identities.instrumented import InstrumentedCredential, PostponedCredential
from vaultsync.adapters.identities.interfaces import ClientCredentials, CountLogin, Credential
from vaultsync.errors import Reason, SyncError
from vaultsync.state.access import (
    Identity,
    ManagedIdentity,
    OwnIdentity,
    ServicePrincipal,
    TokenClaims,
    UserLogin,
    WorkloadIdentity,
)

if TYPE_CHECKING:
    from azure.core.credentials import AccessTokenInfo, TokenRequestOptions

_GUID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(slots=True)
class _Shared:
    """A credential, and how many vaults are reached with it."""

    instrumented: InstrumentedCredential
    users: int = 0


_Key = tuple[Identity, str]


class Credentials:
    """The credentials of all identities. Close them with `aclose`."""

    def __init__(
        self,
        sources: ClientCredentials,
        *,
        authorities: Authorities,
        namespace: str,
        tls: ssl.SSLContext,
        count: CountLogin,
    ) -> None:
        """Open no connection yet.

        Args:
            sources: Where identities get what they log in with.
            authorities: Where they log in.
            namespace: The operator's own, where the Secrets of service principals are; empty if it is not known.
            tls: The context of connections to authorities.
            count: Counts logins.
        """
        self._sources = sources
        self._authorities = authorities
        self._namespace = namespace
        self._tls = tls
        self._count = count
        self._sessions: tuple[aiohttp.ClientSession, aiohttp.ClientSession] | None = None
        """One that uses the environment's proxies, and one that does not."""
        self._shared: dict[_Key, _Shared] = {}

    def of(self, identity: Identity, vault_url: str) -> "VaultCredential":
        """Return the credential of an identity for one vault, which the caller closes; sends no request."""
        key = identity, self._authority(identity, vault_url)
        shared = self._shared.get(key)
        if shared is None:
            credential = PostponedCredential(partial(self._open, *key))
            shared = self._shared[key] = _Shared(InstrumentedCredential(credential, count=self._count))
        shared.users += 1
        return VaultCredential(
            identity,
            vault_url,
            shared.instrumented,
            resource=self._authorities.resource(vault_url),
            release=partial(self._release, key, shared),
        )

    async def aclose(self) -> None:
        """Close all credentials, and their connections."""
        shared, self._shared = self._shared, {}
        for one in shared.values():
            await one.instrumented.close()
        for session in self._sessions or ():
            await session.close()

    async def _release(self, key: _Key, shared: _Shared) -> None:
        shared.users -= 1
        if shared.users == 0 and self._shared.get(key) is shared:
            del self._shared[key]
            await shared.instrumented.close()

    def _authority(self, identity: Identity, vault_url: str) -> str:
        """Return where an identity logs in for a vault; empty if its environment or its node knows that."""
        match identity:
            case OwnIdentity() | UserLogin():
                return self._authorities.of_own(vault_url)
            case ManagedIdentity():
                return ""
            case _:
                return self._authorities.of_grant(vault_url)

    async def _open(self, identity: Identity, authority: str) -> Credential:
        # The event loop goes on meanwhile: it takes a quarter of a second.
        open_credential = await import_azure_identity()
        return open_credential(
            identity, self._sources, authority=authority, namespace=self._namespace, sessions=self._connections()
        )

    def _connections(self) -> tuple[aiohttp.ClientSession, aiohttp.ClientSession]:
        if self._sessions is None:
            open_session = partial(
                aiohttp.ClientSession,
                connector=aiohttp.TCPConnector(ssl=self._tls),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
            self._sessions = open_session(trust_env=True), open_session(trust_env=False)
        return self._sessions


async def import_azure_identity() -> "Callable[..., Credential]":
    """Return what opens credentials: until the first call, nothing of azure-identity is in memory."""
    return await asyncio.to_thread(_open_credential)


def _open_credential() -> "Callable[..., Credential]":
    from vaultsync.adapters.identities.credentials import open_credential  # noqa: PLC0415

    return open_credential


class VaultCredential:
    """The credential of an identity for one vault, whose challenge decides neither where it logs in nor as whom."""

    def __init__(
        self,
        identity: Identity,
        vault_url: str,
        credential: InstrumentedCredential,
        *,
        resource: str | None,
        release: Callable[[], Awaitable[None]],
    ) -> None:
        self.identity = identity
        self._vault_url = vault_url
        self._credential = credential
        self._resource = resource
        self._release: Callable[[], Awaitable[None]] | None = release
        self.claims = TokenClaims()
        """Whom the last token names."""

    @property
    def verifies_resource(self) -> bool:
        """Whether a token is only for the vault's own domain; otherwise it is only for what the settings name."""
        return self._resource is None

    async def get_token_info(self, *scopes: str, options: "TokenRequestOptions | None" = None) -> "AccessTokenInfo":
        """Request a token.

        Raises:
            SyncError: LoginFailed; ClusterUnavailable, if what the identity logs in with cannot be read.
        """
        named: TokenRequestOptions = {**options} if options else {}
        if self._resource is not None:
            scopes = (f"{self._resource}/.default",)
            named.pop("tenant_id", None)
        if isinstance(self.identity, WorkloadIdentity | ServicePrincipal):
            self._check_tenant(self.identity, named.pop("tenant_id", None))
        try:
            token = await self._credential.get_token_info(*scopes, options=named)
        except SyncError:
            raise
        except Exception as error:  # noqa: BLE001  azure-identity raises those of its libraries, too
            failure = login_error(error, self.identity, self._vault_url)
        else:
            self.claims = claims_of(token.token)
            return token
        # Outside of the handler: otherwise its context would be that error, whose response and text are the service's.
        raise failure

    async def aclose(self) -> None:
        """Close the credential unless another vault is reached with it. A second call does nothing."""
        release, self._release = self._release, None
        if release is not None:
            await release()

    def _check_tenant(self, identity: WorkloadIdentity | ServicePrincipal, required: str | None) -> None:
        """Check that the vault is of the identity's tenant, where both are named by their ids."""
        ids = {
            tenant.lower() for tenant in (identity.tenant_id, required) if tenant and _GUID.fullmatch(tenant.lower())
        }
        if len(ids) > 1:
            text = (
                f"Vault {self._vault_url} belongs to another Microsoft Entra tenant than the VaultGrant's identity "
                f"({identity.tenant_id}); use an identity of the vault's tenant ({required})."
            )
            raise SyncError(Reason.LOGIN_FAILED, text)
