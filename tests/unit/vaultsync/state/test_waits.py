"""Since when missing secrets and requested refreshes have been known, by the monotonic clock."""

from datetime import timedelta

from tests.builders import KEY, START
from vaultsync.api import ObjectKey
from vaultsync.api.status import StatusMissing
from vaultsync.state.waits import Waits

GONE = StatusMissing(secret_name="gone", since=START)
LOST = StatusMissing(secret_name="lost", since=START)
OTHER = ObjectKey("shop", "other")


def test_each_wait_is_counted_from_when_it_was_first_known() -> None:
    waits = Waits()

    assert waits.observe(KEY, [GONE], 10.0) == {("gone", ""): 0.0}
    assert waits.observe(KEY, [GONE, LOST], 13.0) == {("gone", ""): 3.0, ("lost", ""): 0.0}
    assert waits.observe(OTHER, [GONE], 14.0) == {("gone", ""): 0.0}
    assert waits.observe(KEY, [LOST, GONE], 15.0) == {("gone", ""): 5.0, ("lost", ""): 2.0}


def test_a_part_of_a_secret_waits_by_itself() -> None:
    waits, part = Waits(), GONE.model_copy(update={"key": "token"})
    waits.observe(KEY, [GONE], 10.0)

    assert waits.observe(KEY, [GONE, part], 12.0) == {("gone", ""): 2.0, ("gone", "token"): 0.0}


def test_what_was_removed_does_not_wait() -> None:
    assert Waits().observe(KEY, [GONE.model_copy(update={"removed": START})], 10.0) == {}


def test_a_fraction_of_a_second_that_the_status_does_not_keep_makes_no_difference() -> None:
    waits = Waits()
    waits.observe(KEY, [GONE.model_copy(update={"since": START + timedelta(seconds=0.7)})], 10.0)

    assert waits.observe(KEY, [GONE], 12.0) == {("gone", ""): 2.0}


def test_a_secret_that_was_back_meanwhile_waits_again() -> None:
    waits = Waits()
    waits.observe(KEY, [GONE], 10.0)
    waits.observe(KEY, [], 11.0)
    assert waits.observe(KEY, [GONE], 12.0) == {("gone", ""): 0.0}

    later = GONE.model_copy(update={"since": START + timedelta(seconds=5)})

    assert waits.observe(KEY, [later], 20.0) == {("gone", ""): 0.0}


def test_a_vaultsecret_that_is_gone_is_forgotten() -> None:
    waits = Waits()
    waits.observe(KEY, [GONE], 10.0)

    waits.forget(KEY)

    assert waits.observe(KEY, [GONE], 12.0) == {("gone", ""): 0.0}


def test_a_refresh_is_requested_since_its_text_was_first_seen() -> None:
    waits = Waits()

    assert waits.observe_refresh(KEY, "now", 10.0) == 10.0
    assert waits.observe_refresh(OTHER, "now", 11.0) == 11.0
    assert waits.observe_refresh(KEY, "now", 12.0) == 10.0
    waits.observe(KEY, [], 12.0)
    assert waits.observe_refresh(KEY, "now", 13.0) == 10.0
    assert waits.observe_refresh(KEY, "again", 14.0) == 14.0


def test_a_refresh_that_is_handled_or_whose_vaultsecret_is_gone_is_forgotten() -> None:
    waits = Waits()
    waits.observe_refresh(KEY, "now", 10.0)

    assert waits.observe_refresh(KEY, None, 11.0) is None
    assert waits.observe_refresh(KEY, "now", 12.0) == 12.0
    waits.forget(KEY)
    assert waits.observe_refresh(KEY, "now", 13.0) == 13.0
