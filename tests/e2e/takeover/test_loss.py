"""A leader that is lost without notice: another one leads, and the lost one writes nothing from then on.

How long a takeover takes is the API server's account: until it received the write by which the other got the Lease.
"""

import signal
from functools import partial
from typing import Final

import pytest

from tests.e2e.concurrency import scenario
from tests.e2e.harness import entry, eventually, in_a_window
from tests.e2e.takeover.harness import Replica, TakeoverHarness, measured, now


@scenario
def test_a_killed_leader_is_replaced(harness: TakeoverHarness) -> None:
    harness.put_long_ago()
    with harness.release() as ours, harness.replicas(ours) as (first, second):
        harness.apply()
        harness.await_synced()

        lost = now()
        first.running.signal(signal.SIGKILL)
        value = harness.put_long_ago()
        harness.apply(name="new")

        harness.await_content(password=value)
        harness.await_synced("new")
        harness.await_calls("list", more=2)
        assert second.leads
        harness.check(first, second)
        assert harness.writers(first, second) == {"db": [0, 1], "new": [1]}
        measured("SIGKILL until another leads", harness.terms(ours)[-1].begins - lost)


REPORTS: Final = ("events", "vaultsecrets/status", "vaultgrants/status")
"""What only reports: it does not name the state that it changes, and is replaced by the next report."""


def freeze_while_it_reads(harness: TakeoverHarness, leader: Replica, number: int, seconds: float) -> bool:
    """Freeze a leader that waits for a vault's response, which takes so long; return whether it had not come yet."""
    harness.put_long_ago("late")
    harness.vault.latency(seconds)
    if number:
        harness.delete("late")
        harness.eventually(lambda: harness.secret("late") is None, "the target of the last attempt is deleted")
    begun = leader.reconciles_begun
    harness.apply(entry(source="late"), name="late")
    eventually(lambda: leader.reconciles_begun > begun, "the leader has an open reconcile")
    leader.running.signal(signal.SIGSTOP)
    harness.vault.latency(0)
    if harness.secret("late") is None:
        return True
    leader.running.signal(signal.SIGCONT)
    return False


@scenario
def test_a_frozen_leader_writes_nothing_when_it_wakes(harness: TakeoverHarness) -> None:
    harness.put_long_ago()
    with harness.release() as ours, harness.replicas(ours) as (first, second):
        harness.apply()
        harness.await_synced()
        in_a_window(partial(freeze_while_it_reads, harness, first))
        lost = now()

        harness.await_leader(ours, second)
        harness.await_synced("late")
        value = harness.put_long_ago()
        harness.await_content(password=value)
        # The response of the vault has come meanwhile.
        first.running.signal(signal.SIGCONT)

        harness.await_looks(first, more=3)
        first.await_standby()
        harness.await_calls("list", more=2)
        assert second.leads
        harness.check(first, second)
        assert harness.writers(first, second)["db"] == [0, 1]
        assert harness.writers(first, second)["late"][-1] == 1
        measured("SIGSTOP until another leads", harness.terms(ours)[-1].begins - lost)


@pytest.mark.parametrize("late", [False, True], ids=["what is on the way is lost", "what is on the way arrives late"])
@scenario
def test_a_leader_that_is_cut_off_stops_before_its_lease_runs_out(harness: TakeoverHarness, late: bool) -> None:
    """No client can call back what a proxy has accepted: whatever arrives late meets the state that it names."""
    harness.put_long_ago()
    with harness.release() as ours, harness.replicas(ours) as (first, second):
        harness.apply()
        harness.await_synced()

        lost = now()
        first.proxy.stall()
        # It still reaches the vault: its write is on the way while another one takes over.
        value = harness.put_long_ago()
        eventually(lambda: not first.leads, "the leader that is cut off has stopped")
        stopped = first.lost_at()
        harness.await_leader(ours, second)
        harness.await_content(password=value)
        if late:
            first.proxy.resume()
        else:
            first.proxy.strand()

        harness.await_looks(first, more=3)
        first.await_standby()
        harness.await_calls("list", more=2)
        assert second.leads
        harness.check(first, second, besides=REPORTS if late else ())
        assert harness.writers(first, second) == {"db": [0, 1]}
        former, present = harness.terms(ours)
        assert stopped < former.ends
        measured("partition until the leader stops", stopped - lost)
        measured("partition until another leads", present.begins - lost)
