"""What is remembered of secrets that reads have found missing: since when, and until when they are not read again."""

from datetime import timedelta

import pytest

from tests.builders import READ_AT
from tests.clocks import Clock
from vaultsync.adapters.keyvault.absences import MAX_ABSENCES, READ_AGAIN_AFTER, Absences, Times
from vaultsync.errors import Reason, SecretNotFound
from vaultsync.state.secrets import SecretRef

REF = SecretRef("db-password")
OLDER = REF._replace(previous=True)
LATER = READ_AT + timedelta(minutes=1)
BY_VAULT = LATER + timedelta(minutes=7)


class Bench:
    def __init__(self) -> None:
        self.clock = Clock()
        self.absences = Absences(self.clock.seconds)

    def miss(self, ref: SecretRef = REF) -> SecretNotFound:
        error = SecretNotFound(Reason.SECRET_SOFT_DELETED, "It was deleted.", observed_at=READ_AT)
        return self.absences.on_missing(ref, error)


def test_a_secret_is_missing_since_the_first_read_that_missed_it() -> None:
    bench = Bench()
    assert bench.miss().missing_for == 0.0

    bench.clock.turn(30)
    again = bench.miss()

    assert (again.reason, again.message, again.observed_at) == (
        Reason.SECRET_SOFT_DELETED,
        "It was deleted.",
        READ_AT,
    )
    assert again.missing_for == 30.0


@pytest.mark.parametrize("by", ["read", "poll"])
def test_a_secret_that_was_found_meanwhile_is_missing_since_the_next_read_that_misses_it(by: str) -> None:
    bench = Bench()
    bench.miss()
    if by == "read":
        bench.absences.on_found(REF)
    else:
        bench.absences.on_observed({"db-password"})

    bench.clock.turn(30)

    assert bench.miss().missing_for == 0.0


def test_a_poll_that_finds_the_newest_version_says_nothing_about_others() -> None:
    bench = Bench()
    bench.miss(OLDER)
    bench.absences.on_observed({"db-password"})
    bench.clock.turn(30)

    assert bench.miss(OLDER).missing_for == 30.0


@pytest.mark.parametrize("name", [None, "db-password"], ids=["a listing", "a read of one secret"])
def test_a_poll_that_misses_it_too_stands_for_another_read(name: str | None) -> None:
    bench = Bench()
    bench.miss()
    assert bench.absences.current(REF) is None

    bench.clock.turn(60)
    bench.absences.on_unobserved(Times(LATER, BY_VAULT), 2.0, name=name)
    known = bench.absences.current(REF)
    assert known is not None
    assert (known.reason, known.missing_for) == (Reason.SECRET_SOFT_DELETED, 60.0)
    assert (known.observed_at, known.vault_time) == (LATER, BY_VAULT)

    bench.clock.turn(2)
    assert bench.absences.current(REF) is None


def test_a_poll_stands_for_no_read_of_another_secret_or_version() -> None:
    bench = Bench()
    bench.miss(OLDER)
    bench.miss(SecretRef("api-token"))

    bench.absences.on_unobserved(Times(LATER, BY_VAULT), 2.0, name="db-password")

    assert [bench.absences.current(ref) for ref in (REF, OLDER, SecretRef("api-token"))] == [None] * 3


def test_the_memory_is_bounded() -> None:
    bench = Bench()
    for number in range(MAX_ABSENCES + 1):
        bench.miss(SecretRef(f"secret-{number}"))

    bench.absences.on_unobserved(Times(LATER, BY_VAULT), 2.0)

    assert bench.absences.current(SecretRef("secret-0")) is None
    assert bench.absences.current(SecretRef("secret-1")) is not None


def test_a_secret_that_polls_miss_is_read_again_once_in_a_while() -> None:
    bench = Bench()
    bench.miss()

    bench.clock.turn(READ_AGAIN_AFTER - 1)
    bench.absences.on_unobserved(Times(LATER, BY_VAULT), 2.0)
    assert bench.absences.current(REF) is not None

    bench.clock.turn(1)
    bench.absences.on_unobserved(Times(LATER, BY_VAULT), 2.0)
    assert bench.absences.current(REF) is None

    bench.miss()
    bench.absences.on_unobserved(Times(LATER, BY_VAULT), 2.0)
    assert bench.absences.current(REF) is not None
