"""Names become keys: by single names, a pattern, their case and a prefix, in this order; or they are left out."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultsync.api.fields import is_data_key
from vaultsync.api.v1alpha1 import DataFrom, KeyCase
from vaultsync.errors import Reason, SyncError
from vaultsync.render.key_names import key_namer

STRIP = "^shop-(?P<key>.*)$"
ENVIRONMENT_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")


def of_object(**fields: Any) -> DataFrom:  # noqa: ANN401 - fields of any type
    return DataFrom.model_validate({"object": "app", **fields})


def of_search(**fields: Any) -> DataFrom:  # noqa: ANN401 - the same
    return DataFrom.model_validate({"find": {"names": "*"}, **fields})


@pytest.mark.parametrize(
    ("fields", "name", "key"),
    [
        ({}, "db-password", "db-password"),
        ({"prefix": "app_"}, "user", "app_user"),
        ({"rename": STRIP}, "shop-user", "user"),
        ({"rename": STRIP}, "db-user", "db-user"),
        ({"rename": "shop-(?P<key>.*)", "prefix": "app_"}, "shop-user", "app_user"),
        ({"rename": "shop-(?P<key>x)?.*"}, "shop-user", ""),
        ({"keyCase": "Upper"}, "db-Password", "DB-PASSWORD"),
        ({"keyCase": "Lower"}, "DB-Password", "db-password"),
        ({"keyCase": "UpperSnake"}, "db-password", "DB_PASSWORD"),
        ({"keyCase": "LowerSnake"}, "DB-Password", "db_password"),
        ({"keyCase": "UpperSnake"}, "ConnectionStrings--shop", "CONNECTIONSTRINGS__SHOP"),
        ({"keyCase": "UpperSnake"}, "db.url of\tshop", "DB_URL_OF_SHOP"),
        ({"keyCase": "Upper"}, "straße", "STRAßE"),
        ({"keyCase": "LowerSnake"}, "K\u0130Tchen", "k_tchen"),
        ({"rename": STRIP, "keyCase": "UpperSnake", "prefix": "app_"}, "shop-db-user", "app_DB_USER"),
        ({"rename": STRIP, "keyCase": "UpperSnake"}, "SHOP-user", "SHOP_USER"),
        ({"keys": {"db": "DATABASE"}, "rename": "(?P<key>.).*", "keyCase": "Lower", "prefix": "p"}, "db", "DATABASE"),
        ({"keys": {"db": "DATABASE"}, "prefix": "p"}, "db2", "pdb2"),
        ({"omit": ["tmp-*"]}, "tmp-password", None),
        ({"omit": ["tmp-*"]}, "my-tmp-password", "my-tmp-password"),
        ({"omit": ["a", "*b"], "keys": {"xb": "b"}}, "xb", None),
        ({"omit": ["ab*ba"]}, "aba", "aba"),
        ({"omit": ["a*b*b*a"]}, "a.b.a", "a.b.a"),
        ({"omit": ["a*b**c"]}, "abc", None),
        ({"omit": ["[a-z]"]}, "b", "b"),
        ({"omit": ["[a-z]"]}, "[a-z]", None),
    ],
    ids=[
        "as it is",
        "a prefix",
        "renamed",
        "no match",
        "renamed and a prefix",
        "nothing left",
        "upper case",
        "lower case",
        "upper snake case",
        "lower snake case",
        "each hyphen is an underscore",
        "so is any other character",
        "letters beyond ASCII stay in upper case",
        "and are no letters of a snake",
        "renamed, then the case, then the prefix",
        "renaming sees the name as it is",
        "a single name",
        "another name",
        "left out",
        "a pattern matches whole names",
        "left out though it has a key",
        "the pieces of a pattern do not overlap",
        "each piece is found once",
        "a wildcard may match nothing",
        "brackets are no wildcards",
        "brackets match themselves",
    ],
)
def test_a_name_becomes_a_key(fields: dict[str, Any], name: str, key: str | None) -> None:
    assert key_namer(of_object(**fields))(name) == key


@pytest.mark.parametrize(("source", "ignores_case"), [(of_object, False), (of_search, True)])
def test_case_counts_for_fields_and_not_for_secrets(source: Callable[..., DataFrom], ignores_case: bool) -> None:
    key_of = key_namer(source(keys={"DB": "database"}))

    assert key_of("db") == ("database" if ignores_case else "db")
    assert key_of("DB") == "database"


def test_case_counts_for_fields_that_are_left_out() -> None:
    key_of = key_namer(of_object(omit=["Tmp*"]))

    assert (key_of("tmp-a"), key_of("Tmp-a")) == ("tmp-a", None)


@pytest.mark.parametrize(
    "pattern",
    [
        "(" * 5000 + ")" * 5000 + "(?P<key>.*)",
        "(",
        "(.*)",
        "(?P<name>.*)",
        r"(?P<key>(a)\1)",
        "(?P<key>(a{1,1000}){1,1000})",
        "(?P<key>((a?){999}){999})",
    ],
)
def test_an_invalid_pattern_is_an_invalid_spec(pattern: str) -> None:
    source = DataFrom.model_construct(object="app", rename=pattern)

    with pytest.raises(SyncError, match="with a group") as raised:
        key_namer(source)

    assert raised.value.reason is Reason.INVALID_SPEC


NAMES = st.text(max_size=30) | st.text("abcXYZ019-", min_size=1, max_size=30)


@given(name=NAMES)
def test_without_a_pattern_every_name_is_kept(name: str) -> None:
    assert key_namer(of_object(prefix="p-"))(name) == f"p-{name}"


@given(name=NAMES, key_case=st.sampled_from([KeyCase.UPPER_SNAKE, KeyCase.LOWER_SNAKE]))
def test_every_name_in_snake_case_is_a_key_that_a_pod_can_use_as_a_variable(name: str, key_case: KeyCase) -> None:
    """With a prefix that begins with a letter: `envFrom` of older Kubernetes versions skips other keys."""
    key = key_namer(of_object(keyCase=key_case, prefix="V_"))(name)

    assert key is not None
    assert ENVIRONMENT_VARIABLE.fullmatch(key)
    assert is_data_key(key)
    assert len(key) == len("V_") + len(name)


@given(name=NAMES, key_case=st.sampled_from(KeyCase))
def test_a_case_is_kept_by_the_same_case(name: str, key_case: KeyCase) -> None:
    key_of = key_namer(of_object(keyCase=key_case))
    key = key_of(name)

    assert key is not None
    assert key_of(key) == key


@given(name=st.text("ab[", max_size=6), patterns=st.lists(st.text("ab*[]", min_size=1, max_size=5), max_size=3))
def test_a_name_is_left_out_if_any_pattern_matches(name: str, patterns: list[str]) -> None:
    expressions = [".*".join(map(re.escape, one.split("*"))) for one in patterns]

    is_omitted = key_namer(of_object(omit=patterns))(name) is None

    assert is_omitted is any(re.fullmatch(one, name) for one in expressions)
