"""What a fault hides is not absent: no key goes, and no target is created with fewer keys, on a single sign."""

from collections.abc import AsyncGenerator, Collection
from dataclasses import replace
from typing import Any

import pytest

from tests.harness import DB, MemoryHarness, key_of
from vaultsync.state.vaults import ListingPage

FOUND = {f"shop-{number}": "x" for number in range(4)}
SEARCH: dict[str, Any] = {"data": [], "dataFrom": [{"find": {"names": "shop-*"}}]}


def skip_in_listings(harness: MemoryHarness, *names: str) -> set[str]:
    """Have every listing of the vault lack these secrets; return their names, as a set that the test may change."""
    skipped = set(names)
    complete = harness.vaults.list_pages

    async def incomplete(vault_url: str) -> AsyncGenerator[ListingPage, None]:
        async for page in complete(vault_url):
            yield replace(page, secrets={name: one for name, one in page.secrets.items() if name not in skipped})

    harness.vaults.list_pages = incomplete  # type: ignore[method-assign]  # a replica that is behind
    return skipped


@pytest.fixture
async def searching(harness: MemoryHarness) -> MemoryHarness:
    """A search that has found four secrets."""
    for name, value in FOUND.items():
        harness.vault.set(name, value)
    harness.apply(**SEARCH)
    await harness.poll()
    await harness.poll()
    assert harness.values() == FOUND
    harness.reset_counts()
    return harness


async def create_again(harness: MemoryHarness, how: str) -> str:
    """Delete the target, or name another one; return the name of the target that is now desired."""
    if how == "renamed":
        harness.apply(**SEARCH, target={"name": "other"})
        return "other"
    if how == "stripped":
        harness.kube.edit(DB, "kubectl", annotations={"vaultsync.dev/applied": "{}"})
    else:
        harness.kube.delete(DB)
    return "db"


async def polled(harness: MemoryHarness, times: int = 3) -> None:
    for _ in range(times):
        await harness.poll()


WAYS = pytest.mark.parametrize("how", ["deleted", "renamed", "stripped"])


@WAYS
@pytest.mark.parametrize("listed", [(), ("shop-0",)], ids=["an empty listing", "a listing that lacks most"])
async def test_a_target_is_not_created_again_from_an_incomplete_listing(
    searching: MemoryHarness, how: str, listed: Collection[str]
) -> None:
    skipped = skip_in_listings(searching, *(FOUND.keys() - set(listed)))
    await searching.poll()

    target = await create_again(searching, how)
    await polled(searching)
    assert searching.values(target) == (FOUND if how == "stripped" else None)
    assert searching.values() == (None if how == "deleted" else FOUND)
    assert searching.ready().status != "True"

    skipped.clear()
    await polled(searching)
    assert searching.values(target) == FOUND
    assert searching.kube.values(DB) == (None if how == "renamed" else FOUND)
    assert searching.ready().reason == "Synced"


@WAYS
async def test_a_target_is_created_again_without_a_secret_that_is_gone(searching: MemoryHarness, how: str) -> None:
    searching.vault.delete("shop-0")

    target = await create_again(searching, how)
    await polled(searching)

    assert searching.values(target) == {name: value for name, value in FOUND.items() if name != "shop-0"}
    assert searching.kube.values(key_of("db")) is None or target == "db"


@WAYS
async def test_a_target_is_not_created_again_while_deletions_are_held(harness: MemoryHarness, how: str) -> None:
    names = [f"shop-{number}" for number in range(6)]
    for name in names:
        harness.vault.set(name, "x")
    harness.apply(**SEARCH)
    await polled(harness, 2)
    for name in names:
        harness.vault.delete(name)
    harness.vault.set("shop-new", "x")
    await harness.poll()
    assert harness.ready().reason == "DeletionHeld"

    target = await create_again(harness, how)
    await polled(harness)

    assert harness.ready().reason == "DeletionHeld"
    assert harness.values(target) == (dict.fromkeys(names, "x") if how == "stripped" else None)
    assert how == "deleted" or harness.values() == dict.fromkeys(names, "x")
