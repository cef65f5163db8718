"""Where the suite of scenarios plays: each client, before a vault in process or one that is served over TLS."""

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
from azure.keyvault.secrets.aio import SecretClient as VendorsAsyncClient

from kvsecrets import AsyncSecretClient, RetryPolicy, SecretClient
from kvsecrets.testing import AsyncFakeCredential, FakeCredential, FakeVault
from tests.contract.vault.clients import Client, Kvsecrets, Vendors
from tests.emulator.client import EmulatedVault, Emulator
from tests.emulator.options import VaultOptions, arguments_of


class Controls(Protocol):
    """What happens to a vault behind its clients' backs; a `FakeVault` and a served one have the same."""

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
class Stage:
    """One client before one vault of its own."""

    client: Client
    vault: Controls
    calls: Callable[[], Counter[str]]
    """How many calls of each kind the vault has seen."""

    advance: Callable[[float], None]
    """Moves the vault's clock forward, in seconds."""

    tokens: Callable[[], int]
    """How many tokens were asked for, by all of this stage's kind."""


Open = Callable[..., Awaitable[Stage]]
"""Opens a stage whose vault is set up with the given `VaultOptions`."""

IMPATIENT = RetryPolicy(base_delay=0.01)
"""For whoever asks again, since it is not the waiting that is looked at here."""
SLOW = 60.0
"""Seconds that deletions take where a scenario looks at them half done; it moves the clock, and waits for nothing."""


@dataclass
class ShiftedClock:
    """The time, moved forward; clients see its dates, so it begins now."""

    offset: timedelta = field(default_factory=timedelta)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def advance(self, seconds: float) -> None:
        self.offset += timedelta(seconds=seconds)


@asynccontextmanager
async def in_memory(_emulator: Emulator, *, aio: bool, **options: Unpack[VaultOptions]) -> AsyncIterator[Stage]:
    """Play kvsecrets before a `FakeVault`, without a network."""
    clock = ShiftedClock()
    vault = FakeVault(clock=clock, **arguments_of(options))
    async with AsyncExitStack() as stack:
        credential: FakeCredential | AsyncFakeCredential
        if aio:
            credential = AsyncFakeCredential()
            own: Any = await stack.enter_async_context(
                AsyncSecretClient(vault.url, credential, transport=vault.async_transport(), retry=IMPATIENT)
            )
        else:
            credential = FakeCredential()
            own = stack.enter_context(SecretClient(vault.url, credential, transport=vault.transport(), retry=IMPATIENT))
        yield Stage(Kvsecrets(own), vault, lambda: vault.calls, clock.advance, lambda: len(credential.logins))


@asynccontextmanager
async def served(emulator: Emulator, *, aio: bool, **options: Unpack[VaultOptions]) -> AsyncIterator[Stage]:
    """Play kvsecrets before a served vault, over TLS and with azure-identity's credential."""
    async with AsyncExitStack() as stack:
        vault = stack.enter_context(_vault_of_its_own(emulator, options))
        stack.enter_context(_trusted(emulator))
        if aio:
            asyncs = await stack.enter_async_context(azure.identity.aio.ClientSecretCredential(**_login(emulator)))
            own: Any = await stack.enter_async_context(AsyncSecretClient(vault.url, asyncs, retry=IMPATIENT))
        else:
            threads = stack.enter_context(azure.identity.ClientSecretCredential(**_login(emulator)))
            own = stack.enter_context(SecretClient(vault.url, threads, retry=IMPATIENT))
        yield Stage(Kvsecrets(own), vault, vault.calls, vault.advance, lambda: emulator.logins()["token"])


@asynccontextmanager
async def vendors(emulator: Emulator, *, aio: bool, **options: Unpack[VaultOptions]) -> AsyncIterator[Stage]:
    """Play the vendor's client before a served vault, over TLS and with azure-identity's credential."""
    # Its check of the challenge wants a host name below the named resource, which no port of localhost has.
    usual: dict[str, Any] = {
        "connection_verify": str(emulator.ca_file),
        "verify_challenge_resource": False,
        "retry_backoff_factor": IMPATIENT.base_delay,
    }
    async with AsyncExitStack() as stack:
        vault = stack.enter_context(_vault_of_its_own(emulator, options))
        if aio:
            asyncs = await stack.enter_async_context(azure.identity.aio.ClientSecretCredential(**_login(emulator)))
            own: Any = await stack.enter_async_context(VendorsAsyncClient(vault.url, asyncs, **usual))
        else:
            threads = stack.enter_context(azure.identity.ClientSecretCredential(**_login(emulator)))
            own = stack.enter_context(VendorsClient(vault.url, threads, **usual))
        yield Stage(Vendors(own), vault, vault.calls, vault.advance, lambda: emulator.logins()["token"])


@contextmanager
def _vault_of_its_own(emulator: Emulator, options: VaultOptions) -> Iterator[EmulatedVault]:
    name = f"stage-{uuid.uuid4().hex}"
    try:
        yield emulator.add_vault(name, **options)
    finally:
        emulator.remove_vault(name)


@contextmanager
def _trusted(emulator: Emulator) -> Iterator[None]:
    """Make kvsecrets trust the emulator by httpx's own means."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SSL_CERT_FILE", str(emulator.ca_file))
        yield


def _login(emulator: Emulator) -> dict[str, Any]:
    return {
        "tenant_id": emulator.tenant_id,
        "client_id": emulator.client_id,
        "client_secret": emulator.client_secret,
        "authority": emulator.login_url,
        "connection_verify": str(emulator.ca_file),
        "disable_instance_discovery": True,
    }
