"""Whose turn it is: partitions, namespaces, priorities and slots; nothing runs."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultsync.api import ObjectKey
from vaultsync.controller.turns import IN_A_ROW, Concurrency, Limits, Partition, Priority, Turns


def turns_of(
    partitions: dict[ObjectKey, Partition], *, responding: Limits | None = None, others: Limits | None = None
) -> Turns:
    concurrency = Concurrency(responding or Limits(4, 2), others or Limits(2, 1))
    return Turns(lambda key: partitions.get(key, Partition("vault")), concurrency)


def take_all(turns: Turns) -> list[ObjectKey]:
    taken = []
    while (key := turns.take()) is not None:
        taken.append(key)
    return taken


def serve_all(turns: Turns) -> list[ObjectKey]:
    """Take and release every key, one at a time."""
    served = []
    while (key := turns.take()) is not None:
        served.append(key)
        turns.release(key)
    return served


def keys(namespace: str, number: int) -> list[ObjectKey]:
    return [ObjectKey(namespace, f"{index:04}") for index in range(number)]


@pytest.mark.parametrize("priority", Priority)
def test_namespaces_of_one_vault_take_turns(priority: Priority) -> None:
    turns = turns_of({})
    for key in keys("busy", 9000):
        turns.put(key, priority)
    turns.put(ObjectKey("quiet", "db"), priority)

    assert serve_all(turns).index(ObjectKey("quiet", "db")) <= 1


def test_a_namespace_leaves_slots_of_a_vault_to_others_that_come_later() -> None:
    turns = turns_of({}, responding=Limits(128, 32))
    for namespace in ("busy", "busier"):
        for key in keys(namespace, 9000):
            turns.put(key, Priority.URGENT)
        if namespace == "busy":
            assert len(take_all(turns)) == 24
    turns.put(ObjectKey("quiet", "db"), Priority.URGENT)

    assert len(take_all(turns)) == 6 + 1
    turns.put(ObjectKey("late", "db"), Priority.URGENT)
    assert take_all(turns) == [ObjectKey("late", "db")]


def test_keys_of_one_namespace_keep_their_order() -> None:
    turns = turns_of({})
    for key in keys("shop", 20):
        turns.put(key, Priority.ROUTINE)

    assert serve_all(turns) == keys("shop", 20)


def test_partitions_take_turns() -> None:
    busy = keys("busy", 1000)
    turns = turns_of({key: Partition(int(key.name) % 10) for key in busy})
    for key in busy:
        turns.put(key, Priority.ROUTINE)
    turns.put(ObjectKey("quiet", "db"), Priority.ROUTINE)

    assert serve_all(turns).index(ObjectKey("quiet", "db")) <= 10


def test_urgent_keys_are_first_in_every_partition() -> None:
    turns = turns_of({})
    for key in keys("busy", 100):
        turns.put(key, Priority.ROUTINE)
    turns.put(ObjectKey("busy", "urgent"), Priority.URGENT)

    assert turns.take() == ObjectKey("busy", "urgent")


def test_each_priority_has_a_share_of_the_turns_while_higher_ones_wait_for_ever() -> None:
    routine, new = keys("routine", 100), keys("new", 100)
    turns = turns_of({key: Partition("another vault") for key in routine})
    for key, priority in [*((key, Priority.ROUTINE) for key in routine), *((key, Priority.NEW) for key in new)]:
        turns.put(key, priority)

    served = []
    for index in range(100):
        for name in (f"{index}-a", f"{index}-b"):
            turns.put(ObjectKey("busy", name), Priority.URGENT)
        taken = turns.take()
        assert taken is not None
        turns.release(taken)
        served.append(taken.namespace)

    assert Counter(served[: IN_A_ROW + 2]) == {"busy": IN_A_ROW, "new": 1, "routine": 1}
    shares = Counter(served)
    assert shares["busy"] >= 100 * IN_A_ROW / (IN_A_ROW + 2)
    assert min(shares["new"], shares["routine"]) >= 100 / (IN_A_ROW + 2) - 1


def test_vaults_that_do_not_respond_leave_all_slots_to_the_others() -> None:
    hanging = keys("hanging", 1000)
    turns = turns_of({key: Partition(key.name, responds=False) for key in hanging})
    for key in hanging:
        turns.put(key, Priority.URGENT)
    assert len(take_all(turns)) == 2

    turns.put(ObjectKey("quiet", "db"), Priority.ROUTINE)

    assert take_all(turns) == [ObjectKey("quiet", "db")]


def test_a_namespace_has_only_some_of_the_slots_for_what_does_not_respond() -> None:
    hanging = keys("hanging", 10)
    partitions = {key: Partition(key.namespace, responds=False) for key in (*hanging, ObjectKey("new", "db"))}
    turns = turns_of(partitions)
    for key in partitions:
        turns.put(key, Priority.URGENT)

    assert take_all(turns) == [hanging[0], ObjectKey("new", "db")]


def test_waiting_keys_move_when_their_vault_responds() -> None:
    waiting = keys("shop", 3)
    partitions = {key: Partition("shop", responds=False) for key in waiting}
    turns = turns_of(partitions)
    for key in waiting:
        turns.put(key, Priority.ROUTINE)
    assert take_all(turns) == waiting[:1]

    partitions.clear()
    turns.release(waiting[0])

    assert take_all(turns) == waiting[1:]


def test_a_discarded_key_does_not_get_a_turn() -> None:
    turns = turns_of({})
    for key in keys("shop", 3):
        turns.put(key, Priority.ROUTINE)
    turns.discard(keys("shop", 3)[1])
    turns.discard(ObjectKey("shop", "unknown"))

    assert serve_all(turns) == [keys("shop", 3)[0], keys("shop", 3)[2]]


KEYS = [ObjectKey(namespace, name) for namespace in ("a", "b") for name in "xyz"]
PARTITIONS = [Partition("one"), Partition("two"), Partition("a", responds=False), Partition("b", responds=False)]
STEPS = st.one_of(
    st.tuples(st.just("put"), st.tuples(st.sampled_from(KEYS), st.sampled_from(Priority))),
    st.tuples(st.just("move"), st.tuples(st.sampled_from(KEYS), st.sampled_from(PARTITIONS))),
    st.tuples(st.just("discard"), st.tuples(st.sampled_from(KEYS))),
    st.tuples(st.sampled_from(["take", "release"]), st.just(())),
)


class Model:
    """The turns of some keys, what is known to wait and to run, and the limits that must hold after each step."""

    def __init__(self) -> None:
        self.partitions = dict.fromkeys(KEYS, PARTITIONS[0])
        self.turns = Turns(self.partitions.__getitem__, Concurrency(Limits(3, 2), Limits(2, 1)))
        self.waiting: set[ObjectKey] = set()
        self.running: dict[ObjectKey, Partition] = {}

    def put(self, key: ObjectKey, priority: Priority) -> None:
        if key not in self.running:
            self.waiting.add(key)
            self.turns.put(key, priority)

    def move(self, key: ObjectKey, partition: Partition) -> None:
        self.partitions[key] = partition

    def discard(self, key: ObjectKey) -> None:
        self.waiting.discard(key)
        self.turns.discard(key)

    def take(self) -> None:
        key = self.turns.take()
        if key is not None:
            self.waiting.remove(key)
            self.running[key] = self.partitions[key]

    def release(self) -> None:
        if self.running:
            key = next(iter(self.running))
            del self.running[key]
            self.turns.release(key)

    def assert_limits(self) -> None:
        slots = Counter(self.running.values())
        assert all(count <= (2 if partition.responds else 1) for partition, count in slots.items())
        assert sum(count for partition, count in slots.items() if partition.responds) <= 3
        assert sum(count for partition, count in slots.items() if not partition.responds) <= 2


@given(steps=st.lists(STEPS, max_size=60))
def test_limits_hold_and_no_waiting_key_is_lost(steps: list[tuple[str, tuple[object, ...]]]) -> None:
    model = Model()
    for step, arguments in steps:
        getattr(model, step)(*arguments)
        model.assert_limits()

    while model.waiting or model.running:
        before = len(model.waiting) + len(model.running)
        model.take()
        model.release()
        assert len(model.waiting) + len(model.running) < before
    assert not any(pool.lanes for pool in model.turns._pools.values())
    assert not model.turns._waiting
    assert not model.turns._running
