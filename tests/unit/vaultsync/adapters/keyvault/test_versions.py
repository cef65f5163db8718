"""Which version of a secret is active, next, or the one before, whatever the order in which the vault lists them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsecrets import SecretId, SecretProperties
from tests.builders import START, VAULT
from vaultsync.adapters.keyvault.versions import (
    activation,
    active_time,
    active_version,
    next_version,
    unusable,
    version_before,
)

NOW = START + timedelta(hours=1)


def version(name: str, seconds: int | None, *, enabled: bool = True, active_in: int | None = None) -> SecretProperties:
    """A version by the second in which it was set; `active_in` is when it becomes active, in seconds from now."""
    created = None if seconds is None else START + timedelta(seconds=seconds)
    not_before = None if active_in is None else NOW + timedelta(seconds=active_in)
    return SecretProperties(
        id=SecretId(VAULT, "db", name * 32), enabled=enabled, created_on=created, not_before=not_before
    )


def named(one: SecretProperties | None) -> str | None:
    return None if one is None or one.version is None else one.version[0]


@pytest.mark.parametrize(
    ("versions", "before"),
    [
        ([version("a", 2)], None),
        ([version("a", 2), version("b", 1)], "b"),
        ([version("b", 1), version("c", 0), version("a", 2)], "b"),
        ([version("a", 2), version("b", 1, enabled=False), version("c", 0)], "c"),
        ([version("a", 2), version("b", 1, active_in=60), version("c", 0)], "c"),
        ([version("a", 2), version("b", 3)], None),
        ([version("a", 2), version("b", 2)], "b"),
        ([version("b", 1)], "b"),
        ([version("a", 2), version("b", None)], "b"),
    ],
    ids=[
        "one version",
        "two versions",
        "in any order",
        "the one before is disabled",
        "the one before is not active yet",
        "one that was created during our calls is not before it",
        "one of the same second",
        "the newest is not listed yet",
        "one without a date",
    ],
)
def test_the_version_before_the_newest_is(versions: list[SecretProperties], before: str | None) -> None:
    assert version_before("a" * 32, versions, NOW) == (None if before is None else before * 32)


@given(st.permutations([version(f"{number}", number, enabled=number != 3) for number in range(5)]))
def test_the_order_of_the_list_does_not_matter(versions: list[SecretProperties]) -> None:
    assert version_before("4" * 32, versions, NOW) == "2" * 32


@pytest.mark.parametrize(
    ("versions", "active", "following"),
    [
        ([version("a", 0), version("b", 1, active_in=60)], "a", "b"),
        ([version("a", 0, active_in=-60), version("b", 1, active_in=60)], "a", "b"),
        ([version("a", 0, active_in=0), version("b", 1, active_in=1)], "a", "b"),
        ([version("a", 0), version("b", 1, enabled=False), version("c", 2, active_in=60)], "a", "c"),
        ([version("a", 0), version("b", 1, active_in=30), version("c", 2, active_in=60)], "a", "b"),
        ([version("a", 0), version("b", 1, active_in=60), version("c", 2, active_in=60)], "a", "c"),
        ([version("a", 0), version("b", 1, active_in=60), version("c", 2, active_in=30)], "a", "c"),
        ([version("a", 0, active_in=30), version("b", 1), version("c", 2, active_in=60)], "b", "c"),
        ([version("a", 0), version("b", 1, active_in=30, enabled=False), version("c", 2, active_in=60)], "a", "c"),
        ([version("a", 0, enabled=False), version("b", 1, active_in=60)], None, "b"),
        ([version("b", 1, active_in=60)], None, "b"),
        ([version("a", 0), version("b", 1)], "b", None),
    ],
    ids=[
        "the one before",
        "one whose date has passed",
        "one whose date is now",
        "not a disabled one",
        "the first of several to come",
        "the newest of several that come at once",
        "the newest, which comes before an older one",
        "an older one that comes later is of no use",
        "a disabled one does not come",
        "none, since the only other one is disabled",
        "none, since there is no other one",
        "the newest",
    ],
)
def test_the_active_and_the_next_version_are(
    versions: list[SecretProperties], active: str | None, following: str | None
) -> None:
    for listed in (versions, versions[::-1]):
        chosen = active_version(listed, NOW)
        assert (named(chosen), named(next_version(listed, chosen, NOW))) == (active, following)


@pytest.mark.parametrize(
    ("current", "moment"),
    [
        (version("a", 5), START + timedelta(seconds=5)),
        (version("a", 5, active_in=-60), NOW - timedelta(seconds=60)),
        (version("a", 7200, active_in=-60), START + timedelta(hours=2)),
        (version("a", None), NOW),
        (version("b", 5), NOW),
    ],
    ids=["when it was created", "at its date", "created after its date", "without dates", "not listed"],
)
def test_a_version_became_active(current: SecretProperties, moment: datetime) -> None:
    assert activation("a" * 32, [current], NOW) == moment


def test_a_version_that_was_replaced_before_its_date_is_never_the_one_before() -> None:
    versions = [version("a", 20), version("b", 10, active_in=-60), version("c", 0)]

    assert version_before("a" * 32, versions, activation("a" * 32, versions, NOW)) == "c" * 32


def test_versions_that_are_disabled_or_not_active_are_unusable() -> None:
    versions = [version("a", 0, enabled=False), version("b", 1, active_in=60), version("c", 2)]

    assert unusable(versions, NOW) == {"a" * 32, "b" * 32}


@pytest.mark.parametrize(
    ("vault_time", "time"),
    [
        (None, NOW),
        (NOW - timedelta(minutes=1), NOW - timedelta(minutes=1)),
        (NOW + timedelta(minutes=1), NOW),
        (datetime(1970, 1, 1, tzinfo=UTC), NOW),
    ],
    ids=["no clock of the vault", "the vault's, which is behind", "ours, which is behind", "a wrong one"],
)
def test_the_earlier_of_two_clocks_decides(vault_time: datetime | None, time: datetime) -> None:
    assert active_time(NOW, vault_time, START) == time
