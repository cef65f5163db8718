"""Which secrets a spec needs, and what its searches find in the last listing of the vault."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOW_MISSING, VAULT, a_listing, a_state, an_entry, some_metadata
from vaultsync.api.v1alpha1 import DataFrom, Find, VaultSecretSpec
from vaultsync.policy.requests import (
    asks_for,
    found_secrets,
    left_out,
    present_names,
    requested_secrets,
    unlisted_finds,
)
from vaultsync.state.listings import SecretMetadata
from vaultsync.state.requests import SecretRequest, search_of
from vaultsync.state.secrets import SecretRef, SecretState
from vaultsync.state.vaults import UNKNOWN, VaultView

VERSION = "0f4a7c9be2d84a6c8c1f7e5d3b2a1908"


def a_spec(*entries: object, **fields: object) -> VaultSecretSpec:
    return VaultSecretSpec.model_validate({"vault_url": VAULT, "data": entries, **fields})


def listed(*secrets: SecretMetadata) -> VaultView:
    return VaultView(listing=a_listing(*secrets))


SHOP = (
    some_metadata(name="shop-User", tags={"tier": "web"}),
    some_metadata(name="shop-password", tags={"tier": "db", "team": "shop"}),
    some_metadata(name="shop-old", readable=False),
    some_metadata(name="other"),
)


def test_each_item_requests_its_secrets_in_order() -> None:
    spec = a_spec(
        an_entry(),
        an_entry(key="pinned", version=VERSION, optional=True),
        an_entry(key="user", secret_name="db-user", previous_key="old-user"),
        data_from=[{"object": "app", "optional": True}, {"certificate": "tls", "version": VERSION}],
    )

    assert requested_secrets(spec, VaultView()) == (
        SecretRequest(SecretRef("db-password"), optional=False),
        SecretRequest(SecretRef("db-password", VERSION), optional=True),
        SecretRequest(SecretRef("db-user"), optional=False),
        SecretRequest(SecretRef("db-user", previous=True), optional=True),
        SecretRequest(SecretRef("app"), optional=True),
        SecretRequest(SecretRef("tls", VERSION), optional=False),
    )


def test_a_secret_of_two_items_is_read_once_and_is_optional_only_if_both_are() -> None:
    spec = a_spec(an_entry(optional=True), an_entry(key="again", secret_name="DB-Password"))

    assert requested_secrets(spec, VaultView()) == (SecretRequest(SecretRef("db-password"), optional=False),)


def found_names(view: VaultView, **source: Any) -> list[str]:  # noqa: ANN401 - fields of any type
    search = search_of(DataFrom(**source))
    assert search is not None
    return [metadata.name for metadata in found_secrets(search, view)]


def test_found_secrets_that_can_be_read_are_requested_as_optional() -> None:
    spec = a_spec(data_from=[{"find": {"names": "shop-*"}}])

    assert requested_secrets(spec, listed(*SHOP)) == (
        SecretRequest(SecretRef("shop-password"), optional=True),
        SecretRequest(SecretRef("shop-User"), optional=True),
    )
    assert left_out(spec, listed(*SHOP)) == 1


@pytest.mark.parametrize(
    ("find", "names"),
    [
        (Find(names="shop-*"), ["shop-old", "shop-password", "shop-User"]),
        (Find(names="SHOP-U???"), ["shop-User"]),
        (Find(names="shop"), []),
        (Find(tags={"tier": "web"}), ["shop-User"]),
        (Find(tags={"tier": "db", "team": "shop"}), ["shop-password"]),
        (Find(tags={"tier": "db", "team": "other"}), []),
        (Find(names="*", tags={"team": "shop"}), ["shop-password"]),
        (Find(names="*", managed=True), []),
        (Find(names="shop-u*", managed=False), ["shop-User"]),
    ],
    ids=[
        "a prefix",
        "any case",
        "a whole name",
        "a tag",
        "two tags",
        "one wrong tag",
        "name and tag",
        "of a certificate",
        "of no certificate",
    ],
)
def test_a_search_finds_what_matches_by_name(find: Find, names: list[str]) -> None:
    assert found_names(listed(*SHOP), find=find) == names


def test_a_search_leaves_names_out() -> None:
    spec = a_spec(data_from=[{"find": {"names": "shop-*"}, "omit": ["*-OLD", "shop-u*"]}])

    assert found_names(listed(*SHOP), find=Find(names="shop-*"), omit=("*-OLD", "shop-u*")) == ["shop-password"]
    assert requested_secrets(spec, listed(*SHOP)) == (SecretRequest(SecretRef("shop-password"), optional=True),)
    assert left_out(spec, listed(*SHOP)) == 0  # it counts disabled secrets


@given(name=st.text("ab-", max_size=4), pattern=st.text("ab-*?", min_size=1, max_size=5))
def test_a_pattern_means_what_the_documentation_says(name: str, pattern: str) -> None:
    def matches(pattern: str, name: str) -> bool:
        match pattern[:1]:
            case "":
                return name == ""
            case "*":
                return any(matches(pattern[1:], name[start:]) for start in range(len(name) + 1))
            case letter:
                return bool(name) and letter in {name[0], "?"} and matches(pattern[1:], name[1:])

    found = found_names(listed(some_metadata(name=name)), find=Find(names=pattern))

    assert bool(found) is matches(pattern, name)


FINDS = a_spec(an_entry(), data_from=[{"find": {"names": "shop-*"}}])
KNOWN = {
    SecretRef(name): a_state(name, source=name) for name in ("db-password", "shop-password", "shop-old", "shop-gone")
}


def test_known_finds_that_are_not_found_any_more_are_read_before_their_keys_go() -> None:
    requests = [SecretRequest(SecretRef(name), optional=True, unlisted=True) for name in ("shop-old", "shop-gone")]

    assert [*unlisted_finds(FINDS, KNOWN, listed(*SHOP))] == requests


@pytest.mark.parametrize(
    ("listed_as", "is_read"),
    [({"readable": False}, True), ({"tags": {}}, True), ({}, False)],
    ids=["disabled", "without its tag", "as it is found"],
)
def test_a_find_is_read_if_the_listing_has_it_otherwise(listed_as: dict[str, Any], is_read: bool) -> None:
    spec = a_spec(data_from=[{"find": {"tags": {"tier": "web"}}}])
    known = {SecretRef("shop-user"): a_state("x", source="shop-user")}
    view = listed(some_metadata(**({"name": "shop-user", "tags": {"tier": "web"}} | listed_as)))

    assert bool([*unlisted_finds(spec, known, view)]) is is_read
    assert present_names(spec, ["shop-user", "other"], view) == (set() if is_read else {"shop-user"})


def test_a_named_secret_is_present_if_polls_have_found_it_although_it_is_disabled() -> None:
    view = VaultView({"db-password": some_metadata(readable=False), "other": NOW_MISSING})

    assert present_names(
        a_spec(an_entry(), an_entry(key="x", secret_name="other")), ["db-password", "other"], view
    ) == {"db-password"}


@pytest.mark.parametrize(
    ("key", "ref", "asked"),
    [
        ("password", SecretRef("db-password"), True),
        ("password", SecretRef("db-password", VERSION), False),
        ("other", SecretRef("db-password"), False),
        ("old", SecretRef("db-password", previous=True), True),
        ("password", SecretRef("db-password", previous=True), False),
        ("pinned", SecretRef("db-root", VERSION), True),
        ("x-color", SecretRef("app"), True),
        ("color", SecretRef("app"), False),
        ("tls.crt", SecretRef("web"), True),
        ("shop-user", SecretRef("shop-user"), True),
        ("shop-user", SecretRef("shop-user", VERSION), False),
        ("user", SecretRef("user"), False),
    ],
    ids=str,
)
def test_a_spec_asks_for_a_key_of_a_secret(key: str, ref: SecretRef, asked: bool) -> None:
    spec = a_spec(
        an_entry(previous_key="old"),
        an_entry(key="pinned", secret_name="DB-Root", version=VERSION),
        data_from=[{"object": "app", "prefix": "x-"}, {"certificate": "web"}, {"find": {"names": "SHOP-*"}}],
    )

    assert asks_for(spec, ref, key) is asked


@pytest.mark.parametrize(
    ("spec", "state", "view"),
    [
        (FINDS, a_state("x", source="shop-old"), UNKNOWN),
        (a_spec(an_entry()), a_state("x", source="shop-old"), listed()),
        (FINDS, a_state("x", source="shop-old", version=None), listed()),
        (FINDS, a_state("x", ref=SecretRef("shop-old", VERSION)), listed()),
        (FINDS, a_state(), listed()),
        (FINDS, a_state("x", source="shop/old"), listed()),
    ],
    ids=[
        "the vault was not listed",
        "the spec does not search",
        "it fills no key",
        "it was pinned",
        "the spec names it",
        "no secret can have that name",
    ],
)
def test_nothing_is_unlisted_where(spec: VaultSecretSpec, state: SecretState, view: VaultView) -> None:
    known = {state.ref.identity: state}

    assert [*unlisted_finds(spec, known, view)] == []


def test_a_secret_that_many_searches_find_is_requested_once() -> None:
    view = listed(*(some_metadata(name=f"Shop-{number}") for number in range(3)))
    spec = a_spec(an_entry(secret_name="shop-1"), data_from=[{"find": {"names": "*"}}] * 32)

    assert [str(one.ref.name) for one in requested_secrets(spec, view)] == ["shop-1", "Shop-0", "Shop-2"]
