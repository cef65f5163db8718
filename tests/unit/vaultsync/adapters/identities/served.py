"""An authority and vaults behind TLS on loopback ports, and the operator's credentials for them."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import jwt

from kvsecrets import SecretValue
from kvsecrets._protocol import Request, Response
from kvsecrets.testing import FakeVault
from tests.authorities import Authority
from tests.emulator.listener import Listener
from tests.emulator.login import LoginEndpoint
from tests.emulator.tokens import Tokens
from vaultsync.adapters.identities import Authorities, Credentials
from vaultsync.api import ObjectKey
from vaultsync.errors import Reason, SyncError
from vaultsync.trust import FollowedTrust

TENANT = "7e0a1a52-0000-4000-8000-000000000001"
OTHER_TENANT = "7e0a1a52-0000-4000-8000-000000000002"
CLIENT = "c11e0000-0000-4000-8000-000000000001"
OTHER_CLIENT = "c11e0000-0000-4000-8000-000000000002"
NAMESPACE = "vaultsync"
RESOURCE = "https://localhost"


@dataclass
class FakeCredentialSource:
    """The API server, as identities use it: tokens of ServiceAccounts, and keys of Secrets."""

    accounts: set[ObjectKey] = field(default_factory=set)
    secrets: dict[tuple[ObjectKey, str], str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def request_token(self, account: ObjectKey, *, audience: str) -> SecretValue:
        self.asked.append(f"token {account}")
        if account not in self.accounts:
            raise SyncError(Reason.LOGIN_FAILED, f"ServiceAccount {account} does not exist.")
        claims = {"sub": f"system:serviceaccount:{account.namespace}:{account.name}", "aud": [audience]}
        return SecretValue(jwt.encode(claims, "the key of the cluster's issuer, 32 bytes", algorithm="HS256"))

    async def read_key(self, secret: ObjectKey, name: str) -> SecretValue:
        self.asked.append(f"secret {secret} {name}")
        if (secret, name) not in self.secrets:
            raise SyncError(Reason.LOGIN_FAILED, f"Secret {secret} does not exist.")
        return SecretValue(self.secrets[secret, name])


class Cloud:
    """A cloud of Azure: its authority, and vaults."""

    def __init__(self, folder: Path, names: tuple[str, ...], authority: Authority | None = None) -> None:
        authority = authority or Authority.make(has_key_ids=True, critical=True)
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_text(authority.pem)
        self.trust = FollowedTrust(str(self.ca_file))
        self._tls = authority.server_tls("localhost", *names)
        self.tokens = Tokens(lambda: datetime.now(UTC))
        self.login_listener = Listener(tls=self._tls)
        self.login = LoginEndpoint(self.login_listener.url, self.tokens)
        self.login_listener.serve(self.login.respond)
        self.listeners = [self.login_listener]
        self.source = FakeCredentialSource()
        self.logins: Counter[str] = Counter()
        self.credentials = self.open_credentials(Authorities({"localhost": self.login.url}))

    def open_credentials(self, authorities: Authorities, *, namespace: str = NAMESPACE) -> Credentials:
        """Return credentials of the operator; the caller closes them."""
        return Credentials(
            self.source,
            authorities=authorities,
            namespace=namespace,
            tls=self.trust,
            count=lambda result: self.logins.update([result]),
        )

    async def serve(self, respond: Callable[[Request], Response]) -> str:
        """Serve a function on a port; return its URL."""
        listener = Listener(tls=self._tls)
        listener.serve(respond)
        self.listeners.append(listener)
        await listener.open()
        return listener.url

    async def add_vault(self, *, tenant_id: str = TENANT, resource: str = RESOURCE) -> FakeVault:
        """Serve one more vault, which has the secret `db-password`."""
        listener = Listener(tls=self._tls)
        vault = FakeVault(
            listener.url,
            tenant_id=tenant_id,
            authority=self.login.url,
            check_token=self.tokens.check_for(tenant_id=tenant_id, resource=resource),
        )
        vault.set("db-password", "s3cret")
        listener.serve(vault.respond)
        self.listeners.append(listener)
        await listener.open()
        return vault


@asynccontextmanager
async def cloud(folder: Path, *names: str, authority: Authority | None = None) -> AsyncIterator[Cloud]:
    """Serve a cloud, also under other host names, with certificates of that authority."""
    one = Cloud(folder, names, authority)
    await one.login_listener.open()
    try:
        yield one
    finally:
        await one.credentials.aclose()
        for listener in one.listeners:
            await listener.release()
