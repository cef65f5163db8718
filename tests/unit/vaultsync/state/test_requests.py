"""Which secrets a spec names, and which searches it has."""

from tests.builders import FIRST, a_vault_secret, an_entry
from vaultsync.state.requests import Search, SecretRequest, named_secrets, searches
from vaultsync.state.secrets import SecretRef

SPEC = a_vault_secret(
    an_entry(previous_key="old"),
    an_entry(key="pinned", version=FIRST, optional=True),
    data_from=[
        {"object": "app", "optional": True},
        {"find": {"names": "Shop-*"}, "omit": ["Shop-Old"]},
        {"certificate": "tls", "version": FIRST},
        {"find": {"tags": {"tier": "web"}}},
    ],
).spec


def test_a_spec_names_the_secrets_of_its_items_in_order() -> None:
    assert [*named_secrets(SPEC)] == [
        SecretRequest(SecretRef("db-password"), optional=False),
        SecretRequest(SecretRef("db-password", previous=True), optional=True),
        SecretRequest(SecretRef("db-password", FIRST), optional=True),
        SecretRequest(SecretRef("app"), optional=True),
        SecretRequest(SecretRef("tls", FIRST), optional=False),
    ]


def test_a_spec_has_searches_in_order() -> None:
    assert searches(SPEC) == (Search("shop-*", omit=("shop-old",)), Search(tags={"tier": "web"}))
    assert searches(a_vault_secret().spec) == ()
