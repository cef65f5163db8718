"""How far a replica has observed, and whether another one has observed as much."""

from dataclasses import replace

import pytest

from tests.builders import KEY, a_granted, a_vault_secret, an_observed, no_limit
from vaultsync.api.v1alpha1 import VaultSecretMeta
from vaultsync.state.positions import Position, farthest
from vaultsync.state.shards import Shards
from vaultsync.state.snapshots import Bookmark, TargetList
from vaultsync.state.stores import State
from vaultsync.state.targets import TargetCache
from vaultsync.state.vaults import VaultStore
from vaultsync.state.vaultsecrets import VaultSecretCache


def a_state(*, vaultsecret: int = 20, target: int = 30, namespaces: tuple[str, ...] = ()) -> State:
    """What a replica knows that has observed one VaultSecret and its target."""
    state = State(VaultSecretCache(), TargetCache(namespaces, users=no_limit), VaultStore())
    state.parked.put(a_vault_secret(metadata={"resource_version": str(vaultsecret)}), a_granted())
    state.vaultsecrets.observed_version = vaultsecret
    scope = namespaces[0] if namespaces else None
    targets = {KEY: an_observed(resource_version=str(target))}
    state.targets.handle_list(scope, TargetList(targets, str(target)))
    return state


def test_a_position_is_that_of_the_newest_object_of_each_kind() -> None:
    assert a_state().position == Position(20, 30)
    assert State(VaultSecretCache(), TargetCache(users=no_limit), VaultStore()).position == Position(0, 0)


def test_a_bookmark_is_no_part_of_a_position_since_another_watch_has_others() -> None:
    state = a_state()
    state.targets.handle_event(None, Bookmark("90"))

    assert state.position == Position(20, 30)


def test_what_was_written_and_not_observed_yet_is_handed_over_and_is_no_evidence_of_what_others_did() -> None:
    state = replace(a_state(), shards=Shards(2, clock=lambda: 0.0))
    state.targets.record_write(KEY, an_observed(resource_version="31"))
    written = a_vault_secret(metadata={"resource_version": "21", "generation": 2})
    state.parked.record_status(VaultSecretMeta(metadata=written.metadata, status=written.status))

    assert state.position == Position(21, 31)
    assert state.has_reached(Position(20, 30))
    assert not state.has_reached(Position(21, 30))
    assert not state.has_reached(Position(20, 31))


def test_what_a_list_has_shown_and_the_watch_has_not_brought_is_handed_over() -> None:
    state = a_state()
    state.vaultsecrets.forget_until("40")
    assert state.position == Position(40, 30)
    assert not state.has_reached(Position(40, 30))

    state.vaultsecrets.invalidate_all()
    assert state.position == Position(20, 30)


def test_there_is_no_position_if_several_watches_have_no_common_order() -> None:
    assert a_state(namespaces=("shop",)).position == Position(20, 30)
    assert a_state(namespaces=("shop", "blog")).position is None


@pytest.mark.parametrize("kind", ["targets", "parked"])
def test_there_is_no_position_after_a_restore_of_the_api_server(kind: str) -> None:
    state = a_state()
    getattr(state, kind).invalidate_all()

    assert state.position is None
    assert not state.has_reached(Position(0, 0))


def test_there_is_no_position_during_a_list_since_it_has_no_order() -> None:
    state = a_state()
    state.vaultsecrets.is_listing = True

    assert state.position is None
    assert not state.has_reached(Position(20, 30))


@pytest.mark.parametrize(
    ("position", "reached"),
    [
        (Position(20, 30), True),
        (Position(0, 0), True),
        (Position(21, 30), False),
        (Position(20, 31), False),
        (Position(20, 90), False),
    ],
)
def test_a_position_is_reached_once_both_watches_have_brought_it(position: Position, *, reached: bool) -> None:
    assert a_state().has_reached(position) is reached


def test_a_bookmark_shows_that_a_position_is_reached() -> None:
    state = a_state()
    state.targets.handle_event(None, Bookmark("90"))

    assert state.has_reached(Position(20, 90))


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        ([], None),
        ([None], None),
        ([Position(1, 4)], Position(1, 4)),
        ([Position(1, 4), Position(3, 2)], Position(3, 4)),
        ([Position(1, 4), None], None),
    ],
)
def test_the_farthest_position_is_as_far_as_all(positions: list[Position | None], expected: Position | None) -> None:
    assert farthest(positions) == expected
