"""The credential of each kind of identity, all of azure-identity's own; shares and closes none of them.

`shared` imports this module at the first login, or before it on a standby, in a thread: azure-identity takes 14 MB with
all that it imports.

https://learn.microsoft.com/python/api/overview/azure/identity-readme
"""

import asyncio
from typing import Final, assert_never

import aiohttp
from azure.core.credentials import AccessTokenInfo, TokenRequestOptions
from azure.core.pipeline.transport import AioHttpTransport

from kvsecrets import SecretValue
from vaultsync.adapters.identities.client_library import (
    CertificateCredential,
    ChainedTokenCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    DefaultAzureCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)
from vaultsync.adapters.identities.interfaces import ClientCredentials, Credential
from vaultsync.adapters.identities.transport import LoginTransport
from vaultsync.api import ObjectKey
from vaultsync.errors import Reason, SyncError
from vaultsync.state.access import (
    Identity,
    ManagedIdentity,
    OwnIdentity,
    ServicePrincipal,
    UserLogin,
    WorkloadIdentity,
)

AUDIENCE: Final = "api://AzureADTokenExchange"
"""Whom a ServiceAccount's token is for: Microsoft Entra ID, and no API server.

https://learn.microsoft.com/entra/workload-id/workload-identity-federation-create-trust
"""


def open_credential(
    identity: Identity,
    sources: ClientCredentials,
    *,
    authority: str,
    namespace: str,
    sessions: tuple[aiohttp.ClientSession, aiohttp.ClientSession],
) -> Credential:
    """Return the credential of an identity.

    Args:
        identity: Whose it is.
        sources: Where it gets what it logs in with.
        authority: Where it logs in; empty if its environment or its node knows that.
        namespace: The operator's own.
        sessions: The connections that all credentials share, by the environment's proxies and without; closing the
            credential closes none of them.
    """
    by_proxy, direct = sessions
    transport = LoginTransport(by_proxy, direct=direct)
    match identity:
        case OwnIdentity():
            return own_credential(authority, transport)
        case UserLogin():
            return own_credential(authority, transport, with_tools=True)
        case ManagedIdentity():
            return ManagedIdentityCredential(client_id=identity.client_id, transport=transport)
        case WorkloadIdentity():
            return FederatedCredential(identity, sources, authority=authority, transport=transport)
        case ServicePrincipal():
            return PrincipalCredential(identity, sources, namespace=namespace, authority=authority, transport=transport)
        case _:
            assert_never(identity)


def own_credential(
    authority: str, transport: AioHttpTransport, *, with_tools: bool = False
) -> DefaultAzureCredential | ChainedTokenCredential:
    """Return the credential that the environment configures: workload identity, managed identity or a client secret.

    Interactive credentials and those of developer tools are excluded: in a cluster they could only time out.

    Args:
        authority: Where it logs in; empty for `AZURE_AUTHORITY_HOST`.
        transport: The HTTP client.
        with_tools: Whether the login of the Azure CLI, the Azure Developer CLI or Azure PowerShell will do, too.
    """
    default = DefaultAzureCredential(
        authority=authority or None,
        transport=transport,
        exclude_developer_cli_credential=not with_tools,
        exclude_cli_credential=not with_tools,
        exclude_powershell_credential=not with_tools,
        exclude_shared_token_cache_credential=True,
        exclude_visual_studio_code_credential=True,
    )
    if not authority:
        return default
    # It passes its authority to all of its credentials but this one.
    return ChainedTokenCredential(
        *(
            WorkloadIdentityCredential(authority=authority, transport=transport)
            if isinstance(one, WorkloadIdentityCredential)
            else one
            for one in default.credentials
        )
    )


class FederatedCredential:
    """The credential of an identity that trusts a ServiceAccount: each login requests a new token of the account."""

    def __init__(
        self, identity: WorkloadIdentity, sources: ClientCredentials, *, authority: str, transport: AioHttpTransport
    ) -> None:
        self._account = ObjectKey(identity.namespace, identity.service_account)
        self._sources = sources
        self._assertion = SecretValue("")
        self._lock = asyncio.Lock()
        self._credential = ClientAssertionCredential(
            identity.tenant_id,
            identity.client_id,
            self._reveal,
            authority=authority,
            transport=transport,
        )

    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """Request a token; raises what azure-identity raises, and `SyncError` if the account gives no token."""
        async with self._lock:
            self._assertion = await self._sources.request_token(self._account, audience=AUDIENCE)
            try:
                return await self._credential.get_token_info(*scopes, options=options)
            finally:
                self._assertion = SecretValue("")

    async def close(self) -> None:
        """Close the credential."""
        await self._credential.close()

    def _reveal(self) -> str:
        return self._assertion.reveal()


class PrincipalCredential:
    """The credential of a service principal, whose secret or certificate each login reads again."""

    def __init__(
        self,
        identity: ServicePrincipal,
        sources: ClientCredentials,
        *,
        namespace: str,
        authority: str,
        transport: AioHttpTransport,
    ) -> None:
        self._identity = identity
        self._sources = sources
        self._namespace = namespace
        self._authority = authority
        self._transport = transport
        self._lock = asyncio.Lock()
        self._proof: SecretValue | None = None
        self._credential: ClientSecretCredential | CertificateCredential | None = None

    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """Request a token; raises what azure-identity raises, and `SyncError` if there is nothing to log in with."""
        async with self._lock:
            credential = await self._current()
            return await credential.get_token_info(*scopes, options=options)

    async def close(self) -> None:
        """Close the credential."""
        if self._credential is not None:
            await self._credential.close()

    async def _current(self) -> Credential:
        """Return the credential of what the Secret holds now; tokens of an earlier secret are not used any more."""
        if not self._namespace:
            text = "The operator's variable POD_NAMESPACE, which names the namespace of this Secret, is not set."
            raise SyncError(Reason.LOGIN_FAILED, text)
        proof = await self._sources.read_key(ObjectKey(self._namespace, self._identity.secret_name), self._identity.key)
        if self._credential is None or proof != self._proof:
            await self.close()
            self._credential = await asyncio.to_thread(self._build, proof)
            self._proof = proof
        return self._credential

    def _build(self, proof: SecretValue) -> ClientSecretCredential | CertificateCredential:
        one = self._identity
        if not one.is_certificate:
            return ClientSecretCredential(
                one.tenant_id, one.client_id, proof.reveal(), authority=self._authority, transport=self._transport
            )
        try:
            return CertificateCredential(
                one.tenant_id,
                one.client_id,
                certificate_data=proof.reveal().encode(),
                authority=self._authority,
                transport=self._transport,
            )
        except ValueError:
            text = (
                f"Secret {self._namespace}/{one.secret_name} has no certificate with its RSA private key, in PEM "
                "and without a password, in the key that the VaultGrant names."
            )
            raise SyncError(Reason.LOGIN_FAILED, text) from None
