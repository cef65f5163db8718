"""What a fault hides is not absent: no key goes, and no target is created with fewer keys, on a single sign."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from dataclasses import replace
from typing import Any

import httpx
import pytest

from kvsecrets.testing import FakeVault
from tests.harness import DB, Line, MemoryHarness, entry, key_of
from vaultsync.policy.guards import LASTING
from vaultsync.policy.requeue import WAITING_RETRY
from vaultsync.state.access import Access
from vaultsync.state.listings import ListingPage, SecretMetadata
from vaultsync.state.secrets import SecretRef, VaultReading

FOUND = {f"shop-{number}": "x" for number in range(4)}
GRACE = 3600
"""The default of `deleteAfter`, in seconds."""

SEARCH: dict[str, Any] = {"data": [], "dataFrom": [{"find": {"names": "shop-*"}}]}


def skip_in_listings(harness: MemoryHarness, *names: str) -> set[str]:
    """Have every listing of the vault lack these secrets; return their names, as a set that the test may change."""
    skipped = set(names)
    complete = harness.vaults.list_pages

    async def incomplete(access: Access) -> AsyncGenerator[ListingPage, None]:
        async for page in complete(access):
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
async def test_a_target_is_created_again_without_a_secret_that_is_gone_unless_the_last_one_holds_it(
    searching: MemoryHarness, how: str
) -> None:
    searching.vault.delete("shop-0")

    target = await create_again(searching, how)
    await polled(searching)

    gone = {"shop-0"} if how == "deleted" else set()
    assert searching.values(target) == {name: value for name, value in FOUND.items() if name not in gone}
    assert searching.kube.values(key_of("db")) is None or target == "db"
    assert [one.secret_name for one in searching.status().missing] == ["shop-0"]

    await searching.poll(GRACE)
    assert searching.values(target) == {name: value for name, value in FOUND.items() if name != "shop-0"}


@WAYS
async def test_no_target_is_created_without_keys_while_deletions_are_held(harness: MemoryHarness, how: str) -> None:
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
    assert harness.values(target) == (None if how == "deleted" else dict.fromkeys([*names, "shop-new"], "x"))


# a listing that is behind


def keep_listing(harness: MemoryHarness) -> None:
    """Have every listing from now on return what the vault holds now."""
    listed, moment = dict[str, SecretMetadata](), harness.vaults.moment
    complete = harness.vaults.list_pages

    async def behind(access: Access) -> AsyncGenerator[ListingPage, None]:
        if not listed:
            async for page in complete(access):
                listed.update(page.secrets)
        observed_at = moment()
        yield ListingPage({name: replace(one, observed_at=observed_at) for name, one in listed.items()})

    harness.vaults.list_pages = behind  # type: ignore[method-assign]  # a replica that is behind


TAGGED: dict[str, Any] = {"data": [], "dataFrom": [{"find": {"tags": {"app": "shop"}}}]}
TAGS = {"app": "shop"}


def tag(vault: FakeVault) -> None:
    vault.set("shop-1", "x", tags=TAGS)


def enable(vault: FakeVault) -> None:
    vault.enable("shop-1")


@pytest.fixture(params=[tag, enable], ids=["before it got its tag", "before it was enabled"])
async def behind(request: pytest.FixtureRequest, harness: MemoryHarness) -> MemoryHarness:
    """A search that has found two secrets, and listings with the second as it was before."""
    harness.vault.set("shop-0", "x", tags=TAGS)
    harness.vault.set("shop-1", "x", tags=None if request.param is tag else TAGS, enabled=request.param is tag)
    complete = harness.vaults.list_pages
    keep_listing(harness)
    harness.apply(**TAGGED)
    await harness.poll()
    behind = harness.vaults.list_pages

    harness.vaults.list_pages = complete  # type: ignore[method-assign]  # all replicas are up to date
    request.param(harness.vault)
    await polled(harness)
    assert harness.values() == {"shop-0": "x", "shop-1": "x"}
    harness.vaults.list_pages = behind  # type: ignore[method-assign]  # one is not
    return harness


async def test_no_key_goes_because_a_listing_is_behind(behind: MemoryHarness) -> None:
    await behind.poll()

    assert behind.values() == {"shop-0": "x", "shop-1": "x"}
    assert (behind.ready().status, behind.ready().reason) == ("Unknown", "Waiting")


async def test_a_listing_that_is_behind_costs_one_read_in_each_poll(behind: MemoryHarness) -> None:
    behind.reset_counts()
    await behind.poll()

    assert behind.reads == 1


async def test_a_secret_that_has_lost_its_tag_loses_its_key_after_its_grace_period(harness: MemoryHarness) -> None:
    harness.vault.set("shop-0", "x", tags=TAGS)
    harness.vault.set("shop-1", "x", tags=TAGS)
    harness.apply(**TAGGED)
    await polled(harness)
    harness.vault.set("shop-1", "changed")
    await polled(harness)
    assert harness.values() == {"shop-0": "x", "shop-1": "x"}
    assert "shop-1 of secret shop-1" in harness.ready().message
    await harness.assert_idle()

    await harness.poll(GRACE)
    assert harness.values() == {"shop-0": "x"}
    await harness.assert_idle()


# one response that hides a secret


class Hiding(httpx.AsyncBaseTransport):
    """A transport to the vault that hides something in the next response to a request."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.hidden: list[tuple[str, str]] = []
        """Paths after `/secrets/`, each with the version that is hidden from the list of versions of that path."""
        self.all = False
        """Whether everything is hidden, as if another vault answered."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/secrets/").rstrip("/")
        if self.all:
            return _of_an_empty_vault(request)
        response = await self._inner.handle_async_request(request)
        found = next((one for one in self.hidden if one[0] == path), None)
        if found is None or response.status_code != httpx.codes.OK:
            return response
        self.hidden.remove(found)
        if not path.endswith("/versions"):
            return _not_found(request)
        document = json.loads(await response.aread())
        document["value"] = [one for one in document["value"] if not one["id"].endswith(found[1])]
        return httpx.Response(200, json=document, request=request)


def _not_found(request: httpx.Request) -> httpx.Response:
    body = {"error": {"code": "SecretNotFound", "message": "A secret was not found in this key vault."}}
    return httpx.Response(404, json=body, request=request)


def _of_an_empty_vault(request: httpx.Request) -> httpx.Response:
    is_list = request.url.path.rstrip("/") == "/secrets"
    return (
        httpx.Response(200, json={"value": [], "nextLink": None}, request=request) if is_list else _not_found(request)
    )


class HidingHarness(MemoryHarness):
    """A harness whose vault hides what the test says."""

    def vault_transport(self) -> httpx.AsyncBaseTransport:
        self.hiding = Hiding(super().vault_transport())
        return self.hiding


@pytest.fixture
async def hiding() -> AsyncIterator[HidingHarness]:
    harness = HidingHarness()
    await harness.start([])
    yield harness
    await harness.aclose()


Hide = Callable[[str], tuple[str, str]]
"""What is hidden, of a secret with that older version."""

PAIR = "api-token"
"""A secret with two versions."""

FAULTS = pytest.mark.parametrize(
    ("line", "hide"),
    [
        ({"previousKey": "old"}, lambda older: (f"{PAIR}/{older}", "")),
        ({"previousKey": "old"}, lambda older: (f"{PAIR}/versions", older)),
        ({"key": "pin", "version": "older", "optional": True}, lambda older: (f"{PAIR}/{older}", "")),
        ({"optional": True}, lambda _: (PAIR, "")),
    ],
    ids=[
        "the previous version is not returned",
        "the previous version is not listed",
        "a pinned version is not returned",
        "an optional secret is not returned",
    ],
)


async def due_again(harness: HidingHarness, line: Line) -> tuple[str, dict[str, str]]:
    """Sync a key of the pair, and have it read again; return its older version, and what the target holds."""
    older = harness.vault.set(PAIR, "older")
    await harness.pass_time()
    harness.vault.set(PAIR, "newer")
    pin = {"version": older} if "version" in line else {}
    lines = [entry(), entry(**{"key": "token", "name": PAIR, **line, **pin})]
    harness.apply(*lines)
    await harness.poll()
    await harness.poll()
    values = harness.values()
    assert values is not None
    harness.apply(*lines, target={"labels": {"changed": "true"}})
    return older, values


@FAULTS
async def test_one_response_that_hides_a_secret_removes_no_key(hiding: HidingHarness, line: Line, hide: Hide) -> None:
    older, values = await due_again(hiding, line)
    hiding.hiding.hidden.append(hide(older))

    await hiding.drain()
    assert hiding.hiding.hidden == []
    assert hiding.values() == values
    assert hiding.ready().message != "2 keys are in sync."

    await hiding.poll()
    assert hiding.values() == values
    assert hiding.ready().reason == "Synced"
    assert hiding.status().missing == ()


async def test_a_previous_version_that_was_disabled_goes_after_its_grace_period(hiding: HidingHarness) -> None:
    older, values = await due_again(hiding, {"previousKey": "old"})
    hiding.vault.disable(PAIR, older)

    await hiding.drain()
    await polled(hiding)
    assert hiding.values() == values
    assert [(one.secret_name, one.key) for one in hiding.status().missing] == [(PAIR, "old")]

    await hiding.poll(GRACE)
    assert (hiding.values(), hiding.ready().reason) == ({"password": "first", "token": "newer"}, "Synced")
    await hiding.poll()
    await hiding.assert_idle()


@pytest.mark.parametrize(
    "spec",
    [
        {"data": [entry(name, name, optional=True) for name in FOUND]},
        {"data": [], "dataFrom": [{"find": {"names": "shop-*"}, "optional": True}]},
    ],
    ids=["named", "found"],
)
async def test_an_empty_vault_that_answers_for_a_moment_empties_no_target(
    hiding: HidingHarness, spec: dict[str, Any]
) -> None:
    for name, value in FOUND.items():
        hiding.vault.set(name, value)
    hiding.apply(**spec)
    await polled(hiding)

    hiding.hiding.all = True
    await hiding.poll()
    assert hiding.values() == FOUND
    assert hiding.ready().message.startswith("0 keys are in sync; missing in the vault")

    hiding.hiding.all = False
    await polled(hiding, 2)
    assert (hiding.values(), hiding.ready().message) == (FOUND, "4 keys are in sync.")
    await hiding.assert_idle()


async def test_a_key_whose_secret_stays_missing_goes_after_its_grace_period(hiding: HidingHarness) -> None:
    hiding.vault.set("api-token", "token")
    hiding.apply(entry(), entry("token", "api-token", optional=True))
    await polled(hiding)
    hiding.vault.delete("api-token")
    hiding.vault.purge("api-token")
    await hiding.poll()
    await hiding.pass_time(GRACE - 1)
    await hiding.drain()
    assert hiding.values() == {"password": "first", "token": "token"}

    await hiding.poll()
    assert hiding.values() == {"password": "first"}
    await hiding.poll()
    await hiding.assert_idle()


async def rotate_pair(harness: HidingHarness, *values: str) -> list[str]:
    """Set versions of the pair, a minute apart; return their ids."""
    versions = []
    for value in values:
        await harness.pass_time()
        versions.append(harness.vault.set(PAIR, value))
    return versions


async def with_previous(harness: HidingHarness) -> list[str]:
    """Sync the newest of three versions, and the one before it; return their ids."""
    versions = await rotate_pair(harness, "one", "two", "three")
    harness.apply(entry(), entry("token", PAIR, previousKey="old"))
    await polled(harness, 2)
    assert harness.values() == {"password": "first", "token": "three", "old": "two"}
    return versions


async def test_a_list_of_versions_that_lacks_the_previous_one_does_not_bring_an_older_one_back(
    hiding: HidingHarness,
) -> None:
    versions = await with_previous(hiding)
    hiding.hiding.hidden.append((f"{PAIR}/versions", versions[1]))
    await hiding.rotate()
    await hiding.poll()
    assert hiding.values() == {"password": "first", "token": "three", "old": "two"}
    assert hiding.ready().reason == "Waiting"

    await hiding.pass_time(WAITING_RETRY)
    await hiding.drain()
    assert hiding.values() == {"password": "second", "token": "three", "old": "two"}


async def test_after_a_rotation_the_version_before_is_not_skipped(hiding: HidingHarness) -> None:
    versions = await with_previous(hiding)
    hiding.hiding.hidden.append((f"{PAIR}/versions", versions[2]))
    await rotate_pair(hiding, "four")
    await hiding.poll()
    assert hiding.values() == {"password": "first", "token": "three", "old": "two"}

    await hiding.poll()
    assert hiding.values() == {"password": "first", "token": "four", "old": "three"}
    await hiding.assert_idle()


async def test_an_older_previous_version_is_taken_at_once_if_those_after_it_are_disabled(hiding: HidingHarness) -> None:
    versions = await with_previous(hiding)
    await rotate_pair(hiding, "four")
    for version in versions[1:]:
        hiding.vault.disable(PAIR, version)
    await hiding.poll()

    assert hiding.values() == {"password": "first", "token": "four", "old": "one"}
    await hiding.poll()
    await hiding.assert_idle()


async def test_an_older_previous_version_is_taken_if_the_list_of_versions_stays_as_it_is(hiding: HidingHarness) -> None:
    versions = await with_previous(hiding)
    retries = int(LASTING.total_seconds() / WAITING_RETRY)
    hiding.hiding.hidden += [(f"{PAIR}/versions", versions[1])] * 2 * retries
    await hiding.rotate()
    for _ in range(retries + 2):
        await hiding.pass_time(WAITING_RETRY)
        await hiding.poller.poll()
        await hiding.drain()

    assert hiding.values() == {"password": "second", "token": "three", "old": "one"}


async def test_a_secret_that_is_back_when_it_is_read_again_keeps_its_key(harness: MemoryHarness) -> None:
    harness.apply(entry(optional=True))
    await harness.poll()
    await harness.poll()
    harness.vault.delete("db-password")
    get = harness.vaults.get

    async def recovered_meanwhile(
        access: Access, ref: SecretRef, *, namespace: str = "", since: float | None = None
    ) -> VaultReading:
        if since is not None:
            harness.vault.recover("db-password")
        return await get(access, ref, namespace=namespace, since=since)

    harness.vaults.get = recovered_meanwhile  # type: ignore[method-assign]  # in the very moment
    await harness.poll()
    assert harness.values() == {"password": "first"}

    await harness.poll()
    assert harness.values() == {"password": "first"}
    assert harness.ready().reason == "Synced"
