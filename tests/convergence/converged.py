"""Checks convergence once everything is healthy: each target is what spec and vault determine, without leftovers."""

from datetime import timedelta
from typing import Final

from tests.convergence.desired_spec import PINNED, TARGETS, WORKLOAD
from tests.convergence.oracle import required
from tests.convergence.scenario import Scenario
from tests.harness import NOTICE, RECHECK
from vaultsync.api import MANAGED_BY_LABEL, OWNER_UID_LABEL

SOON: Final = 1800.0
"""Seconds within which all is right again: less than the operator waits for a vault's clock, or to list again."""

POLLS: Final = 20
"""How often the vault is polled within that time."""

ROUND: Final = 610.0
"""Seconds between polls: longer than any interval or retry of a scenario."""


async def check_converges(scenario: Scenario) -> None:
    """Make cluster and vault healthy, advance the time, and check that everything has converged."""
    await check_recovers_soon(scenario)
    await recover(scenario)
    check_target(scenario)
    check_conditions(scenario)
    check_left_overs(scenario)
    check_bulk(scenario)
    await check_idle(scenario)


async def check_recovers_soon(scenario: Scenario) -> None:
    """Check that the target is right soon after everything is healthy: without the recheck, or any hour-long wait."""
    scenario.make_healthy()
    for _ in range(POLLS):
        await scenario.run(scenario.harness.poll(SOON / POLLS))
    expected, reason = scenario.expected(scenario.gone_for_long()), scenario.harness.ready().reason
    if expected.reasons or expected.pruned or scenario.desired.suspend or scenario.is_foreign():
        return
    if scenario.harness.status().missing:
        return  # some keys are kept
    if reason not in {
        "DeletionHeld",
        "SecretNotYetActive",
        *map(scenario.vault.reason_for_absence, scenario.absent_since),
    } and not (_is_stuck(scenario)):
        values = scenario.harness.values(scenario.desired.target)
        # Polls do not observe a pinned version: its loss is noticed by the recheck.
        contents = (*expected.data, *scenario.expected(set()).data)
        assert values in contents, f"{reason}: {values} is not in {contents} soon after the faults"


async def recover(scenario: Scenario) -> None:
    """Make everything healthy except for the secrets, which are not changed."""
    harness = scenario.harness
    scenario.make_healthy()
    if scenario.released is None:
        scenario.bulk_return()
    rounds, scenario.failures_to_come = 4 + scenario.failures_to_come, 0
    await scenario.run(harness.poll(RECHECK.total_seconds() + ROUND))
    for _ in range(rounds):
        await scenario.run(harness.poll(ROUND))
    if harness.ready("bulk").reason == "DeletionHeld":
        scenario.release_bulk()
    if harness.ready().reason == "DeletionHeld":
        scenario.release_db()
    await scenario.run(harness.poll(7200))
    for _ in range(2):
        await scenario.run(harness.poll(ROUND))


def check_target(scenario: Scenario) -> None:
    """Check that the target holds what the oracle returns, or the condition has the reason."""
    reason, values = scenario.harness.ready().reason, scenario.harness.values(scenario.desired.target)
    if scenario.desired.suspend:
        assert reason == "Suspended"
        return
    expected = scenario.expected(_gone(scenario))
    if scenario.is_foreign():
        # The name of a new VaultSecret's target is first looked at when it is written.
        assert reason in {"TargetConflict", *expected.pending, *expected.reasons}
        return
    if expected.pruned:
        reasons = {scenario.vault.reason_for_absence(name) for name in _gone(scenario)}
        kept = values if scenario.outlives(scenario.desired.target) else None
        assert (values, reason in reasons) == (kept, True), f"{scenario.harness.ready()}: {values} is left"
    elif expected.pending:
        # Of a VaultSecret that was created again, no state says that it had the secret.
        assert reason in expected.pending, f"{scenario.harness.ready()}: not {expected.pending}"
    elif expected.reasons:
        assert reason in expected.reasons, f"{scenario.harness.ready()}: not {expected.reasons}"
    elif _is_stuck(scenario) and values not in expected.data:
        assert reason == "TargetImmutable"
    elif reason == "TargetImmutable":
        assert _is_stuck(scenario)
        assert not scenario.desired.immutable
    else:
        assert (reason, values in expected.data) == ("Synced", True), f"{values} is not in {expected.data}"


def _gone(scenario: Scenario) -> set[str]:
    """Return the secrets that the status reports as missing; check that they are, and for long enough."""
    missing = {one.secret_name for one in scenario.harness.status().missing if one.key in {"", PINNED["key"]}}
    if not scenario.desired.suspend:
        asked_for = required(scenario.desired) | scenario.found()
        present = {name for name in missing & asked_for if scenario.vault.find(name) is not None}
        assert not present, f"{present} are reported as missing: {scenario.harness.ready()}"
    return {name for name in scenario.gone_for_long() if name in missing or name not in required(scenario.desired)}


def _is_stuck(scenario: Scenario) -> bool:
    """Return whether Kubernetes rejects every change of the target's content."""
    secret = scenario.without_data(scenario.desired.target) or {}
    is_replaced = scenario.desired.replace and not scenario.outlives(scenario.desired.target)
    return bool(secret.get("immutable")) and not is_replaced


def check_conditions(scenario: Scenario) -> None:
    """Check the other conditions by the outcome, the clock and the secrets' dates."""
    harness = scenario.harness
    status = harness.status()
    vault_secret = harness.users.vault_secret(harness.key_of("db"))
    assert status.observed_generation == vault_secret.metadata.generation
    known = harness.state.vaultsecrets.get(vault_secret.key)
    assert known is not None
    assert known.status == status  # it is recorded as it was sent, and not as the API server has it
    stale, expiring = (harness.condition(kind) for kind in ("Stale", "Expiring"))
    match harness.ready().status:
        case "True":
            assert stale.status == "False"
            assert (expiring.status == "True") == _expires_soon(scenario), expiring.message
        case "False":
            assert stale.status == ("True" if status.entries else "Unknown")
        case _:
            assert stale.status == "Unknown"
    if scenario.desired.restarts and not scenario.desired.suspend:
        (workload,) = status.restarts
        assert (workload.name, workload.problem) == (WORKLOAD["name"], None)
        assert status.content_change_time is None or workload.at > status.content_change_time


def _expires_soon(scenario: Scenario) -> bool:
    entries = scenario.harness.status().entries
    used = [scenario.vault.secrets[one.secret_name.lower()].version(one.version) for one in entries if one.version]
    limit = scenario.harness.clock() + NOTICE
    return any(version.expires is not None and version.expires <= limit for version in used)


def check_left_overs(scenario: Scenario) -> None:
    """Check that no Secret of ours is left under another name, unless a user has removed our labels."""
    harness = scenario.harness
    if harness.ready().status != "True":
        return
    uid = harness.users.vault_secret(harness.key_of("db")).metadata.uid
    for name in set(TARGETS) - {scenario.desired.target}:
        labels = ((scenario.without_data(name) or {}).get("metadata") or {}).get("labels") or {}
        assert not (labels.get(OWNER_UID_LABEL) == uid and MANAGED_BY_LABEL in labels), f"Secret {name} was left over"


def check_bulk(scenario: Scenario) -> None:
    """Check that `bulk` holds what the vault has."""
    assert scenario.harness.ready("bulk").reason == "Synced"
    present = {name: value for name, value in scenario.bulk_values().items() if scenario.vault.find(name) is not None}
    assert scenario.harness.values("bulk") == present


async def check_idle(scenario: Scenario) -> None:
    """Check that another poll and reconcile write and report nothing, and read nothing if all is in sync."""
    harness = scenario.harness
    harness.reset_counts()
    await scenario.run(harness.poll(timedelta(minutes=1).total_seconds()))
    for name in harness.names:
        await scenario.run(harness.reconcile(name))
    assert (harness.writes, harness.events) == ({}, []), f"not idle: {harness.writes}, {harness.events}"
    assert harness.ready().status == "False" or harness.reads == 0, f"not idle: {harness.vault.calls}"
