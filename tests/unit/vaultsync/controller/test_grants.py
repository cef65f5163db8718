"""Reconciles with and without grants: what is asked of the vault, and what becomes of targets already written."""

import pytest

from tests.builders import EVERYTHING, Tweak, a_grant
from tests.harness import DB, MemoryHarness, entry
from vaultsync.api.grants import VaultGrant
from vaultsync.errors import Reason
from vaultsync.policy.guards import GRANT_DELAY
from vaultsync.policy.revocation import DELETED_AFTER
from vaultsync.state.vaults import UNKNOWN


def everything(name: str = "shop", **spec: Tweak) -> VaultGrant:
    return a_grant(name, **{**EVERYTHING, **spec})


async def refuse(harness: MemoryHarness) -> None:
    """Wait until a refusal is reported."""
    await harness.drain()
    await harness.pass_time(GRANT_DELAY)
    await harness.drain()


def calls(harness: MemoryHarness) -> int:
    return sum(harness.vault.calls.values())


async def test_without_a_grant_nothing_is_asked_of_the_vault(harness: MemoryHarness) -> None:
    await harness.set_grants()
    harness.run_beside(harness.controller.pollers.run())
    harness.apply()

    await refuse(harness)
    await harness.pass_time(3600)

    assert (harness.ready().status, harness.ready().reason) == ("False", Reason.NOT_GRANTED)
    assert (calls(harness), harness.vaults.opened(), harness.recorded.polls) == (0, set(), [])
    assert harness.values() is None


async def test_a_grant_that_comes_with_a_vaultsecret_causes_no_failure(harness: MemoryHarness) -> None:
    await harness.set_grants()
    harness.apply()
    await harness.drain()
    assert (harness.ready().status, harness.ready().reason) == ("Unknown", Reason.WAITING)

    await harness.set_grants(everything())
    await harness.drain()

    assert harness.values() == {"password": "first"}
    assert harness.events == [("Normal", "Created")]


@pytest.mark.parametrize(
    "change",
    [None, {"secrets": ["other"]}, {"namespaces": {"names": ["other"]}}],
    ids=["gone", "narrower", "elsewhere"],
)
async def test_a_grant_that_is_revoked_stops_reads_and_keeps_the_secret(
    synced: MemoryHarness, change: dict[str, Tweak] | None
) -> None:
    await synced.set_grants(*([] if change is None else [everything(**change)]))
    await synced.rotate()
    synced.reset_counts()

    await refuse(synced)
    await synced.pass_time(24 * 3600)
    await synced.drain()

    assert synced.ready().reason == Reason.NOT_GRANTED
    assert synced.values() == {"password": "first"}
    assert calls(synced) == 0


async def test_a_grant_that_comes_back_resumes(synced: MemoryHarness) -> None:
    await synced.set_grants()
    await refuse(synced)
    await synced.rotate()

    await synced.set_grants(everything())
    await synced.poll()

    assert (synced.values(), synced.ready().status) == ({"password": "second"}, "True")


async def test_what_is_read_while_a_grant_is_revoked_is_not_written(
    synced: MemoryHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = synced.vaults.get

    async def revoked_meanwhile(*arguments: Tweak, **more: Tweak) -> object:
        reading = await get(*arguments, **more)
        await synced.set_grants()
        return reading

    await synced.rotate()
    monkeypatch.setattr(synced.vaults, "get", revoked_meanwhile)
    await synced.poll()

    assert synced.values() == {"password": "first"}


# deletion after a revocation


@pytest.fixture
async def deleting(harness: MemoryHarness) -> MemoryHarness:
    """A target whose grant wants it deleted when it is revoked."""
    await harness.set_grants(everything(onRevoked="Delete"))
    harness.apply()
    await harness.drain()
    assert harness.values() == {"password": "first"}
    return harness


async def test_a_secret_is_deleted_a_minute_after_its_grant(deleting: MemoryHarness) -> None:
    await deleting.set_grants()
    await refuse(deleting)
    assert deleting.values() == {"password": "first"}

    await deleting.pass_time(DELETED_AFTER)
    await deleting.drain()

    assert deleting.values() is None
    assert deleting.ready().reason == Reason.NOT_GRANTED


async def test_a_grant_that_is_created_again_within_a_minute_deletes_nothing(deleting: MemoryHarness) -> None:
    await deleting.set_grants()
    await refuse(deleting)
    await deleting.pass_time(DELETED_AFTER / 2)
    await deleting.set_grants(everything(onRevoked="Delete"))

    await deleting.pass_time(DELETED_AFTER)
    await deleting.drain()

    assert (deleting.values(), deleting.ready().status) == ({"password": "first"}, "True")


async def test_a_watch_that_is_behind_deletes_nothing(deleting: MemoryHarness) -> None:
    grants = list(deleting.grants)
    await deleting.set_grants()
    for one in grants:
        deleting.kube.put_grant(one.metadata.name, one.spec.to_wire())

    await refuse(deleting)
    await deleting.pass_time(DELETED_AFTER)
    await deleting.drain()

    assert deleting.values() == {"password": "first"}


async def test_grants_that_cannot_be_listed_delete_nothing(
    deleting: MemoryHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*_: object) -> object:
        raise ConnectionError

    await deleting.set_grants()
    await refuse(deleting)
    monkeypatch.setattr(deleting.kube, "list_cluster", failing)
    await deleting.pass_time(DELETED_AFTER)
    await deleting.drain()

    assert deleting.values() == {"password": "first"}


async def test_a_vaultsecret_that_asks_for_more_than_before_keeps_its_secret(deleting: MemoryHarness) -> None:
    await deleting.set_grants(everything(onRevoked="Delete", secrets=["db-*"]))
    deleting.apply(entry(), entry("other", "other"))

    await refuse(deleting)
    await deleting.pass_time(DELETED_AFTER)
    await deleting.drain()

    assert deleting.ready().reason == Reason.NOT_GRANTED
    assert deleting.values() == {"password": "first"}


async def test_a_grant_that_still_exists_decides_as_it_is_now(deleting: MemoryHarness) -> None:
    await deleting.set_grants(everything(onRevoked="Retain", secrets=["other"]))

    await refuse(deleting)
    await deleting.pass_time(DELETED_AFTER)
    await deleting.drain()

    assert deleting.values() == {"password": "first"}


# searches


async def test_a_search_sees_nothing_that_is_not_granted(harness: MemoryHarness) -> None:
    harness.vault.set("shop-a", "a")
    harness.vault.set("hidden", "MARKED")
    await harness.set_grants(everything(secrets=["shop-*"]))
    harness.apply(data=[], dataFrom=[{"find": {"names": "*"}}])

    await harness.poll()
    await harness.drain()

    assert harness.values() == {"shop-a": "a"}
    assert "hidden" not in str(harness.users.vault_secret_body(DB))


@pytest.mark.parametrize(("on_revoked", "kept"), [("Retain", True), ("Delete", False)])
async def test_a_search_whose_grant_narrows_keeps_its_keys_unless_they_shall_be_deleted(
    harness: MemoryHarness, on_revoked: str, kept: bool
) -> None:
    harness.vault.set("shop-a", "a")
    harness.vault.set("shop-b", "b")
    await harness.set_grants(everything(onRevoked=on_revoked, secrets=["shop-*"]))
    harness.apply(data=[], dataFrom=[{"find": {"names": "*"}}])
    await harness.poll()
    await harness.drain()
    assert harness.values() == {"shop-a": "a", "shop-b": "b"}
    harness.vault.forget_calls()

    await harness.set_grants(everything(onRevoked=on_revoked, secrets=["shop-a"]))
    await harness.poll()
    await harness.poll()

    assert harness.values() == ({"shop-a": "a", "shop-b": "b"} if kept else {"shop-a": "a"})
    assert (harness.ready().reason == Reason.NOT_GRANTED) is kept


# what is shared


async def test_nothing_is_shared_between_grants(harness: MemoryHarness) -> None:
    await harness.set_grants(everything("one", namespaces={"names": ["shop"]}))
    harness.apply()
    await harness.drain()

    assert {access.grant for access in harness.vaults.opened()} == {"one"}
    await harness.set_grants(everything("two", namespaces={"names": ["shop"]}))
    await harness.drain()
    (access,) = harness.state.vaultsecrets.accesses()
    assert (access.grant, harness.state.vaults.view(access)) == ("two", UNKNOWN)


# quotas


async def test_the_oldest_vaultsecrets_are_served(harness: MemoryHarness) -> None:
    await harness.set_grants(everything(quota={"vaultSecrets": 2}))
    for name in ("db", "second", "third"):
        harness.apply(name=name)
    await refuse(harness)
    assert [harness.values(name) is None for name in harness.names] == [False, False, True]
    assert harness.ready("third").reason == Reason.QUOTA_EXCEEDED

    harness.remove("db")
    await harness.drain()

    assert harness.values("third") == {"password": "first"}


async def test_reads_beyond_the_quota_wait_and_are_made_later(harness: MemoryHarness) -> None:
    await harness.set_grants(everything(quota={"readsPer10s": 2}))
    for name in ("db", "second", "third"):
        harness.apply(name=name)
    await harness.drain()
    assert [harness.values(name) is None for name in harness.names] == [False, False, True]
    assert harness.ready("third").reason == Reason.WAITING

    await harness.pass_time(10)
    await harness.drain()

    assert harness.values("third") == {"password": "first"}
