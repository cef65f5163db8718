"""Names become keys: by a prefix or by a pattern; invalid patterns are errors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultsync.errors import Reason, SyncError
from vaultsync.render.key_names import key_namer


@pytest.mark.parametrize(
    ("prefix", "rename", "name", "key"),
    [
        ("", None, "db-password", "db-password"),
        ("app_", None, "user", "app_user"),
        ("", "^shop-(?P<key>.*)$", "shop-user", "user"),
        ("", "^shop-(?P<key>.*)$", "db-user", "db-user"),
        ("app_", "shop-(?P<key>.*)", "shop-user", "app_user"),
        ("", "shop-(?P<key>x)?.*", "shop-user", ""),
    ],
    ids=["as it is", "a prefix", "renamed", "no match", "renamed and a prefix", "nothing left"],
)
def test_a_name_becomes_a_key(prefix: str, rename: str | None, name: str, key: str) -> None:
    assert key_namer(prefix, rename)(name) == key


@pytest.mark.parametrize(
    "pattern",
    [
        "(" * 5000 + ")" * 5000 + "(?P<key>.*)",
        "(",
        "(.*)",
        "(?P<name>.*)",
        "(?=a)(?P<key>.*)",
        "(?P<key>(a{1,1000}){1,1000})",
    ],
)
def test_an_invalid_pattern_is_an_invalid_spec(pattern: str) -> None:
    with pytest.raises(SyncError, match="with a group") as raised:
        key_namer(rename=pattern)

    assert raised.value.reason is Reason.INVALID_SPEC


@given(name=st.text())
def test_without_a_pattern_every_name_is_kept(name: str) -> None:
    assert key_namer("p-")(name) == f"p-{name}"
