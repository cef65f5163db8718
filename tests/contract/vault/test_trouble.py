"""A vault that is throttled, failing, closed or asks for a new login, as every client sees it."""

from tests.contract.vault.clients import refusal
from tests.contract.vault.stages import Stage


async def test_a_throttled_or_failing_vault_is_asked_again(stage: Stage) -> None:
    stage.vault.set("db", "v")
    stage.vault.throttle(1, retry_after=0)
    first = await stage.client.get("db")
    stage.vault.fail(1, status=503)
    second = await stage.client.get("db")

    assert (first.value, second.value) == ("v", "v")
    assert stage.calls()["get"] == 4


async def test_who_may_not_list_may_still_read(stage: Stage) -> None:
    stage.vault.set("db", "v")
    stage.vault.deny("list")

    assert await refusal(stage.client.listed()) == (403, "Forbidden")
    assert (await stage.client.get("db")).value == "v"


async def test_a_closed_firewall_lets_nobody_in(stage: Stage) -> None:
    stage.vault.close_firewall()

    assert await refusal(stage.client.get("db")) == (403, "Forbidden")


async def test_a_vault_is_logged_in_to_once_for_many_calls(stage: Stage) -> None:
    stage.vault.set("db", "v")
    before = stage.tokens()

    for _ in range(5):
        await stage.client.get("db")

    assert stage.tokens() - before == 1
    assert stage.calls() == {"challenge": 1, "get": 5}


async def test_a_revoked_session_is_logged_in_to_anew(stage: Stage) -> None:
    stage.vault.set("db", "v")
    await stage.client.get("db")
    before = stage.tokens()
    stage.vault.demand_claims()

    assert (await stage.client.get("db")).value == "v"
    assert stage.tokens() - before == 1


async def test_a_revoked_session_is_noticed_before_the_first_call_is_through(stage: Stage) -> None:
    stage.vault.set("db", "v")
    stage.vault.demand_claims()

    assert (await stage.client.get("db")).value == "v"
