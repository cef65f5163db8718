"""The version before the newest, whatever the order in which the vault lists them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsecrets import SecretId, SecretProperties
from tests.builders import START, VAULT
from vaultsync.adapters.keyvault.versions import version_before


def version(name: str, seconds: int | None, *, enabled: bool = True) -> SecretProperties:
    created = None if seconds is None else START + timedelta(seconds=seconds)
    return SecretProperties(id=SecretId(VAULT, "db", name), enabled=enabled, created_on=created)


@pytest.mark.parametrize(
    ("versions", "before"),
    [
        ([version("a" * 32, 2)], None),
        ([version("a" * 32, 2), version("b" * 32, 1)], "b" * 32),
        ([version("b" * 32, 1), version("c" * 32, 0), version("a" * 32, 2)], "b" * 32),
        ([version("a" * 32, 2), version("b" * 32, 1, enabled=False), version("c" * 32, 0)], "c" * 32),
        ([version("a" * 32, 2), version("b" * 32, 3)], None),
        ([version("a" * 32, 2), version("b" * 32, 2)], "b" * 32),
        ([version("b" * 32, 1)], "b" * 32),
        ([version("a" * 32, 2), version("b" * 32, None)], "b" * 32),
    ],
    ids=[
        "one version",
        "two versions",
        "in any order",
        "the one before is disabled",
        "one that was created during our calls is not before it",
        "one of the same second",
        "the newest is not listed yet",
        "one without a date",
    ],
)
def test_the_version_before_the_newest_is(versions: list[SecretProperties], before: str | None) -> None:
    assert version_before("a" * 32, versions) == before


@given(st.permutations([version(f"{number:032}", number, enabled=number != 3) for number in range(5)]))
def test_the_order_of_the_list_does_not_matter(versions: list[SecretProperties]) -> None:
    assert version_before(f"{4:032}", versions) == f"{2:032}"
