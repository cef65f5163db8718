"""Which secrets a spec needs, and what its searches find in the last listing of the vault."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import VAULT, a_sighting, a_vault_secret, an_entry
from vaultsync.api.v1alpha1 import Find, VaultSecretSpec
from vaultsync.errors import NotYet, Reason, SyncError
from vaultsync.policy.requests import check_listing, check_search, found_secrets, left_out, wanted_secrets
from vaultsync.state.requests import SecretRequest
from vaultsync.state.secrets import SecretRef
from vaultsync.state.vaults import SecretMetadata, VaultView

VERSION = "0f4a7c9be2d84a6c8c1f7e5d3b2a1908"
DENIED = SyncError(Reason.ACCESS_DENIED, "No.")
AWAY = SyncError(Reason.VAULT_UNREACHABLE, "No answer.")


def a_spec(*entries: object, **fields: object) -> VaultSecretSpec:
    return VaultSecretSpec.model_validate({"vault_url": VAULT, "data": entries, **fields})


def listing(*secrets: SecretMetadata) -> VaultView:
    return VaultView(listing={metadata.name.lower(): metadata for metadata in secrets})


SHOP = (
    a_sighting(name="shop-User", tags={"tier": "web"}),
    a_sighting(name="shop-password", tags={"tier": "db", "team": "shop"}),
    a_sighting(name="shop-old", readable=False),
    a_sighting(name="other"),
)


def test_each_line_names_its_secrets_in_order() -> None:
    spec = a_spec(
        an_entry(),
        an_entry(key="pinned", version=VERSION, optional=True),
        an_entry(key="user", secret_name="db-user", previous_key="old-user"),
        data_from=[{"object": "app", "optional": True}, {"certificate": "tls", "version": VERSION}],
    )

    assert wanted_secrets(spec, VaultView()) == (
        SecretRequest(SecretRef("db-password"), optional=False),
        SecretRequest(SecretRef("db-password", VERSION), optional=True),
        SecretRequest(SecretRef("db-user"), optional=False),
        SecretRequest(SecretRef("db-user", previous=True), optional=True),
        SecretRequest(SecretRef("app"), optional=True),
        SecretRequest(SecretRef("tls", VERSION), optional=False),
    )


def test_a_secret_of_two_lines_is_read_once_and_is_optional_only_where_both_say_so() -> None:
    spec = a_spec(an_entry(optional=True), an_entry(key="again", secret_name="DB-Password"))

    assert wanted_secrets(spec, VaultView()) == (SecretRequest(SecretRef("db-password"), optional=False),)


def test_what_is_found_is_wanted_as_long_as_it_is_there() -> None:
    spec = a_spec(data_from=[{"find": {"names": "shop-*"}}])

    assert wanted_secrets(spec, listing(*SHOP)) == (
        SecretRequest(SecretRef("shop-password"), optional=True),
        SecretRequest(SecretRef("shop-User"), optional=True),
    )
    assert left_out(spec, listing(*SHOP)) == 1


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
    ],
    ids=["a beginning", "any case", "a whole name", "a tag", "two tags", "one wrong tag", "name and tag"],
)
def test_a_search_finds_what_fits_by_name(find: Find, names: list[str]) -> None:
    assert [metadata.name for metadata in found_secrets(find, listing(*SHOP))] == names


@given(name=st.text("ab-", max_size=4), pattern=st.text("ab-*?", min_size=1, max_size=5))
def test_a_pattern_means_what_the_text_says(name: str, pattern: str) -> None:
    def fits(pattern: str, name: str) -> bool:
        match pattern[:1]:
            case "":
                return name == ""
            case "*":
                return any(fits(pattern[1:], name[start:]) for start in range(len(name) + 1))
            case letter:
                return bool(name) and letter in {name[0], "?"} and fits(pattern[1:], name[1:])

    found = found_secrets(Find(names=pattern), listing(a_sighting(name=name)))

    assert bool(found) is fits(pattern, name)


def test_a_search_in_a_vault_that_cannot_be_listed_is_denied_and_says_what_to_grant() -> None:
    spec = a_spec(data_from=[{"find": {"names": "shop-*"}}])

    with pytest.raises(SyncError, match="No permission to list the secrets of vault https://shop") as refused:
        check_search(spec, VaultView(list_error=DENIED))

    assert refused.value.reason is Reason.ACCESS_DENIED


def test_who_does_not_search_needs_no_listing() -> None:
    spec = a_vault_secret().spec

    check_search(spec, VaultView(list_error=DENIED))
    check_listing(spec, VaultView())


def test_a_search_waits_for_a_listing_without_a_word() -> None:
    with pytest.raises(NotYet):
        check_listing(a_spec(data_from=[{"find": {"names": "a"}}]), VaultView())


def test_a_search_in_a_vault_that_is_away_tells_so() -> None:
    with pytest.raises(SyncError) as refused:
        check_listing(a_spec(data_from=[{"find": {"names": "a"}}]), VaultView(failure=AWAY))

    assert (refused.value.reason, refused.value.message) == (AWAY.reason, AWAY.message)
    assert refused.value is not AWAY
