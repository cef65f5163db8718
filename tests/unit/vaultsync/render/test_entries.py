"""What lines put into a Secret: objects, what searches find, and keys that come twice."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import VAULT, a_reading, a_sighting, an_absent, an_entry
from vaultsync.api.v1alpha1 import Entry, VaultSecretSpec
from vaultsync.errors import Reason, SyncError
from vaultsync.render.entries import Filled, fill, states_of
from vaultsync.state.secrets import MissingReading, Reading, SecretRef
from vaultsync.state.vaults import VaultView

MARK = "MARKED"
SEARCH = {"find": {"names": "shop-*"}}


def filled(*sources: Mapping[str, Any], data: Iterable[Entry] = (), **values: str | Reading | MissingReading) -> Filled:
    """What sources make of a vault that holds these values by name; what begins with shop_ has been listed."""
    spec = VaultSecretSpec.model_validate({"vault_url": VAULT, "data": tuple(data), "data_from": sources})
    readings = {
        SecretRef(name.replace("_", "-")): a_reading(value) if isinstance(value, str) else value
        for name, value in values.items()
    }
    names = [ref.name for ref in readings if ref.name.startswith("shop-")]
    return fill(spec, readings, VaultView(listing={name: a_sighting(name=name) for name in names}))


def contents(*sources: Mapping[str, Any], **rest: Any) -> dict[str, str]:  # noqa: ANN401  what `filled` takes
    return {key: content.decode() for key, content in filled(*sources, **rest).contents.items()}


def refusal(*sources: Mapping[str, Any], **rest: Any) -> SyncError:  # noqa: ANN401  what `filled` takes
    with pytest.raises(SyncError) as refused:
        filled(*sources, **rest)
    return refused.value


def test_every_field_of_an_object_becomes_a_key() -> None:
    text = '{"user": "shop", "port": 5432, "hosts": ["a", "b"]}'

    assert contents({"object": "app"}, app=text) == {"user": "shop", "port": "5432", "hosts": '["a","b"]'}


def test_an_objects_keys_are_renamed() -> None:
    source = {"object": "app", "prefix": "APP_", "rename": "^app_(?P<key>.*)$"}

    assert contents(source, app='{"app_user": "shop"}') == {"APP_user": "shop"}


def test_an_optional_object_that_is_absent_fills_nothing() -> None:
    made = filled({"object": "app", "optional": True}, app=an_absent())

    assert (made.contents, made.fillers) == ({}, {})


def test_everything_found_becomes_a_key_named_like_the_secret() -> None:
    assert contents(SEARCH, shop_user="a", shop_password="b") == {"shop-user": "a", "shop-password": "b"}


def test_what_is_found_is_renamed() -> None:
    source = SEARCH | {"rename": "shop-(?P<key>.*)", "prefix": "X."}

    assert contents(source, shop_user="a") == {"X.user": "a"}


def test_what_was_found_and_has_gone_is_left_out() -> None:
    assert contents(SEARCH, shop_user="a", shop_old=an_absent()) == {"shop-user": "a"}


def test_a_search_that_finds_nothing_is_a_failure_that_keeps_the_last_good_target() -> None:
    error = refusal(SEARCH, shop_old=an_absent())

    assert error.reason is Reason.SECRET_NOT_FOUND
    assert "No enabled secret of vault https://shop.vault.azure.net fits" in error.message


def test_an_optional_search_may_find_nothing() -> None:
    assert contents(SEARCH | {"optional": True}) == {}


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        ([{"object": "app"}], "Key password is filled twice: from secrets db-password and app of vault https://shop"),
        ([{"object": "other"}, {"object": "app"}], "from secrets other and app"),
        ([SEARCH | {"rename": ".*(?P<key>password)"}], "from secrets db-password and shop-password"),
        ([{"object": "other"}, {"object": "other"}], "from secret other, by two lines,"),
    ],
    ids=["an entry and an object", "two objects", "an entry and what was found", "one object twice"],
)
def test_a_key_that_comes_twice_is_refused_by_the_names_of_both_secrets(
    sources: list[dict[str, Any]], told: str
) -> None:
    data = [an_entry()] if "db-password" in told or sources == [{"object": "app"}] else []
    value = f'{{"password": "{MARK}"}}'

    error = refusal(*sources, data=data, db_password=MARK, app=value, other=value, shop_password=MARK)

    assert error.reason is Reason.INVALID_SPEC
    assert told in error.message
    assert "onCollision: Replace" in error.message
    assert MARK not in error.message


def test_a_later_line_wins_where_it_says_so() -> None:
    made = filled(
        {"object": "app", "onCollision": "Replace"}, data=[an_entry()], db_password="a", app='{"password": "b"}'
    )

    assert made.contents == {"password": b"b"}
    assert made.fillers == {"password": SecretRef("app")}


@pytest.mark.parametrize(
    ("rename", "told"),
    [("(?P<key>shop)-.*", "both become key shop"), ("shop-(?P<key>)user", "does not become a key")],
    ids=["two of one name", "no name left"],
)
def test_what_is_found_needs_keys_of_its_own(rename: str, told: str) -> None:
    error = refusal(SEARCH | {"rename": rename}, shop_user=MARK, shop_password=MARK)

    assert error.reason is Reason.INVALID_SPEC
    assert told in error.message
    assert MARK not in error.message


def test_the_version_before_has_a_key_of_its_own_and_none_while_there_is_none() -> None:
    entry = an_entry(previous_key="password.old")
    spec = VaultSecretSpec(vault_url=VAULT, data=(entry,))
    newest, before = SecretRef("db-password"), SecretRef("db-password", previous=True)

    both = fill(spec, {newest: a_reading("b"), before: a_reading("a")}, VaultView())
    one = fill(spec, {newest: a_reading("b"), before: an_absent()}, VaultView())

    assert both.contents == {"password": b"b", "password.old": b"a"}
    assert one.contents == {"password": b"b"}
    assert one.fillers == {"password": newest, "password.old": before}


def test_a_secret_is_remembered_once_with_all_its_keys_as_it_was_spelled() -> None:
    data = [an_entry(secret_name="DB-Password"), an_entry(key="again", secret_name="db-password")]
    readings = {SecretRef("db-password"): a_reading()}
    made = fill(VaultSecretSpec(vault_url=VAULT, data=tuple(data)), readings, VaultView())

    (state,) = states_of(made, readings)

    assert (state.ref, state.keys) == (SecretRef("DB-Password"), ("password", "again"))


def test_an_absent_secret_keeps_its_key_unless_another_fills_it() -> None:
    data = [an_entry(optional=True), an_entry(key="token", secret_name="api-token", optional=True)]
    readings: dict[SecretRef, Reading | MissingReading] = {
        SecretRef("db-password"): an_absent(),
        SecretRef("api-token"): an_absent(),
        SecretRef("app"): a_reading('{"password": "x"}'),
    }
    spec = VaultSecretSpec.model_validate({"vault_url": VAULT, "data": tuple(data), "data_from": [{"object": "app"}]})

    states = states_of(fill(spec, readings, VaultView()), readings)

    assert [(state.ref.name, state.keys) for state in states] == [
        ("db-password", ()),
        ("api-token", ("token",)),
        ("app", ("password",)),
    ]


def test_what_was_filled_does_not_show_its_content() -> None:
    assert MARK not in repr(filled({"object": "app"}, app=f'{{"a": "{MARK}"}}'))


OBJECTS = st.lists(st.dictionaries(st.sampled_from("abc"), st.just(1), max_size=3), max_size=3)


@given(objects=OBJECTS, replaces=st.lists(st.booleans(), min_size=3, max_size=3))
def test_a_key_is_the_last_lines_that_may_have_it_or_nobodys(
    objects: list[dict[str, int]], replaces: list[bool]
) -> None:
    sources = [
        {"object": f"o{place}", "onCollision": "Replace" if replaces[place] else "Fail"}
        for place in range(len(objects))
    ]
    values = {f"o{place}": "{" + ",".join(f'"{key}":{place}' for key in one) + "}" for place, one in enumerate(objects)}
    collides = any(
        not replaces[place] and one.keys() & set().union(*objects[:place]) for place, one in enumerate(objects)
    )

    if collides:
        assert refusal(*sources, **values).reason is Reason.INVALID_SPEC
    else:
        last = {key: str(place) for place, one in enumerate(objects) for key in one}
        assert contents(*sources, **values) == last
