"""Whatever happens to a VaultSecret, its target and its vault: last-good stays, and the operator converges.

`--hypothesis-profile=soak` generates fifty times as many scenarios.
"""

from typing import Any, Final

import pytest
from hypothesis import settings

from tests.builders import ACCESS
from tests.convergence.desired_spec import BULK
from tests.convergence.machine import InterleavedConvergence, MemoryConvergence
from tests.convergence.memory_harness import GatedHarness, run_frozen

EXAMPLES: Final = settings().max_examples
"""Of the profile; most of them interleave."""

TestConvergence = MemoryConvergence.TestCase
TestConvergence.settings = settings(max_examples=EXAMPLES // 5, stateful_step_count=30)

TestInterleavedConvergence = pytest.mark.slow(InterleavedConvergence.TestCase)
TestInterleavedConvergence.settings = settings(max_examples=EXAMPLES * 7 // 10, stateful_step_count=30)

FOUND: Final = {"data": [], "dataFrom": [{"find": {"names": "bulk-*"}, "optional": True}]}
OPTIONAL: Final = {"data": [{"key": name, "secretName": name, "optional": True} for name in BULK]}
LISTING: Final = ("GET /secrets", "answer to GET /secrets")


def is_read(what: str) -> bool:
    return "secrets/" in what


def is_listing(what: str) -> bool:
    return what in LISTING


async def end_poll(harness: GatedHarness) -> None:
    """Let a poll begin and end, and nothing else go on."""
    polls = harness.state.vaults.view(ACCESS).polls
    await harness.poll(60)
    await harness.release_until(lambda: harness.state.vaults.view(ACCESS).polls > polls, only=is_listing)


@pytest.mark.parametrize("spec", [FOUND, OPTIONAL], ids=["found", "optional"])
@pytest.mark.parametrize("overlapped", ["reads", "the last check"])
def test_a_poll_that_trips_the_deletion_guard_ends_during_a_reconcile(spec: dict[str, Any], overlapped: str) -> None:
    async def test(harness: GatedHarness) -> None:
        for name in BULK:
            harness.vault.set(name, f"value of {name}")
        harness.apply(name="bulk", **spec)
        await harness.poll()
        await harness.poll()
        assert (harness.values("bulk") or {}).keys() == set(BULK)

        for name in BULK[:3]:
            harness.vault.delete(name)
        if overlapped == "the last check":
            await harness.poll()
            await harness.pass_time(3590)
        harness.gate.close()
        await end_poll(harness)
        if overlapped == "the last check":
            await harness.release_until(lambda: "ensure_current" in harness.gate.held, only=is_read)
        else:
            await harness.release_until(
                lambda: any(what.startswith("answer") for what in harness.gate.held), only=is_read
            )
        for name in BULK[3:]:
            harness.vault.delete(name)
        await end_poll(harness)
        losses = harness.state.vaults.view(ACCESS).losses
        assert losses is not None
        assert losses.tripped
        assert harness.controller.queue.running == 1
        await harness.open_gate()

        assert (harness.values("bulk") or {}).keys() == set(BULK)
        assert harness.ready("bulk").reason == "DeletionHeld"

    run_frozen(test)


def test_a_spec_that_changes_during_a_reconcile_keeps_the_keys_that_it_would_have_lost() -> None:
    async def test(harness: GatedHarness) -> None:
        harness.vault.set("api-token", "token")
        lines = [{"key": "password", "secretName": "db-password"}, {"key": "token", "secretName": "api-token"}]
        harness.apply(data=[lines[0], {**lines[1], "optional": True}])
        await harness.poll()
        await harness.poll()
        assert (harness.values() or {}).keys() == {"password", "token"}

        harness.vault.delete("api-token")
        await harness.poll()
        await harness.pass_time(3590)
        harness.gate.close()
        await end_poll(harness)
        await harness.release_until(lambda: "ensure_current" in harness.gate.held, only=is_read)
        harness.apply(data=lines)
        await harness.open_gate()

        assert (harness.values() or {}).keys() == {"password", "token"}
        assert harness.ready().reason == "SecretSoftDeleted"

    run_frozen(test)


def test_a_secret_within_its_grace_period_keeps_its_key_when_that_of_another_is_over() -> None:
    async def test(harness: GatedHarness) -> None:
        harness.vault.set("api-token", "token")
        lines = [{"key": "password", "secretName": "db-password"}, {"key": "token", "secretName": "api-token"}]
        harness.apply(data=lines, onSourceDeleted="Delete", deleteAfter="30m")
        await harness.poll()
        await harness.poll()

        harness.vault.delete("db-password")
        await harness.poll(60)
        harness.vault.delete("api-token")
        await harness.poll(1500)
        assert harness.values() == {"password": "first", "token": "token"}
        await harness.poll(600)
        assert harness.values() == {"token": "token"}
        assert harness.ready().reason == "SecretSoftDeleted"
        await harness.poll(1500)
        assert harness.values() is None

    run_frozen(test)
