"""Which namespaces a replica serves, and until when."""

import math
import string
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clocks import Clock
from vaultsync.state.shards import Shards

NAMESPACES = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=63)


def shards(number: int = 1) -> tuple[Shards, Clock]:
    clock = Clock()
    return Shards(number, clock=clock.seconds), clock


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1, {"shop": 0, "billing": 0, None: 0}),
        (3, {"shop": 0, "billing": 2, None: 0}),
        (8, {"shop": 6, "billing": 1, "web": 4}),
    ],
)
def test_a_namespace_has_the_same_shard_in_every_version(number: int, expected: dict[str | None, int]) -> None:
    # A change of these numbers means that an upgrade moves namespaces: two replicas could serve one at the same time.
    assert {namespace: Shards.all(number).shard_of(namespace) for namespace in expected} == expected


@given(NAMESPACES, st.integers(1, 64))
def test_every_namespace_has_a_shard(namespace: str, number: int) -> None:
    assert 0 <= Shards.all(number).shard_of(namespace) < number


def test_shards_have_about_the_same_number_of_namespaces() -> None:
    counts = Counter(Shards.all(4).shard_of(f"team-{number}") for number in range(1000))

    assert all(200 <= count <= 300 for count in counts.values())


@given(NAMESPACES)
def test_a_process_alone_serves_everything_for_ever(namespace: str) -> None:
    alone = Shards.all(3)

    assert alone.may_write(namespace)
    assert alone.may_begin(namespace)
    assert alone.may_write(None)
    assert alone.seconds_left(namespace) == math.inf
    assert alone.held == {0, 1, 2}


def test_a_replica_that_holds_nothing_serves_nothing() -> None:
    standby, _ = shards()

    assert not standby.may_write("shop")
    assert not standby.may_begin("shop")
    assert standby.seconds_left("shop") == 0.0
    assert standby.held == frozenset()


def test_a_shard_ends_at_its_deadline_without_any_call() -> None:
    held, clock = shards()
    held.hold(0, until=clock.seconds() + 8)
    clock.turn(7.5)

    assert held.may_write("shop")
    assert held.seconds_left("shop") == 0.5

    clock.turn(0.5)

    assert not held.may_write("shop")
    assert not held.may_begin("shop")
    assert held.held == frozenset()
    assert held.expired == {0}

    held.drop(0)

    assert held.expired == frozenset()


def test_a_renewal_moves_the_deadline_and_never_back() -> None:
    held, clock = shards()
    held.hold(0, until=clock.seconds() + 8)

    assert held.renew(0, until=clock.seconds() + 10)
    assert held.renew(0, until=clock.seconds() + 9)
    assert held.seconds_left("shop") == 10


def test_a_renewal_after_the_deadline_renews_nothing() -> None:
    held, clock = shards()
    held.hold(0, until=clock.seconds() + 8)
    clock.turn(8)

    assert not held.renew(0, until=clock.seconds() + 8)
    assert not held.may_write("shop")

    held.drop(0)

    assert not held.renew(0, until=clock.seconds() + 8)


def test_a_shard_that_is_given_up_begins_nothing_and_may_finish() -> None:
    held, clock = shards()
    held.hold(0, until=clock.seconds() + 8)
    held.leave(0)

    assert not held.may_begin("shop")
    assert held.may_write("shop")
    assert held.renew(0, until=clock.seconds() + 9)
    assert not held.may_begin("shop")

    held.drop(0)

    assert not held.may_write("shop")


def test_a_shard_that_is_gained_again_takes_work() -> None:
    held, clock = shards()
    held.hold(0, until=clock.seconds() + 8)
    held.leave(0)
    held.drop(0)
    held.hold(0, until=clock.seconds() + 8)

    assert held.may_begin("shop")


def test_only_the_namespaces_of_the_held_shards_are_served() -> None:
    held, clock = shards(3)
    held.hold(held.shard_of("billing"), until=clock.seconds() + 8)

    assert held.may_write("billing")
    assert not held.may_write("shop")
    assert not held.may_write(None)
