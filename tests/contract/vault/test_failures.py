"""A vault that throttles, fails, forbids access or requires a new login."""

from tests.contract.vault.clients import error_of
from tests.contract.vault.harness import Harness


async def test_throttled_and_failed_calls_are_retried(harness: Harness) -> None:
    harness.vault.set("db", "v")
    harness.vault.throttle(1, retry_after=0)
    first = await harness.client.get("db")
    harness.vault.fail(1, status=503)
    second = await harness.client.get("db")

    assert (first.value, second.value) == ("v", "v")
    assert harness.calls()["get"] == 4


async def test_a_caller_without_permission_to_list_can_read(harness: Harness) -> None:
    harness.vault.set("db", "v")
    harness.vault.deny("list")

    assert await error_of(harness.client.listed()) == (403, "Forbidden")
    assert (await harness.client.get("db")).value == "v"


async def test_a_closed_firewall_forbids_access(harness: Harness) -> None:
    harness.vault.close_firewall()

    assert await error_of(harness.client.get("db")) == (403, "Forbidden")


async def test_many_calls_share_one_login(harness: Harness) -> None:
    harness.vault.set("db", "v")
    before = harness.tokens()

    for _ in range(5):
        await harness.client.get("db")

    assert harness.tokens() - before == 1
    assert harness.calls() == {"challenge": 1, "get": 5}


async def test_a_revoked_session_causes_one_login(harness: Harness) -> None:
    harness.vault.set("db", "v")
    await harness.client.get("db")
    before = harness.tokens()
    harness.vault.demand_claims()

    assert (await harness.client.get("db")).value == "v"
    assert harness.tokens() - before == 1


async def test_a_session_revoked_before_the_first_call_causes_a_login(harness: Harness) -> None:
    harness.vault.set("db", "v")
    harness.vault.demand_claims()

    assert (await harness.client.get("db")).value == "v"
