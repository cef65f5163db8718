"""Which Leases a replica takes, waits for and gives up."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultsync.policy.leases import (
    JITTER,
    LEASE_DURATION,
    MEMBER_DURATION,
    PATIENCE,
    RENEW_DEADLINE,
    REQUEST_TIMEOUT,
    RETRY_PERIOD,
    Installation,
    Lease,
    Observation,
    Share,
    conflicting,
    observe,
    replica_identity,
    share,
    unnamed_installation,
)

OURS = Installation("team.vaultsync")
LEASE = Lease("team.vaultsync-0", "uid", "1", "other", "12:00", 0, "team.vaultsync", 1)


def test_a_lost_leader_is_replaced_within_twenty_seconds() -> None:
    # Its last renewal is seen by the next look, and its shard was meant for a replica that does not take it.
    period = RETRY_PERIOD * JITTER
    assert period + LEASE_DURATION + PATIENCE + period < 20


def test_a_leader_has_several_attempts_and_stops_well_before_its_lease_runs_out() -> None:
    assert RETRY_PERIOD * JITTER + 2 * REQUEST_TIMEOUT < RENEW_DEADLINE
    assert RENEW_DEADLINE <= LEASE_DURATION * 2 / 3
    # What died with a leader no longer counts as its competitor when its shards are free.
    assert MEMBER_DURATION + RETRY_PERIOD * JITTER < LEASE_DURATION


@pytest.mark.parametrize(
    ("changed", "since"),
    [
        ({}, 10.0),
        ({"resource_version": "2"}, 10.0),
        ({"shards": 7}, 10.0),
        ({"renewed": "12:02"}, 20.0),
        ({"renewed": "9999-12-31T23:59:59Z"}, 20.0),
        ({"renewed": ""}, 20.0),
        ({"holder": "another"}, 20.0),
        ({"holder": None}, 20.0),
        ({"transitions": 1}, 20.0),
        ({"uid": "created again"}, 20.0),
    ],
)
def test_a_lease_counts_from_when_a_renewal_was_observed(changed: Mapping[str, object], since: float) -> None:
    before = observe({}, [LEASE], expected=(), now=10.0)

    after_lease = replace(LEASE, **changed)  # type: ignore[arg-type]
    after = observe(before, [after_lease], expected=(), now=20.0)

    assert after[LEASE.name].since == since
    assert after[LEASE.name].is_renewed == (since > before[LEASE.name].since)
    assert observe(after, [after_lease], expected=(), now=30.0) == after


@pytest.mark.parametrize(
    ("lease", "age", "is_live"),
    [
        (LEASE, 0.0, True),
        (LEASE, LEASE_DURATION - 0.1, True),
        (LEASE, LEASE_DURATION, False),
        (replace(LEASE, holder=None), 0.0, False),
        (None, 0.0, False),
    ],
)
def test_a_lease_is_live_for_its_duration_whatever_it_says(lease: Lease | None, age: float, *, is_live: bool) -> None:
    assert Observation(lease, since=100.0).is_live(100.0 + age) is is_live


def test_the_holder_of_a_deleted_lease_has_its_time() -> None:
    seen = observe({}, [LEASE], expected=(LEASE.name,), now=0.0)

    deleted = observe(seen, [], expected=(LEASE.name,), now=5.0)
    later = observe(deleted, [], expected=(LEASE.name,), now=LEASE_DURATION)

    assert deleted[LEASE.name].is_live(LEASE_DURATION - 1)
    assert later[LEASE.name] == Observation(None, LEASE_DURATION)


def test_what_is_absent_has_been_so_since_it_was_first_looked_for() -> None:
    seen = observe({}, [], expected=("a",), now=1.0)

    assert observe(seen, [], expected=("a", "b"), now=2.0) == {"a": Observation(None, 1.0), "b": Observation(None, 2.0)}


@pytest.mark.parametrize(
    ("ours", "other", "conflicts"),
    [
        (OURS, {}, False),
        (OURS, {"shards": 2}, True),
        (OURS, {"shards": None}, True),
        (OURS, {"installation": "laptop"}, True),
        (OURS, {"installation": "laptop", "holder": None}, False),
        (OURS, {"installation": "laptop", "namespaces": frozenset({"shop"})}, True),
        (Installation("x", 1, frozenset({"shop"})), {"installation": "laptop"}, True),
        (Installation("x", 1, frozenset({"shop"})), {"namespaces": frozenset({"shop", "web"})}, True),
        (Installation("x", 1, frozenset({"shop"})), {"namespaces": frozenset({"web"})}, False),
        (Installation("x", 1, frozenset({"shop"})), {"namespaces": frozenset({""})}, False),
    ],
)
def test_one_installation_serves_a_namespace(
    ours: Installation, other: Mapping[str, object], *, conflicts: bool
) -> None:
    lease = replace(LEASE, **other)  # type: ignore[arg-type]

    assert (conflicting(ours, {"x": Observation(lease, 0.0)}, now=1.0) is not None) is conflicts
    assert conflicting(ours, {"x": Observation(lease, 0.0)}, now=LEASE_DURATION) is None


FOUR, EIGHT = Installation("many", shards=4), Installation("many", shards=8)
NOW = 1000.0


def seen(ours: Installation, holders: str, free_for: float = 0.0) -> dict[str, Observation]:
    """Observe shards by the letters of their holders; a dot is free, and our own are `a`."""
    return {
        ours.lease_name(shard): (
            Observation(None, NOW - free_for)
            if holder == "."
            else Observation(replace(LEASE, name=ours.lease_name(shard), holder=holder), NOW)
        )
        for shard, holder in enumerate(holders)
    }


@pytest.mark.parametrize(
    ("holders", "members", "free_for", "take", "give"),
    [
        # Alone, everything.
        ("....", "", 0, 4, None),
        ("a.a.", "", 0, 2, None),
        # Two replicas: half, and all once the other has not taken it.
        ("....", "b", 0, 2, None),
        ("aa..", "b", 0, 0, None),
        ("aa..", "b", PATIENCE, 2, None),
        ("bb..", "b", 0, 2, None),
        # One has joined: one shard after the other is given up.
        ("aaaa", "b", 0, 0, 3),
        ("aaab", "b", 0, 0, 2),
        ("aabb", "b", 0, 0, None),
        ("aaa.", "b", 0, 0, None),
        ("aab.", "b", 0, 0, None),
        ("abb.", "b", 0, 1, None),
        # Three: none has two more than another.
        ("aabb", "bc", 0, 0, 1),
        ("aabc", "bc", 0, 0, None),
        # What others hold is theirs, also of those that are not known as members.
        ("bbbb", "b", 0, 0, None),
        ("dddd", "", PATIENCE, 0, None),
    ],
)
def test_each_replica_holds_about_its_share(
    holders: str, members: str, free_for: float, take: int, give: int | None
) -> None:
    held = frozenset(shard for shard, holder in enumerate(holders) if holder == "a")

    decided = share(FOUR, seen(FOUR, holders, free_for), identity="a", held=held, members=set(members), now=NOW)

    assert len(decided.take) == take
    assert {holders[shard] for shard in decided.take} <= {"."}
    assert decided.give == give


def test_a_lease_that_is_ours_and_not_held_any_more_is_taken_again() -> None:
    # After a process was stopped for long, or if the response to an acquisition was lost.
    assert share(FOUR, seen(FOUR, "bbba"), identity="a", held=frozenset(), members=(), now=NOW) == Share(take=(3,))


@given(st.integers(1, 16), st.integers(1, 5), st.randoms())
def test_replicas_that_follow_the_rule_come_to_shares_and_stay_there(
    shards: int, replicas: int, random: object
) -> None:
    ours, names = Installation("many", shards), "abcdefgh"[:replicas]
    holders = ["."] * shards
    quiet = 0
    for turn in range(400):
        name = names[turn % replicas]
        held = frozenset(shard for shard, holder in enumerate(holders) if holder == name)
        observations = seen(ours, "".join(holders), free_for=0.0)
        decided = share(ours, observations, identity=name, held=held, members=set(names) - {name}, now=NOW)
        for shard in decided.take:
            assert holders[shard] == "."
            holders[shard] = name
        if decided.give is not None:
            holders[decided.give] = "."
        quiet = 0 if decided != Share() else quiet + 1
    counts = [holders.count(name) for name in names]

    assert "." not in holders
    assert max(counts) - min(counts) <= 1
    assert quiet > replicas


@pytest.mark.parametrize(
    ("host", "identity"),
    [
        ("vaultsync-7d9f-x2x", "vaultsync-7d9f-x2x-0a1b"),
        ("Laptop.local", "laptop-local-0a1b"),
        ("", "unknown-0a1b"),
        ("ü", "unknown-0a1b"),
        ("x" * 100, "x" * 63 + "-0a1b"),
    ],
)
def test_an_identity_is_part_of_a_name_of_kubernetes(host: str, identity: str) -> None:
    assert replica_identity(host, "0a1b") == identity


def test_an_installation_without_a_name_is_that_of_user_and_host() -> None:
    assert unnamed_installation("Jane Doe", "MacBook.local") == "unnamed.jane-doe.macbook-local"
