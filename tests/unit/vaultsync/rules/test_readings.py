"""What was read shows nothing of its value."""

from tests.builders import READ_AT, a_reading
from vaultsync.rules.readings import Absent


def test_a_reading_does_not_show_its_value() -> None:
    assert "MARKED" not in repr(a_reading("MARKED-s3cret"))


def test_an_absence_is_dated() -> None:
    assert Absent(READ_AT).read_at == READ_AT
