"""Three processes share three shards: each serves its part, and what one of them loses the others take."""

import signal
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from tests.e2e.concurrency import scenario
from tests.e2e.harness import Harness, eventually
from tests.e2e.takeover.harness import Replica, TakeoverHarness, measured, now
from vaultsync.state.shards import Shards

SHARDS: Final = 3


def spread(harness: TakeoverHarness) -> list[Harness]:
    """Make namespaces, so many that each shard has one."""
    made: list[Harness] = [harness]
    shard_of = Shards.all(SHARDS).shard_of
    while len({shard_of(each.namespace) for each in made}) < SHARDS:
        made.append(harness.another())
    return made


def await_shares(*shares: tuple[Replica, int]) -> None:
    """Return when each replica holds so many shards."""
    for replica, share in shares:
        eventually(lambda: replica.shards == share, f"{replica.name} holds {share} shards")  # noqa: B023


def rotate(namespaces: Sequence[Harness]) -> None:
    """Set the secret of each vault to a new value, and return when all Secrets hold it."""
    values = {each.namespace: each.put_long_ago() for each in namespaces}
    for each in namespaces:
        each.await_content(password=values[each.namespace])


@scenario
def test_replicas_share_the_shards_and_take_over_those_of_a_lost_one(harness: TakeoverHarness) -> None:
    namespaces = spread(harness)
    for each in namespaces:
        each.put_long_ago()
        each.apply()
    with harness.release(*(each.namespace for each in namespaces), shards=SHARDS) as ours, ExitStack() as stack:
        replicas = [stack.enter_context(harness.replica(ours)) for _ in range(SHARDS)]
        await_shares(*((replica, 1) for replica in replicas))
        for each in namespaces:
            each.await_synced()
        first, *others = replicas
        (lost_shard,) = [shard for shard in range(SHARDS) if first.is_called(harness.holder(ours, shard))]

        lost = now()
        first.running.signal(signal.SIGKILL)
        rotate(namespaces)

        eventually(lambda: sum(replica.shards for replica in others) == SHARDS, "all shards are held")
        again = stack.enter_context(harness.replica(ours))
        await_shares(*((replica, 1) for replica in (again, *others)))
        rotate(namespaces)
        harness.check(*replicas, again)
        for each in namespaces:
            # Created once, and written once for each rotation.
            assert len(harness.writers(*replicas, again, namespace=each.namespace)["db"]) == 3
        taken = next(term for term in harness.terms(ours, lost_shard) if term.begins > lost)
        measured("SIGKILL until another leads its shard", taken.begins - lost)


@scenario
def test_an_upgrade_that_changes_the_number_of_shards_waits_for_the_old_pods(harness: TakeoverHarness) -> None:
    namespaces = spread(harness)
    for each in namespaces:
        each.put_long_ago()
        each.apply()
    with harness.release(*(each.namespace for each in namespaces), shards=SHARDS) as before, ExitStack() as stack:
        old = [stack.enter_context(harness.replica(before)) for _ in range(2)]
        for each in namespaces:
            each.await_synced()

        after = harness.upgrade(before, *(each.namespace for each in namespaces), shards=2)
        new = []
        # As a rolling update does: one more becomes ready, and one of the old ones stops.
        for leaving in old:
            new.append(stack.enter_context(harness.replica(after)))
            assert leaving.running.stop() == 0
        await_shares(*((replica, 1) for replica in new))
        rotate(namespaces)

        # Also that none of the new ones has served a namespace before the old ones had let it go.
        harness.check(*old, *new)
