"""What was read shows nothing of its value."""

from datetime import timedelta

import pytest

from tests.builders import READ_AT, VAULT, a_reading, an_absent
from vaultsync.errors import Reason, SyncError
from vaultsync.policy.activation import check_active
from vaultsync.state.secrets import SecretRef

REF = SecretRef("db-password")


def test_a_reading_does_not_show_its_value() -> None:
    assert "MARKED" not in repr(a_reading("MARKED-s3cret"))


def test_an_absence_is_dated() -> None:
    assert an_absent().read_at == READ_AT


@pytest.mark.parametrize("seconds", [None, -1, 0], ids=["no date", "a date that has passed", "this very second"])
def test_what_may_be_used_is_let_through(seconds: int | None) -> None:
    not_before = None if seconds is None else READ_AT + timedelta(seconds=seconds)

    check_active({REF: a_reading(not_before=not_before)}, VAULT)


def test_what_may_not_be_used_yet_is_refused_until_that_very_moment() -> None:
    with pytest.raises(SyncError, match=r"db-password of vault .* before 2026-03-01 13:00:00 UTC") as caught:
        check_active({REF: a_reading(not_before=READ_AT + timedelta(minutes=30))}, VAULT)

    assert (caught.value.reason, caught.value.retry_after) == (Reason.SECRET_NOT_YET_ACTIVE, 1800.0)


def test_of_what_is_absent_nothing_is_asked() -> None:
    check_active({REF: an_absent()}, VAULT)
