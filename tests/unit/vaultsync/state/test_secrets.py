"""References to secrets, and readings, which do not show their value."""

import pytest

from tests.builders import FIRST, READ_AT, a_missing_reading, a_reading
from vaultsync.state.secrets import SecretRef


def test_a_reading_does_not_show_its_value() -> None:
    assert "MARKED" not in repr(a_reading("MARKED-s3cret"))


def test_a_missing_reading_has_a_time_and_the_error() -> None:
    missing = a_missing_reading()

    assert (missing.read_at, missing.error.observed_at) == (READ_AT, READ_AT)
    assert missing.error.message == "There is no db-password."


@pytest.mark.parametrize(
    ("ref", "follows"),
    [
        (SecretRef("a"), True),
        (SecretRef("a", FIRST), False),
        (SecretRef("a", previous=True), False),
    ],
    ids=["newest", "pinned", "previous"],
)
def test_polls_follow_the_newest_version_alone(ref: SecretRef, follows: bool) -> None:
    assert ref.follows is follows


def test_the_identity_of_a_reference_ignores_the_case_of_the_name_alone() -> None:
    refs = [
        SecretRef(name, version, previous)
        for name in ("A", "a")
        for version, previous in ((None, False), (FIRST, False), (None, True))
    ]

    assert len({ref.identity for ref in refs}) == 3
    assert SecretRef("DB-Password", FIRST).identity == SecretRef("db-password", FIRST)
