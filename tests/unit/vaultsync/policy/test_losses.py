"""How much of a vault is lost, when that trips the deletion guard, and what resets it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import (
    NOW_MISSING,
    a_listing,
    a_status,
    a_status_entry,
    a_vault_secret,
    an_entry,
    some_metadata,
)
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.policy.losses import known_names, loss_report, lost_names, needs_all_known
from vaultsync.state.vaults import (
    MAX_UNCONFIRMED_LOSSES,
    UNKNOWN,
    LossReport,
    Missing,
    Moment,
    SecretMetadata,
    VaultView,
)

LOST = frozenset(f"lost-{number}" for number in range(10))
KEPT = frozenset(f"kept-{number}" for number in range(5))
SOME = frozenset(sorted(LOST)[:4])


def view(*, back: frozenset[str] = frozenset()) -> VaultView:
    """What polls know: all that was kept, and what is back."""
    present: dict[str, SecretMetadata | Missing] = {name: some_metadata(name=name) for name in KEPT | back}
    return VaultView({**dict.fromkeys(LOST, NOW_MISSING), **present})


TRIPPED = loss_report(None, LOST | KEPT, LOST, view())


def names(count: int) -> frozenset[str]:
    return frozenset(map(str, range(count)))


# When it trips


def test_a_report_counts_what_is_known_and_lost() -> None:
    assert (TRIPPED.known, TRIPPED.lost, TRIPPED.latched, TRIPPED.latched_known) == (15, 10, LOST, 15)


@pytest.mark.parametrize(
    ("known", "lost", "tripped"),
    [(5, 5, False), (6, 6, True), (11, 6, True), (12, 6, False), (1000, 500, False), (1000, 501, True)],
    ids=["five of five", "six of six", "six of eleven", "half", "half of many", "more than half of many"],
)
def test_it_trips_when_more_than_half_and_more_than_five_are_lost(known: int, lost: int, tripped: bool) -> None:
    assert loss_report(None, names(known), names(lost), UNKNOWN).tripped is tripped


@given(known=st.integers(0, 40), lost=st.integers(0, 40))
def test_it_never_trips_where_not_all_known_secrets_are_needed(known: int, lost: int) -> None:
    report = loss_report(None, names(known), names(lost), UNKNOWN)

    assert report.tripped is (lost > MAX_UNCONFIRMED_LOSSES and 2 * lost > known)
    assert needs_all_known(names(lost)) or not report.tripped


# What resets it


def test_it_stays_tripped_for_the_others_when_some_are_released_suspended_or_deleted() -> None:
    assert loss_report(TRIPPED, SOME, SOME, view()) == LossReport(4, 4, LOST, 15)


def test_further_losses_are_latched_too() -> None:
    more = LOST | {"kept-0"}
    later = VaultView({**view().secrets, "kept-0": NOW_MISSING})

    assert loss_report(TRIPPED, LOST | KEPT, more, later).latched == more


def test_a_second_loss_that_trips_it_is_added_to_the_first() -> None:
    others = frozenset(f"other-{number}" for number in range(6))
    later = VaultView({**view().secrets, **dict.fromkeys(others, NOW_MISSING)})

    assert loss_report(TRIPPED, others, others, later) == LossReport(6, 6, LOST | others, 15)


def test_a_secret_that_is_back_is_not_latched_any_more() -> None:
    back = frozenset({"lost-9"})

    assert loss_report(TRIPPED, LOST | KEPT, LOST - back, view(back=back)).latched == LOST - back


def test_it_is_reset_when_most_of_what_was_lost_is_back() -> None:
    report = loss_report(TRIPPED, SOME, SOME, view(back=LOST - SOME))

    assert report == LossReport(4, 4)


def test_it_is_reset_when_no_vaultsecret_waits_for_what_is_lost_and_does_not_trip_again() -> None:
    reset = loss_report(TRIPPED, KEPT, frozenset(), view())

    assert not reset.tripped
    assert not loss_report(reset, SOME, SOME, view()).tripped


def test_a_secret_that_is_back_but_disabled_stays_latched() -> None:
    disabled = VaultView({name: some_metadata(name=name, readable=False) for name in LOST})

    assert loss_report(TRIPPED, SOME, SOME, disabled).latched == LOST


def test_a_secret_that_no_vaultsecret_asks_for_any_more_stays_latched() -> None:
    assert loss_report(TRIPPED, SOME, SOME, VaultView(dict.fromkeys(SOME, NOW_MISSING))).latched == LOST


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
    ],
    ids=[
        "none where keys are retained",
        "all where keys are deleted with their secrets",
        "optional ones",
        "none that the spec does not name",
        "found ones",
        "none that never existed",
        "none that was deleted before",
    ],
)
def test_a_secret_is_known_if_its_key_would_be_deleted_with_it(vault_secret: VaultSecret, known: set[str]) -> None:
    assert known_names([vault_secret]) == known


@pytest.mark.parametrize(
    ("view", "lost"),
    [
        (UNKNOWN, False),
        (VaultView({"db-password": some_metadata()}), False),
        (VaultView({"db-password": Missing(Moment(60.0))}), True),
        (VaultView(listing=a_listing(some_metadata(name="db-password"))), False),
        (VaultView(listing=a_listing()), True),
        (VaultView({"db-password": some_metadata(readable=False)}, listing=a_listing()), False),
        (VaultView(listing=a_listing(some_metadata(name="db-password", readable=False))), True),
    ],
    ids=[
        "it was not polled",
        "a poll found it",
        "a poll did not find it",
        "it is listed",
        "it is not listed",
        "it is named, and disabled",
        "it was found, and is disabled",
    ],
)
def test_a_secret_is_lost_if(view: VaultView, lost: bool) -> None:
    vault_secret = a_vault_secret(on_source_deleted="Delete", status=a_status())

    assert lost_names([vault_secret], view) == ({"db-password"} if lost else set())
