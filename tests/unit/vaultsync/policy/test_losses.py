"""What a vault has lost within a day, when that trips the deletion guard, what resets it, and what a restart knows."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import (
    NOW_MISSING,
    READ_AT,
    a_listing,
    a_status,
    a_status_entry,
    a_vault_secret,
    an_entry,
    some_metadata,
)
from vaultsync.api.v1alpha1 import StatusMissing, VaultSecret
from vaultsync.policy.losses import WINDOW, held_units, known_units, loss_report, lost_units, needs_known
from vaultsync.state.listings import SecretMetadata
from vaultsync.state.moments import Moment
from vaultsync.state.vaults import MAX_UNCONFIRMED_LOSSES, UNKNOWN, LossReport, Missing, VaultView

LOST = frozenset(f"lost-{number}" for number in range(10))
KEPT = frozenset(f"kept-{number}" for number in range(5))
SOME = frozenset(sorted(LOST)[:4])
NOW = READ_AT
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def view(*, back: frozenset[str] = frozenset()) -> VaultView:
    """What polls know: all that was kept, and what is back."""
    present: dict[str, SecretMetadata | Missing] = {name: some_metadata(name=name) for name in KEPT | back}
    return VaultView({**dict.fromkeys(LOST, NOW_MISSING), **present})


def report(
    before: LossReport | None,
    known: frozenset[str],
    lost: frozenset[str],
    polled: VaultView = UNKNOWN,
    *,
    held: frozenset[str] = frozenset(),
    now: datetime = NOW,
) -> LossReport:
    return loss_report(before, lost, polled, known=known, held=held, now=now)


TRIPPED = report(None, LOST | KEPT, LOST, view())


def names(count: int, prefix: str = "") -> frozenset[str]:
    return frozenset(f"{prefix}{number}" for number in range(count))


# When it trips


def test_a_report_has_what_is_known_and_lost() -> None:
    assert LossReport(LOST | KEPT, NOW, LOST, LOST, 10) == TRIPPED


@pytest.mark.parametrize("prefix", ["", "config/"], ids=["secrets", "keys of an object"])
@pytest.mark.parametrize(
    ("known", "lost", "tripped"),
    [(5, 5, False), (6, 6, True), (11, 6, True), (12, 6, False), (1000, 500, False), (1000, 501, True)],
    ids=["five of five", "six of six", "six of eleven", "half", "half of many", "more than half of many"],
)
def test_it_trips_when_more_than_half_and_more_than_five_are_lost(
    known: int, lost: int, tripped: bool, prefix: str
) -> None:
    assert report(None, names(known, prefix), names(lost, prefix)).tripped is tripped


def test_secrets_and_keys_of_secrets_are_counted_separately() -> None:
    secrets, keys = names(8), names(100, "config/")

    assert report(None, secrets | keys, names(6)).tripped
    assert report(None, secrets | names(8, "config/"), names(6, "config/")).tripped
    assert not report(None, secrets | keys, names(3) | names(3, "config/")).tripped


@given(known=st.integers(0, 40), lost=st.integers(0, 40))
def test_it_trips_by_what_is_lost_and_known(known: int, lost: int) -> None:
    most = lost > MAX_UNCONFIRMED_LOSSES and 2 * lost > max(known, lost)

    assert report(None, names(known), names(lost)).tripped is most


@given(
    secrets=st.integers(1, 60),
    each=st.lists(st.integers(0, 30), max_size=20),
    grace=st.integers(1, 4),
    restarts=st.booleans(),
)
def test_however_slowly_a_vault_is_emptied_no_more_goes_than_half_or_the_minimum(
    secrets: int, each: list[int], grace: int, restarts: bool
) -> None:
    """Secrets are lost poll by poll, and their keys are removed some polls later, unless they are held."""
    before: LossReport | None = None
    lost: dict[str, int] = {}
    removed: set[str] = set()
    for poll, count in enumerate(each):
        lost |= dict.fromkeys(sorted(names(secrets) - lost.keys())[:count], poll)
        before = report(None if restarts else before, names(secrets) - removed, frozenset(lost))
        removed |= {name for name, at in lost.items() if poll - at >= grace and not before.holds(name)}

    assert len(removed) <= max(MAX_UNCONFIRMED_LOSSES, secrets // 2)


def test_what_is_new_since_the_first_loss_does_not_count_as_known() -> None:
    first = report(None, names(10), names(1))

    second = report(first, names(10) | names(90, "new-"), names(6))

    assert (second.known, second.tripped) == (names(10), True)


def test_what_is_known_is_counted_again_after_a_day() -> None:
    first = report(None, names(10), names(1))

    second = report(first, names(10) | names(90, "new-"), names(6), now=NOW + WINDOW)

    assert (len(second.known), second.tripped) == (100, False)


def test_what_no_vaultsecret_uses_any_more_does_not_count_as_known() -> None:
    first = report(None, names(100), names(1))

    assert report(first, names(10), names(6)).tripped


@pytest.mark.parametrize(
    ("lost_before", "lost", "later", "needs"),
    [(0, 0, HOUR, False), (0, 1, HOUR, True), (5, 5, HOUR, False), (5, 6, HOUR, True), (5, 5, DAY, True)],
    ids=["nothing lost", "the first loss", "no more than the minimum", "more than the minimum", "a day later"],
)
def test_all_known_secrets_are_only_needed_if_that_matters(
    lost_before: int, lost: int, later: timedelta, needs: bool
) -> None:
    before = report(None, names(20), names(lost_before))

    assert needs_known(before, names(lost), NOW + later) is needs
    if not needs:
        without = report(before, frozenset(), names(lost), now=NOW + later)
        assert without == report(before, names(20), names(lost), now=NOW + later)


# What resets it


def test_it_stays_tripped_for_the_others_when_some_are_released_suspended_or_deleted() -> None:
    later = report(TRIPPED, SOME, SOME, view())

    assert (later.lost, later.latched, later.most) == (SOME, LOST, 10)


def test_further_losses_are_latched_too() -> None:
    more = LOST | {"kept-0"}
    later = VaultView({**view().secrets, "kept-0": NOW_MISSING})

    assert report(TRIPPED, LOST | KEPT, more, later).latched == more


def test_a_second_loss_that_trips_it_is_added_to_the_first() -> None:
    others = names(6, "other-")
    later = VaultView({**view().secrets, **dict.fromkeys(others, NOW_MISSING)})

    assert report(TRIPPED, others, others, later).latched == LOST | others


def test_a_secret_that_is_back_is_not_latched_any_more() -> None:
    back = frozenset({"lost-9"})

    assert report(TRIPPED, LOST | KEPT, LOST - back, view(back=back)).latched == LOST - back


@pytest.mark.parametrize(("left", "tripped"), [(6, True), (5, False)], ids=["most are lost", "half is back"])
def test_it_is_reset_when_half_of_what_was_lost_is_back(left: int, tripped: bool) -> None:
    lost = frozenset(sorted(LOST)[:left])

    assert report(TRIPPED, lost, lost, view(back=LOST - lost)).tripped is tripped


def test_it_is_reset_when_no_vaultsecret_waits_for_what_is_lost_and_does_not_trip_again() -> None:
    reset = report(TRIPPED, KEPT, frozenset(), view())

    assert reset == LossReport()
    assert not report(reset, SOME, SOME, view()).tripped


def test_a_secret_that_is_back_but_disabled_stays_latched() -> None:
    disabled = VaultView({name: some_metadata(name=name, readable=False) for name in LOST})

    assert report(TRIPPED, SOME, SOME, disabled).latched == LOST


def test_a_secret_that_is_there_and_does_not_match_any_more_stays_latched() -> None:
    assert report(TRIPPED, LOST, LOST, view(back=LOST)).latched == LOST


def test_a_secret_that_no_vaultsecret_asks_for_any_more_stays_latched() -> None:
    assert report(TRIPPED, SOME, SOME, VaultView(dict.fromkeys(SOME, NOW_MISSING))).latched == LOST


# What a restart knows


def test_what_a_former_process_held_stays_held_until_it_is_back_or_released() -> None:
    first = report(None, names(50), names(3), held=names(2))
    assert (first.tripped, first.held, first.holds("1"), first.holds("2")) == (False, names(2), True, False)

    assert report(first, names(50), names(1), held=names(50)).held == names(1)


def test_what_is_held_is_what_a_vaultsecret_misses_whose_deletions_are_held() -> None:
    missing = (
        StatusMissing(secret_name="api-token", since=NOW),
        StatusMissing(secret_name="config", key="color", since=NOW),
        StatusMissing(secret_name="gone", since=NOW - DAY, removed=NOW),
    )
    held = a_status(reason="DeletionHeld").model_copy(update={"missing": missing})
    others = a_status().model_copy(update={"missing": missing})

    assert held_units([a_vault_secret(status=others)]) == set()
    assert held_units([a_vault_secret(status=held)]) == {"api-token", "config/color"}


# What is counted


IN_PLACE = a_status(a_status_entry(), a_status_entry(key="token", secret_name="Api-Token"))
PAIR = (an_entry(), an_entry(key="token", secret_name="api-token"))
MIXED = (an_entry(), an_entry(key="token", secret_name="api-token", optional=True))


@pytest.mark.parametrize(
    ("vault_secret", "known"),
    [
        (a_vault_secret(*PAIR, status=IN_PLACE), set()),
        (a_vault_secret(*PAIR, status=IN_PLACE, on_source_deleted="Delete"), {"db-password", "api-token"}),
        (a_vault_secret(*MIXED, status=IN_PLACE), {"api-token"}),
        (a_vault_secret(an_entry(optional=True), status=IN_PLACE), {"db-password"}),
        (
            a_vault_secret(data=(), data_from=[{"find": {"names": "*"}}], status=IN_PLACE),
            {"db-password", "api-token"},
        ),
        (a_vault_secret(*PAIR, on_source_deleted="Delete"), set()),
        (
            a_vault_secret(on_source_deleted="Delete", status=a_status(a_status_entry(version=None, updated=None))),
            set(),
        ),
        (
            a_vault_secret(data=(), data_from=[{"object": "db-password"}], status=a_status()),
            {"db-password/password"},
        ),
        (
            a_vault_secret(an_entry(property="a", optional=True), status=a_status()),
            {"db-password", "db-password/password"},
        ),
        (
            a_vault_secret(an_entry(key="x", previous_key="password"), status=a_status()),
            {"db-password/password"},
        ),
    ],
    ids=[
        "none where keys are retained",
        "all where keys are deleted with their secrets",
        "optional ones",
        "none that the spec does not name",
        "found ones",
        "none that never existed",
        "none that was deleted before",
        "fields of an object",
        "an optional property",
        "a previous version",
    ],
)
def test_what_is_known_would_take_keys_with_it(vault_secret: VaultSecret, known: set[str]) -> None:
    assert known_units([vault_secret]) == known


NAMED = a_vault_secret(on_source_deleted="Delete", status=a_status())
FINDS = a_vault_secret(data=(), data_from=[{"find": {"names": "*"}}], status=a_status())
TAGGED = a_vault_secret(data=(), data_from=[{"find": {"tags": {"a": "b"}}}], status=a_status())


@pytest.mark.parametrize(
    ("vault_secret", "polled", "lost"),
    [
        (NAMED, UNKNOWN, False),
        (NAMED, VaultView({"db-password": some_metadata()}), False),
        (NAMED, VaultView({"db-password": Missing(Moment(60.0))}), True),
        (NAMED, VaultView({"db-password": some_metadata(readable=False)}, listing=a_listing()), False),
        (FINDS, UNKNOWN, False),
        (FINDS, VaultView(listing=a_listing(some_metadata(name="db-password"))), False),
        (FINDS, VaultView(listing=a_listing()), True),
        (FINDS, VaultView(listing=a_listing(some_metadata(name="db-password", readable=False))), True),
        (TAGGED, VaultView(listing=a_listing(some_metadata(name="db-password", tags={"a": "b"}))), False),
        (TAGGED, VaultView(listing=a_listing(some_metadata(name="db-password"))), True),
    ],
    ids=[
        "it was not polled",
        "a poll found it",
        "a poll did not find it",
        "it is named, and disabled",
        "nothing was listed",
        "it is listed",
        "it is not listed",
        "it was found, and is disabled",
        "it is listed with its tag",
        "it is listed without its tag",
    ],
)
def test_a_secret_is_lost_if(vault_secret: VaultSecret, polled: VaultView, lost: bool) -> None:
    assert lost_units([vault_secret], polled, NOW) == ({"db-password"} if lost else set())


@pytest.mark.parametrize(
    ("missing", "lost"),
    [
        (StatusMissing(secret_name="a", key="color", since=NOW), {"a/color"}),
        (StatusMissing(secret_name="db-password", key="password", since=NOW), set()),
        (StatusMissing(secret_name="a", since=NOW), set()),
        (StatusMissing(secret_name="a", since=NOW - DAY, removed=NOW - 23 * HOUR), {"a"}),
        (StatusMissing(secret_name="a", key="b", since=NOW - DAY, removed=NOW), {"a/b"}),
        (StatusMissing(secret_name="a", since=NOW - DAY, removed=NOW - WINDOW), set()),
    ],
    ids=[
        "a part of a secret",
        "not a part of a secret that is lost itself",
        "not a secret that polls have found",
        "a secret whose key was removed",
        "a part of a secret that was removed",
        "not what was removed a day ago",
    ],
)
def test_what_statuses_list_as_missing_is_lost(missing: StatusMissing, lost: set[str]) -> None:
    status = a_status().model_copy(update={"missing": (missing,)})
    vault_secret = NAMED.model_copy(update={"status": status})

    assert lost_units([vault_secret], VaultView({"db-password": NOW_MISSING}), NOW) == {"db-password"} | lost
