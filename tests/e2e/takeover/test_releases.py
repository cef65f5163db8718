"""Operators that know nothing of each other: the second one refuses to lead for as long as the first one is there."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.concurrency import scenario
from tests.e2e.harness import eventually, resource_version
from tests.e2e.takeover.harness import Replica, TakeoverHarness


@contextmanager
def first_one(harness: TakeoverHarness) -> Iterator[Replica]:
    """Run the first release, with one replica, which leads and has synced a VaultSecret."""
    harness.put_long_ago()
    with harness.release() as release, harness.replica(release) as replica:
        replica.await_leading()
        harness.apply()
        harness.await_synced()
        yield replica


def await_refusal(refused: Replica, first: Replica) -> None:
    """Return when a replica says that it does not lead, and because of which one."""
    eventually(lambda: refused.running.metric("vaultsync_election_conflict") == 1, "it has noticed the other one")
    line = refused.running.await_line(level="ERROR", installation=first.elected.name)
    assert first.is_called(line["holder"])
    refused.running.await_ready()
    assert not refused.leads


@scenario
def test_a_second_release_stands_by_until_the_first_one_is_gone(harness: TakeoverHarness) -> None:
    with first_one(harness) as first:
        before = resource_version(harness.vault_secret())
        with harness.release() as ours, harness.replica(ours) as second:
            await_refusal(second, first)
            harness.await_calls("list", more=2)
            assert resource_version(harness.vault_secret()) == before
            assert harness.writers(first, second) == {"db": [0]}

            assert first.running.stop() == 0

            second.await_leading()
            value = harness.put_long_ago()
            harness.await_content(password=value)
            assert second.running.metric("vaultsync_election_conflict") == 0
            harness.check(first, second)
            assert harness.writers(first, second) == {"db": [0, 1]}


@scenario
def test_a_developers_laptop_does_not_lead_beside_the_cluster(harness: TakeoverHarness) -> None:
    with first_one(harness) as first:
        before = resource_version(harness.vault_secret())
        with harness.laptop() as laptop:
            await_refusal(laptop, first)
            value = harness.put_long_ago()
            harness.await_content(password=value)
            assert harness.writers(first, laptop) == {"db": [0, 0]}
            harness.check(first, laptop)

        assert first.leads
        assert before != resource_version(harness.vault_secret())


@scenario
def test_a_laptop_leads_where_nobody_does(harness: TakeoverHarness) -> None:
    harness.put_long_ago()
    with harness.laptop() as laptop:
        laptop.await_leading()
        harness.apply()
        harness.await_synced()
        with harness.release() as ours, harness.replica(ours) as pod:
            await_refusal(pod, laptop)

            assert laptop.running.stop() == 0

            pod.await_leading()
            value = harness.put_long_ago()
            harness.await_content(password=value)
            harness.check(laptop, pod)
            assert harness.writers(laptop, pod) == {"db": [0, 1]}


@scenario
def test_releases_for_different_namespaces_lead_beside_each_other(harness: TakeoverHarness) -> None:
    other = harness.another()
    for each in (harness, other):
        each.put_long_ago()
    with (
        harness.release() as ours,
        harness.release(other.namespace) as theirs,
        harness.replica(ours) as one,
        harness.replica(theirs) as two,
    ):
        for replica in (one, two):
            replica.await_leading()
        for each in (harness, other):
            each.apply()
            each.await_synced()

        assert (one.leads, two.leads) == (True, True)
        assert harness.writers(one, two) == {"db": [0]}
        assert harness.writers(one, two, namespace=other.namespace) == {"db": [1]}
        harness.check(one, two)
