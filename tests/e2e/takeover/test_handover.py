"""A leader that is stopped hands over at once, to a replica that stands by and knows everything already."""

import signal
from contextlib import ExitStack
from typing import Final

from tests.e2e.concurrency import scenario
from tests.e2e.harness import SELDOM, entry, eventually, resource_version
from tests.e2e.takeover.harness import Replica, TakeoverHarness, measured, now
from vaultsync.api import PLURAL

NAMES: Final = [f"db-{number}" for number in range(20)]
HANDOVERS: Final = 3
WITHIN: Final = 2.0
"""Seconds from SIGTERM until another one leads, if the machine has time for it: the fastest one counts."""

WITHOUT_END: Final = 600.0
"""Seconds of latency that no test waits for."""


def vault_requests(replica: Replica) -> float:
    """How many requests a replica has sent to vaults and to the login, by its own account."""
    metric = replica.running.metric
    return metric("vaultsync_vault_requests_total") + metric("vaultsync_logins_total")


def versions(harness: TakeoverHarness) -> list[str]:
    """The versions of all objects in the namespace that operators write."""
    found = [thing for kind in (PLURAL, "secrets", "events") for thing in harness.api.list(harness.path(kind))]
    return sorted(f"{thing['metadata']['uid']}@{resource_version(thing)}" for thing in found)


@scenario
def test_each_leader_hands_over_to_a_warm_standby_that_reads_and_writes_nothing(harness: TakeoverHarness) -> None:
    harness.put_long_ago()
    took = []
    with ExitStack() as stack:
        ours = stack.enter_context(harness.release())
        replicas = stack.enter_context(harness.replicas(ours))
        leader, standby = replicas
        for name in NAMES:
            harness.apply(name=name)
        for name in NAMES:
            harness.await_synced(name)
            harness.await_event_counts(name, Created=1)
        before, reads = versions(harness), harness.calls("get")
        for _ in range(HANDOVERS):
            assert (standby.leads, standby.running.is_ready, vault_requests(standby)) == (False, True, 0)
            assert standby.running.metric("vaultsync_vaultsecrets") == 0

            stopped = now()
            assert leader.running.stop() == 0

            harness.await_leader(ours, standby)
            standby.await_leading()
            former, present = harness.terms(ours)[-2:]
            took.append(present.begins - stopped)
            assert former.released
            replicas.append(stack.enter_context(harness.replica(ours)))
            leader, standby = replicas[-2:]
            harness.await_calls("list", more=1)
            reconciles = leader.running.metric
            eventually(lambda: reconciles("vaultsync_reconciles_total") >= len(NAMES), "reconciles")  # noqa: B023
            assert (versions(harness), harness.calls("get")) == (before, reads)
        harness.check(*replicas)
    assert min(took) <= WITHIN
    measured("SIGTERM until another leads, fastest", min(took))
    measured("SIGTERM until another leads, slowest", max(took))


@scenario
def test_a_leader_that_waits_for_a_vault_hands_over_as_fast(harness: TakeoverHarness) -> None:
    harness.put()
    with harness.release() as ours, harness.replicas(ours) as (first, second):
        harness.apply(refreshInterval=SELDOM)
        harness.await_synced()
        harness.put("late")
        harness.vault.latency(WITHOUT_END)
        begun = first.reconciles_begun
        harness.apply(entry(source="late"), name="late")
        eventually(lambda: first.reconciles_begun > begun, "the leader has an open reconcile")

        stopped = now()
        first.running.signal(signal.SIGTERM)
        harness.await_leader(ours, second)
        harness.vault.latency(0)

        assert first.running.wait() == 0
        harness.await_synced("late")
        harness.check(first, second)
        assert harness.writers(first, second) == {"db": [0], "late": [1]}
        measured(
            "SIGTERM until another leads, with a vault that does not respond", harness.terms(ours)[-1].begins - stopped
        )
