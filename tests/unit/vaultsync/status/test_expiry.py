"""The condition Expiring, and when it changes by itself."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOTICE, START, a_status_entry
from vaultsync.api.v1alpha1 import StatusEntry
from vaultsync.status.expiry import expiring, expiry_moments

DAY = timedelta(days=1)


def entries(*days: float | None) -> tuple[StatusEntry, ...]:
    """An entry for each number of days until it expires; the first has key-0."""
    return tuple(
        a_status_entry(key=f"key-{number}", expires=None if after is None else START + after * DAY)
        for number, after in enumerate(days)
    )


@pytest.mark.parametrize(
    ("days", "status", "reason", "message"),
    [
        ((), "False", "FarFromExpiry", "No secret expires within 14 days."),
        ((None,), "False", "FarFromExpiry", "No secret expires within 14 days."),
        ((15,), "False", "FarFromExpiry", "No secret expires within 14 days."),
        (
            (14,),
            "True",
            "ExpiresSoon",
            "Secret db-password, which fills key key-0, expires at 2026-03-15 12:00:00 UTC.",
        ),
        (
            (None, 9, 3, 40),
            "True",
            "ExpiresSoon",
            "Secret db-password, which fills key key-2, expires at 2026-03-04 12:00:00 UTC, and 1 more.",
        ),
        (
            (9, 0),
            "True",
            "Expired",
            (
                "Secret db-password, which fills key key-1, expired at 2026-03-01 12:00:00 UTC, and 1 more; "
                "it is still synced."
            ),
        ),
    ],
    ids=["nothing", "no date", "far", "soon", "the first of several", "expired"],
)
def test_the_condition(days: tuple[float | None, ...], status: str, reason: str, message: str) -> None:
    assert expiring(entries(*days), now=START, notice=NOTICE) == (status, reason, message)


@pytest.mark.parametrize(
    ("vault", "certificate", "subject"),
    [(None, 3, "The certificate in secret"), (5, 3, "The certificate in secret"), (3, 3, "Secret"), (3, 5, "Secret")],
    ids=["the certificate's date alone", "it is first", "they are the same", "the vault's is first"],
)
def test_the_first_date_of_a_key_counts(vault: float | None, certificate: float, subject: str) -> None:
    expires = None if vault is None else START + vault * DAY
    entry = a_status_entry(expires=expires, certificate_expires=START + certificate * DAY)

    state = expiring([entry], now=START, notice=NOTICE)

    assert state.message == f"{subject} db-password, which fills key password, expires at 2026-03-04 12:00:00 UTC."
    assert set(expiry_moments([entry], now=START, notice=DAY)) == {START + 2 * DAY, START + 3 * DAY}


def test_a_notice_of_one_day_is_singular() -> None:
    assert expiring((), now=START, notice=DAY).message == "No secret expires within 1 day."


MOMENTS = st.integers(0, 40 * 86400).map(lambda seconds: START + timedelta(seconds=seconds))
ENTRIES = st.lists(st.none() | MOMENTS, max_size=4).map(
    lambda dates: tuple(a_status_entry(key=str(number), expires=date) for number, date in enumerate(dates))
)


@given(found=ENTRIES, now=MOMENTS, later=MOMENTS)
def test_the_condition_does_not_change_before_the_next_of_the_times(
    found: tuple[StatusEntry, ...], now: datetime, later: datetime
) -> None:
    moments = list(expiry_moments(found, now=now, notice=NOTICE))

    assert all(moment > now for moment in moments)
    if now <= later < min(moments, default=later + DAY):
        assert expiring(found, now=later, notice=NOTICE) == expiring(found, now=now, notice=NOTICE)


def test_an_expiry_in_the_first_year_does_not_overflow() -> None:
    first = (a_status_entry(expires=datetime.min.replace(tzinfo=UTC)),)

    assert expiring(first, now=START, notice=NOTICE).reason == "Expired"
    assert not [*expiry_moments(first, now=START, notice=NOTICE)]
