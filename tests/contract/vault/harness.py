"""Connects each client to a vault, in process or served over TLS."""

import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, Unpack

import azure.identity
import azure.identity.aio
import pytest
from azure.keyvault.secrets import SecretClient as VendorsClient
from azure.keyvault.secrets._shared import http_challenge_cache
from azure.keyvault.secrets.aio import SecretClient as VendorsAsyncClient

from kvsecrets import AsyncSecretClient, RetryPolicy, SecretClient
from kvsecrets.testing import AsyncFakeCredential, FakeCredential, FakeVault
from tests.contract.vault.clients import Client, Kvsecrets, Vendors
from tests.emulator.client import EmulatedVault, Emulator
from tests.emulator.options import VaultOptions, arguments_of


class Controls(Protocol):
    """Direct changes to a vault; a `FakeVault` and a served one have the same methods."""

    def set(
        self, name: str, value: str, *, content_type: str | None = None, enabled: bool = True, managed: bool = False
    ) -> str: ...

    def disable(self, name: str) -> None: ...

    def delete(self, name: str) -> None: ...

    def purge(self, name: str) -> None: ...

    def fail(self, calls: int = 1, *, status: int = 503) -> None: ...

    def throttle(self, calls: int = 1, *, retry_after: int | None = None) -> None: ...

    def deny(self, permission: str) -> None: ...

    def close_firewall(self) -> None: ...

    def demand_claims(self) -> None: ...


@dataclass(frozen=True)
class Harness:
    """One client with its own vault."""

    client: Client
    vault: Controls
    calls: Callable[[], Counter[str]]
    """Returns the number of calls of each kind that the vault has received."""

    advance: Callable[[float], None]
    """Advances the vault's clock by seconds."""

    tokens: Callable[[], int]
    """Returns the number of tokens that were requested, by all clients of this kind."""


Open = Callable[..., Awaitable[Harness]]
"""Opens a harness whose vault has the given `VaultOptions`."""

FAST = RetryPolicy(base_delay=0.01)
SLOW = 60.0
"""Deletion delay in seconds where a scenario observes incomplete deletions; it advances the clock and does not wait."""


@dataclass
class ShiftedClock:
    """The current time plus an offset: clients compare its dates with the system's clock."""

    offset: timedelta = field(default_factory=timedelta)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def advance(self, seconds: float) -> None:
        self.offset += timedelta(seconds=seconds)


@asynccontextmanager
async def in_memory(_emulator: Emulator, *, aio: bool, **options: Unpack[VaultOptions]) -> AsyncIterator[Harness]:
    """Connect kvsecrets to a `FakeVault`, without a network."""
    clock = ShiftedClock()
    vault = FakeVault(clock=clock, **arguments_of(options))
    async with AsyncExitStack() as stack:
        credential: FakeCredential | AsyncFakeCredential
        if aio:
            credential = AsyncFakeCredential()
            client: Any = await stack.enter_async_context(
                AsyncSecretClient(vault.url, credential, transport=vault.async_transport(), retry=FAST)
            )
        else:
            credential = FakeCredential()
            client = stack.enter_context(SecretClient(vault.url, credential, transport=vault.transport(), retry=FAST))
        yield Harness(Kvsecrets(client), vault, lambda: vault.calls, clock.advance, lambda: len(credential.logins))


@asynccontextmanager
async def served(emulator: Emulator, *, aio: bool, **options: Unpack[VaultOptions]) -> AsyncIterator[Harness]:
    """Connect kvsecrets to a served vault, over TLS and with azure-identity's credential."""
    async with AsyncExitStack() as stack:
        vault = stack.enter_context(new_vault(emulator, options))
        stack.enter_context(ca_trusted(emulator))
        if aio:
            credential = await stack.enter_async_context(azure.identity.aio.ClientSecretCredential(**login(emulator)))
            client: Any = await stack.enter_async_context(AsyncSecretClient(vault.url, credential, retry=FAST))
        else:
            synclogin = stack.enter_context(azure.identity.ClientSecretCredential(**login(emulator)))
            client = stack.enter_context(SecretClient(vault.url, synclogin, retry=FAST))
        yield Harness(Kvsecrets(client), vault, vault.calls, vault.advance, lambda: emulator.logins()["token"])


@asynccontextmanager
async def vendors(emulator: Emulator, *, aio: bool, **options: Unpack[VaultOptions]) -> AsyncIterator[Harness]:
    """Connect the vendor's client to a served vault, over TLS and with azure-identity's credential."""
    # Its check of the challenge requires a subdomain of the resource, which localhost is not.
    client_options: dict[str, Any] = {
        "connection_verify": str(emulator.ca_file),
        "verify_challenge_resource": False,
        "retry_backoff_factor": FAST.base_delay,
    }
    # It keeps challenges by host and port for the whole process, and a vault may listen on the port of an earlier one.
    http_challenge_cache.clear()
    async with AsyncExitStack() as stack:
        vault = stack.enter_context(new_vault(emulator, options))
        if aio:
            credential = await stack.enter_async_context(azure.identity.aio.ClientSecretCredential(**login(emulator)))
            client: Any = await stack.enter_async_context(VendorsAsyncClient(vault.url, credential, **client_options))
        else:
            synclogin = stack.enter_context(azure.identity.ClientSecretCredential(**login(emulator)))
            client = stack.enter_context(VendorsClient(vault.url, synclogin, **client_options))
        yield Harness(Vendors(client), vault, vault.calls, vault.advance, lambda: emulator.logins()["token"])


@contextmanager
def new_vault(emulator: Emulator, options: VaultOptions) -> Iterator[EmulatedVault]:
    """A vault that ends with the context."""
    name = f"harness-{uuid.uuid4().hex}"
    try:
        yield emulator.add_vault(name, **options)
    finally:
        emulator.remove_vault(name)


@contextmanager
def ca_trusted(emulator: Emulator) -> Iterator[None]:
    """Have kvsecrets trust the emulator's certificate, as httpx documents."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SSL_CERT_FILE", str(emulator.ca_file))
        yield


def login(emulator: Emulator) -> dict[str, Any]:
    """The arguments of azure-identity's credential with a client secret."""
    return {
        "tenant_id": emulator.tenant_id,
        "client_id": emulator.client_id,
        "client_secret": emulator.client_secret,
        "authority": emulator.login_url,
        "connection_verify": str(emulator.ca_file),
        "disable_instance_discovery": True,
    }
