"""Order of resource versions."""

import pytest

from vaultsync.state.resource_versions import is_newer


@pytest.mark.parametrize(
    ("moment", "other", "later"),
    [("10", "9", True), ("9", "10", False), ("9", "9", False)],
    ids=["later, compared as numbers and not as text", "earlier", "the same"],
)
def test_resource_versions_are_ordered(moment: str, other: str, later: bool) -> None:
    assert is_newer(moment, other) is later
