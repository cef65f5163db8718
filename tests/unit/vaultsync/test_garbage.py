"""The bound on the pauses of the garbage collector: caches are not looked at again and again, and nothing leaks."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from vaultsync import garbage
from vaultsync.garbage import MAX_OBJECTS, bounded_pauses, frozen


@pytest.fixture(autouse=True)
def _undone() -> Iterator[None]:
    """What a test freezes and calls back ends with it; what existed before counts for none."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def _bound() -> Iterator[None]:
    """One bound, and no collections but those of the test."""
    others = gc.callbacks[:]
    gc.disable()
    gc.callbacks[:] = []
    with bounded_pauses():
        yield
    gc.callbacks[:] = others
    gc.enable()


class Node:
    """An object that may be in a cycle."""

    other: "Node"


def cycle() -> Node:
    """Two objects that refer to each other."""
    node, node.other = Node(), Node()
    node.other.other = node
    return node


def many() -> list[list[object]]:
    """More objects than a collection looks at twice."""
    return [[] for _ in range(MAX_OBJECTS + 1)]


def test_what_imports_leave_behind_is_not_kept() -> None:
    with frozen():
        left = weakref.ref(cycle())
        assert left() is not None

    assert left() is None


def test_what_is_imported_is_not_collected_and_the_rest_is() -> None:
    gc.unfreeze()

    with frozen():
        assert not gc.isenabled()

    assert gc.isenabled()
    assert gc.get_freeze_count() > MAX_OBJECTS
    garbage_of = weakref.ref(cycle())
    gc.collect()
    assert garbage_of() is None


@pytest.mark.usefixtures("_bound")
def test_the_collector_looks_at_many_objects_once() -> None:
    kept = many()

    gc.collect()

    assert len(gc.get_objects(2)) < MAX_OBJECTS
    assert kept


@pytest.mark.usefixtures("_bound")
def test_few_objects_are_not_frozen() -> None:
    before = gc.get_freeze_count()
    kept = cycle()
    dropped = weakref.ref(kept)

    gc.collect()
    del kept
    gc.collect()

    assert dropped() is None
    assert gc.get_freeze_count() <= before


@pytest.mark.usefixtures("_bound")
def test_a_cycle_that_was_frozen_is_freed_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "MAX_FREEZES", 1)
    kept = cycle()
    dropped = weakref.ref(kept)
    caches = [many()]
    gc.collect()
    del kept
    gc.collect()
    assert dropped() is not None

    caches.append(many())
    gc.collect()
    gc.collect()

    assert dropped() is None
