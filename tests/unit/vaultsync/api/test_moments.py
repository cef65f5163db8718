"""Which of two resource versions came first."""

import pytest

from vaultsync.api.moments import is_newer


@pytest.mark.parametrize(
    ("moment", "other", "later"),
    [("10", "9", True), ("9", "10", False), ("9", "9", False)],
    ids=["after, by number and not by letters", "before", "at the same moment"],
)
def test_a_moment_is_later(moment: str, other: str, later: bool) -> None:
    assert is_newer(moment, other) is later
