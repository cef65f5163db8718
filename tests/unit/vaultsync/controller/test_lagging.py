"""A replica of the vault that lags: the target stays whole and as new as it was, with a bounded number of reads."""

from dataclasses import replace

import pytest

from tests.builders import ACCESS
from tests.harness import DB, MemoryHarness, entry
from vaultsync.api import REFRESH_ANNOTATION
from vaultsync.policy.guards import LASTING
from vaultsync.policy.requeue import WAITING_RETRY
from vaultsync.state.access import Access
from vaultsync.state.secrets import SecretRef, VaultReading

LONG = int(LASTING.total_seconds() / WAITING_RETRY)
"""How many retries it takes until an older version has lasted."""


class Replica:
    """Returns what the vault returned before, for the secrets that were recorded, while it lags."""

    def __init__(self, harness: MemoryHarness, monkeypatch: pytest.MonkeyPatch) -> None:
        self._vaults = harness.vaults
        self._read = harness.vaults.get
        self._old: dict[SecretRef, VaultReading] = {}
        self.lagging: set[str] = set()
        self.reads = 0
        monkeypatch.setattr(harness.vaults, "get", self.get)

    async def record(self, *names: str) -> None:
        for name in names:
            self._old[SecretRef(name)] = await self._read(ACCESS, SecretRef(name))

    async def get(
        self, access: Access, ref: SecretRef, *, namespace: str = "", since: float | None = None
    ) -> VaultReading:
        self.reads += 1
        if ref.name in self.lagging:
            return replace(self._old[ref.identity], began=self._vaults.moment())
        return await self._read(access, ref, namespace=namespace, since=since)


@pytest.fixture
async def replica(harness: MemoryHarness, monkeypatch: pytest.MonkeyPatch) -> Replica:
    """A target with two secrets of the second generation, and a replica that has their first."""
    harness.vault.set("api-token", "first")
    harness.apply(entry(), entry("token", "api-token"))
    await harness.drain()
    await harness.poll()
    replica = Replica(harness, monkeypatch)
    await replica.record("db-password", "api-token")
    await harness.pass_time()
    harness.vault.set("api-token", "second")
    await harness.rotate()
    await harness.poll()
    await harness.poll()
    assert harness.values() == SECOND
    harness.reset_counts()
    replica.reads = 0
    return replica


FIRST = {"password": "first", "token": "first"}
SECOND = {"password": "second", "token": "second"}


def request_refresh(harness: MemoryHarness, text: str) -> None:
    harness.apply(entry(), entry("token", "api-token"), annotations={REFRESH_ANNOTATION: text})


async def recheck(harness: MemoryHarness) -> None:
    """Have both secrets read, as for a target that was tampered with."""
    harness.kube.edit(DB, "kubectl", data={"extra": "x"})
    await harness.drain()


async def test_a_target_that_is_healed_waits_for_the_newest_versions(harness: MemoryHarness, replica: Replica) -> None:
    replica.lagging = {"api-token"}
    await recheck(harness)

    assert (harness.ready().status, harness.ready().reason) == ("Unknown", "Waiting")
    assert "apply_target" not in harness.writes

    replica.lagging = set()
    await harness.pass_time(WAITING_RETRY)
    await harness.drain()
    assert harness.values() == SECOND
    assert harness.ready().status == "True"


async def test_a_new_version_waits_for_the_others_that_are_older(harness: MemoryHarness, replica: Replica) -> None:
    replica.lagging = {"api-token"}
    await harness.rotate("third")
    await harness.poll()
    assert harness.values() == SECOND

    replica.lagging = set()
    await harness.pass_time(WAITING_RETRY)
    await harness.drain()
    assert harness.values() == SECOND | {"password": "third"}


async def test_an_older_version_is_taken_once_it_lasts(harness: MemoryHarness, replica: Replica) -> None:
    replica.lagging = {"db-password", "api-token"}
    await recheck(harness)
    for _ in range(LONG - 1):
        await harness.pass_time(WAITING_RETRY)
        await harness.drain()
        assert "apply_target" not in harness.writes

    for _ in range(3):
        await harness.pass_time(WAITING_RETRY)
        await harness.drain()

    assert harness.values() == FIRST


async def test_an_older_version_is_taken_at_once_on_request(harness: MemoryHarness, replica: Replica) -> None:
    replica.lagging = {"db-password", "api-token"}
    await recheck(harness)
    assert "apply_target" not in harness.writes
    assert "a refresh is requested from now on" in harness.ready().message

    request_refresh(harness, "now")
    await harness.drain()

    assert harness.values() == FIRST
    assert harness.status().last_handled_refresh == "now"


async def test_a_refresh_that_was_requested_in_an_outage_takes_no_older_version(
    harness: MemoryHarness, replica: Replica
) -> None:
    harness.vault.close_door()
    request_refresh(harness, "now")
    await harness.drain()
    assert harness.ready().reason == "VaultUnreachable"

    harness.vault.open_door()
    replica.lagging = {"db-password", "api-token"}
    for _ in range(3):
        await harness.poll()
    assert harness.values() == SECOND
    assert (harness.ready().status, harness.ready().reason) == ("Unknown", "Waiting")
    assert "a refresh is requested from now on" in harness.ready().message

    request_refresh(harness, "again")
    await harness.drain()
    assert harness.values() == FIRST
