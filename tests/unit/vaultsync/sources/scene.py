"""A vault with its poller and those who ask it, on a clock that the test turns; judges nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import httpx

from kvsecrets.testing import AsyncFakeCredential, FakeVault
from tests.builders import a_vault_secret, an_entry
from tests.clocks import Clock, skip
from vaultsync.adapters.keyvault import Budget, Vaults
from vaultsync.api import ObjectKey
from vaultsync.controller.queue import Priority
from vaultsync.errors import Reason, SyncError
from vaultsync.sources.poller import Mode, Poller, Trigger
from vaultsync.state.vaults import Missing, SecretMetadata
from vaultsync.state.vaultsecrets import VaultSecretCache

SKEW = timedelta(minutes=7)
"""The vault's clock is ahead of ours."""


class Scene:
    """A vault, its poller, and the VaultSecrets that ask it; `added` are the keys that were let be reconciled."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.vault = FakeVault("https://shop.vault.azure.net", clock=self.vault_time)
        self.vaultsecrets = VaultSecretCache()
        self.vaultsecrets.has_synced = True
        self.is_due: Callable[[ObjectKey], bool] = lambda _: True
        self.added: list[str] = []
        self.polls: list[tuple[Mode, int, Reason | None]] = []
        self.bugs: list[Exception] = []
        self.framed: list[tuple[str, int]] = []
        self.started: list[datetime] = []
        self.http = httpx.AsyncClient(transport=self.vault.async_transport())
        self.poller = Poller(
            self.vault.url,
            vaults=Vaults(
                AsyncFakeCredential(),
                http=self.http,
                budget=Budget(),
                record=self,
                now=self.clock,
                clock=self.clock.seconds,
            ),
            vaultsecrets=self.vaultsecrets,
            trigger=Trigger(self.add, self.asked),
            record=self,
            clock=self.clock.seconds,
            now=self.clock,
            jitter=lambda _, high: high,
            around=self.around,
        )

    @contextmanager
    def around(self, vault_url: str) -> Iterator[None]:
        before = len(self.polls)
        yield
        self.framed.append((vault_url, len(self.polls) - before))

    def vault_time(self) -> datetime:
        return self.clock() + SKEW

    def add(self, key: ObjectKey, priority: Priority) -> None:
        assert priority is Priority.ROUTINE
        self.added.append(key.name)

    def asked(self, key: ObjectKey) -> bool:
        return self.is_due(key)

    def vault_call(self, vault_url: str, *, operation: str, status: str, seconds: float) -> None:
        """Nobody asks for single calls here."""

    def poll(self, vault_url: str, *, mode: Mode, calls: int, seconds: float, failure: SyncError | None) -> None:
        self.started.append(self.clock())
        self.polls.append((mode, calls, failure.reason if failure else None))

    def broken(self, vault_url: str, error: Exception) -> None:
        self.bugs.append(error)

    def wants(self, name: str, *secrets: str, interval: int = 120, version: str | None = None) -> None:
        """Let a VaultSecret of that name ask for these secrets."""
        entries = [an_entry(key=secret, secret_name=secret, version=version) for secret in secrets]
        self.vaultsecrets.put(
            a_vault_secret(*entries, metadata={"name": name, "uid": name}, refresh_interval=timedelta(seconds=interval))
        )

    def fill(self, count: int) -> None:
        """Put so many secrets into the vault that nobody asks for; 25 make a page."""
        for number in range(count):
            self.vault.set(f"filler-{number:03}", "x")

    def searches(self, name: str) -> None:
        """Let a VaultSecret search the vault."""
        metadata, find = {"name": name, "uid": name}, {"find": {"names": "*"}}
        self.vaultsecrets.put(a_vault_secret(metadata=metadata, data=(), data_from=[find]))

    async def polled(self) -> list[str]:
        """Poll once, a minute after the last time; the names of those that were let be reconciled."""
        self.clock.turn(60)
        self.added.clear()
        await self.poller.poll()
        return sorted(self.added)

    @property
    def calls(self) -> tuple[int, int]:
        """How many pages were listed and how many secrets read since the last time."""
        calls = self.vault.calls["list"], self.vault.calls["get"]
        self.vault.forget_calls()
        return calls

    def metadata(self, name: str) -> SecretMetadata | Missing | None:
        return self.poller.view.secrets.get(name)


def nobody(_: ObjectKey) -> bool:
    return False


async def run_for(scene: Scene, seconds: float) -> None:
    """Let the poller run, second by second."""
    for _ in range(round(seconds)):
        scene.clock.turn(1)
        await skip(1)
