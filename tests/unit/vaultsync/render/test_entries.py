"""`data` and `dataFrom` become keys: values, objects, certificates, searches, and keys that are set twice."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12
from cryptography.x509 import load_pem_x509_certificates
from hypothesis import given
from hypothesis import strategies as st

from kvsecrets import SecretValue
from tests.builders import VAULT, a_missing_reading, a_reading, a_state, an_entry, some_metadata
from tests.unit.vaultsync.render.authorities import Party, a_party, in_pem, in_pkcs12, key_in_pem
from vaultsync.api.v1alpha1 import DataFrom, Entry, VaultSecretSpec
from vaultsync.errors import Reason, SyncError
from vaultsync.render.certificate_files import certificate_files
from vaultsync.render.entries import (
    ReadSecret,
    RenderedEntries,
    certificate_request,
    entry_content,
    filled_keys,
    render_entries,
    secret_states,
)
from vaultsync.render.values.formats import Documents
from vaultsync.state.listings import VaultListing
from vaultsync.state.secrets import CarriedReading, MissingReading, Reading, Readings, SecretRef, SecretState
from vaultsync.state.vaults import VaultView

MARK = "MARKED"
SEARCH = {"find": {"names": "shop-*"}}
ROOT = a_party("root")
SERVER = a_party("server", by=ROOT)


def rendered(
    *sources: Mapping[str, Any], data: Iterable[Entry] = (), **values: str | Reading | MissingReading
) -> RenderedEntries:
    """Render sources with these values by name; names that begin with shop_ are in the listing."""
    spec = VaultSecretSpec.model_validate({"vault_url": VAULT, "data": tuple(data), "data_from": sources})
    readings = {
        SecretRef(name.replace("_", "-")): a_reading(value) if isinstance(value, str) else value
        for name, value in values.items()
    }
    names = [ref.name for ref in readings if ref.name.startswith("shop-")]
    return render_entries(
        spec, readings, VaultView(listing=VaultListing({name: some_metadata(name=name) for name in names}))
    )


def contents(*sources: Mapping[str, Any], **rest: Any) -> dict[str, str]:  # noqa: ANN401  what `rendered` takes
    return {key: content.decode() for key, content in rendered(*sources, **rest).data.items()}


def error_of(*sources: Mapping[str, Any], **rest: Any) -> SyncError:  # noqa: ANN401  what `rendered` takes
    with pytest.raises(SyncError) as raised:
        rendered(*sources, **rest)
    return raised.value


def test_every_field_of_an_object_becomes_a_key() -> None:
    text = '{"user": "shop", "port": 5432, "hosts": ["a", "b"]}'

    assert contents({"object": "app"}, app=text) == {"user": "shop", "port": "5432", "hosts": '["a","b"]'}


@pytest.mark.parametrize(
    ("format_", "text"), [("YAML", "user: shop\nport: 5432\nproxy:\n"), ("Env", "user=shop\nexport port='5432'\n")]
)
def test_an_object_may_have_another_format(format_: str, text: str) -> None:
    assert contents({"object": "app", "format": format_}, app=text) == {"user": "shop", "port": "5432"}


def test_an_objects_keys_are_renamed() -> None:
    source = {"object": "app", "prefix": "APP_", "rename": "^app_(?P<key>.*)$"}

    assert contents(source, app='{"app_user": "shop"}') == {"APP_user": "shop"}


def test_an_optional_object_that_is_absent_sets_no_keys() -> None:
    made = rendered({"object": "app", "optional": True}, app=a_missing_reading())

    assert (made.data, made.sources) == ({}, {})


def test_each_found_secret_becomes_a_key_of_its_name() -> None:
    assert contents(SEARCH, shop_user="a", shop_password="b") == {"shop-user": "a", "shop-password": "b"}


def test_found_secrets_are_renamed() -> None:
    source = SEARCH | {"rename": "shop-(?P<key>.*)", "prefix": "X."}

    assert contents(source, shop_user="a") == {"X.user": "a"}


def test_a_found_secret_that_is_gone_is_left_out() -> None:
    assert contents(SEARCH, shop_user="a", shop_old=a_missing_reading()) == {"shop-user": "a"}


def test_a_search_without_results_is_an_error() -> None:
    error = error_of(SEARCH, shop_old=a_missing_reading())

    assert error.reason is Reason.SECRET_NOT_FOUND
    assert "No enabled secret of vault https://shop.vault.azure.net matches" in error.message


def test_an_optional_search_may_have_no_results() -> None:
    assert contents(SEARCH | {"optional": True}) == {}


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([{"object": "app"}], "Key password is filled twice: from secrets db-password and app of vault https://shop"),
        ([{"object": "other"}, {"object": "app"}], "from secrets other and app"),
        ([SEARCH | {"rename": ".*(?P<key>password)"}], "from secrets db-password and shop-password"),
        ([{"object": "other"}, {"object": "other"}], "from secret other, in two entries,"),
    ],
    ids=["an entry and an object", "two objects", "an entry and a found secret", "one object twice"],
)
def test_the_error_for_a_key_that_is_set_twice_names_both_secrets(sources: list[dict[str, Any]], message: str) -> None:
    data = [an_entry()] if "db-password" in message or sources == [{"object": "app"}] else []
    value = f'{{"password": "{MARK}"}}'

    error = error_of(*sources, data=data, db_password=MARK, app=value, other=value, shop_password=MARK)

    assert error.reason is Reason.INVALID_SPEC
    assert message in error.message
    assert "onCollision: Replace" in error.message
    assert MARK not in error.message


def test_a_later_entry_with_on_collision_replace_replaces_the_key() -> None:
    made = rendered(
        {"object": "app", "onCollision": "Replace"}, data=[an_entry()], db_password="a", app='{"password": "b"}'
    )

    assert made.data == {"password": b"b"}
    assert made.sources == {"password": SecretRef("app")}


@pytest.mark.parametrize(
    ("rename", "message"),
    [("(?P<key>shop)-.*", "both become key shop"), ("shop-(?P<key>)user", "does not become a key")],
    ids=["the same key", "an empty key"],
)
def test_found_secrets_must_become_different_valid_keys(rename: str, message: str) -> None:
    error = error_of(SEARCH | {"rename": rename}, shop_user=MARK, shop_password=MARK)

    assert error.reason is Reason.INVALID_SPEC
    assert message in error.message
    assert MARK not in error.message


def test_the_previous_version_has_its_own_key_once_it_exists() -> None:
    entry = an_entry(previous_key="password.old")
    spec = VaultSecretSpec(vault_url=VAULT, data=(entry,))
    newest, before = SecretRef("db-password"), SecretRef("db-password", previous=True)

    both = render_entries(spec, {newest: a_reading("b"), before: a_reading("a")}, VaultView())
    one = render_entries(spec, {newest: a_reading("b"), before: a_missing_reading()}, VaultView())

    assert both.data == {"password": b"b", "password.old": b"a"}
    assert one.data == {"password": b"b"}
    assert one.sources == {"password": newest, "password.old": before}


@pytest.mark.parametrize("value", ['{"db": null}', "{}", '{"db": {"password": null}}', '{"db": "x"}'])
def test_an_optional_property_that_does_not_exist_or_is_null_sets_no_key(value: str) -> None:
    entry = an_entry(property="db.password", optional=True)

    made = rendered(data=[entry, an_entry(key="whole")], db_password=value)

    assert made.data == {"whole": value.encode()}
    assert made.sources == {"whole": SecretRef("db-password")}  # drift would be found of a key that is never written


@pytest.mark.parametrize("path", ["hosts[0]", "$.hosts.0", "Hosts.0"])
def test_an_optional_property_that_exists_by_another_path_is_an_error(path: str) -> None:
    error = error_of(data=[an_entry(property=path, optional=True)], db_password='{"hosts": ["a"]}')

    assert error.reason is Reason.PROPERTY_MISSING


def test_an_optional_property_of_a_value_that_is_not_json_is_an_error() -> None:
    error = error_of(data=[an_entry(property="db.password", optional=True)], db_password=MARK)

    assert error.reason is Reason.PROPERTY_MISSING


@pytest.mark.parametrize("previous", ['{"New": "a"}', '{"new": null}', "a password", '"{}"', "[" * 65])
def test_a_previous_version_without_the_property_sets_no_key(previous: str) -> None:
    entry = an_entry(property="new", previous_key="password.old")
    newest, before = SecretRef("db-password"), SecretRef("db-password", previous=True)
    readings = {newest: a_reading('{"new": "b"}'), before: a_reading(previous)}

    made = render_entries(VaultSecretSpec(vault_url=VAULT, data=(entry,)), readings, VaultView())

    assert (made.data, made.sources) == ({"password": b"b"}, {"password": newest})


def test_a_field_that_is_null_collides_with_no_key() -> None:
    assert contents({"object": "app"}, data=[an_entry()], db_password="a", app='{"password": null}') == {
        "password": "a"
    }


def test_a_secret_has_one_state_with_all_its_keys_and_its_first_spelling() -> None:
    data = [an_entry(secret_name="DB-Password"), an_entry(key="again", secret_name="db-password")]
    readings = {SecretRef("db-password"): a_reading()}
    made = render_entries(VaultSecretSpec(vault_url=VAULT, data=tuple(data)), readings, VaultView())

    (state,) = secret_states(made, readings)

    assert (state.ref, state.keys) == (SecretRef("DB-Password"), ("password", "again"))


def test_a_missing_reading_secret_keeps_its_key_unless_another_sets_it() -> None:
    data = [an_entry(optional=True), an_entry(key="token", secret_name="api-token", optional=True)]
    readings: dict[SecretRef, Reading | MissingReading] = {
        SecretRef("db-password"): a_missing_reading(),
        SecretRef("api-token"): a_missing_reading(),
        SecretRef("app"): a_reading('{"password": "x"}'),
    }
    spec = VaultSecretSpec.model_validate({"vault_url": VAULT, "data": tuple(data), "data_from": [{"object": "app"}]})

    states = secret_states(render_entries(spec, readings, VaultView()), readings)

    assert [(state.ref.name, state.keys) for state in states] == [
        ("db-password", ()),
        ("api-token", ("token",)),
        ("app", ("password",)),
    ]


def test_the_repr_hides_contents() -> None:
    assert MARK not in repr(rendered({"object": "app"}, app=f'{{"a": "{MARK}"}}'))


OBJECTS = st.lists(st.dictionaries(st.sampled_from("abc"), st.just(1), max_size=3), max_size=3)


@given(objects=OBJECTS, replaces=st.lists(st.booleans(), min_size=3, max_size=3))
def test_the_last_entry_that_may_replace_a_key_sets_it(objects: list[dict[str, int]], replaces: list[bool]) -> None:
    sources = [
        {"object": f"o{place}", "onCollision": "Replace" if replaces[place] else "Fail"}
        for place in range(len(objects))
    ]
    values = {f"o{place}": "{" + ",".join(f'"{key}":{place}' for key in one) + "}" for place, one in enumerate(objects)}
    collides = any(
        not replaces[place] and one.keys() & set().union(*objects[:place]) for place, one in enumerate(objects)
    )

    if collides:
        assert error_of(*sources, **values).reason is Reason.INVALID_SPEC
    else:
        last = {key: str(place) for place, one in enumerate(objects) for key in one}
        assert contents(*sources, **values) == last


def pem(*parties: Party) -> str:
    """The key of the first, and the certificates of all."""
    return key_in_pem(parties[0].key) + in_pem(party.certificate for party in parties)


def a_secret(value: str, name: str = "db-password", tags: Mapping[str, str] | None = None) -> ReadSecret:
    return ReadSecret(SecretRef(name), a_reading(value, tags=tags or {}), VAULT)


def certificate(value: str, passwords: dict[str, bytes] | None = None, **source: Any) -> dict[str, bytes]:  # noqa: ANN401  fields of a source
    source_ = DataFrom.model_validate({"certificate": "tls", **source})
    (done,) = certificate_files([certificate_request(source_, a_secret(value, "tls"), passwords or {})])
    return done.files


@pytest.mark.parametrize(
    ("tweaks", "value", "content"),
    [
        ({}, "s3cret", b"s3cret"),
        ({"encoding": "Base64"}, "aGk=", b"hi"),
        ({"property": "db.password"}, '{"db": {"password": "x"}}', b"x"),
        ({"property": "/db/0"}, '{"db": [1.10]}', b"1.10"),
        ({"property": "key", "encoding": "Base64"}, '{"key": "AP8="}', b"\x00\xff"),
        ({"property": "db.key", "format": "YAML", "encoding": "Base64"}, "db: {key: aGk=}", b"hi"),
        ({"property": "DB_KEY", "format": "Env"}, "DB_KEY=x # y", b"x"),
    ],
    ids=["text", "base64", "a path", "a pointer", "base64 in a property", "YAML", "Env"],
)
def test_entry_content_returns(tweaks: dict[str, str], value: str, content: bytes) -> None:
    assert entry_content(an_entry(**tweaks), "password", a_secret(value), Documents()) == content


@pytest.mark.parametrize(
    ("tweaks", "value", "reason"),
    [
        ({"encoding": "Base64"}, f"{MARK}!", Reason.ENCODING_INVALID),
        ({"property": "a.b"}, MARK, Reason.PROPERTY_MISSING),
        ({"property": "a.b"}, f'{{"a": "{MARK}"}}', Reason.PROPERTY_MISSING),
        ({"property": "a", "encoding": "Base64"}, f'{{"a": "{MARK}!"}}', Reason.ENCODING_INVALID),
    ],
    ids=["invalid base64", "invalid JSON", "no such property", "a property that is not base64"],
)
def test_entry_content_fails_with_names_and_without_the_value_for(
    tweaks: dict[str, str], value: str, reason: Reason
) -> None:
    with pytest.raises(SyncError) as raised:
        entry_content(an_entry(**tweaks), "password", a_secret(value), Documents())

    assert raised.value.reason is reason
    assert raised.value.message.startswith(f"Secret db-password of vault {VAULT}, for key password,")
    assert MARK not in raised.value.message


@pytest.mark.parametrize(
    ("tweaks", "value", "content"),
    [
        ({}, "aGk=", b"hi"),
        ({"property": "a"}, base64.encodebytes(b'{"a": "aGk="}').decode(), b"aGk="),
    ],
    ids=["a file", "a property of a file"],
)
def test_an_entry_with_encoding_auto_is_decoded_as_its_tag_says(
    tweaks: dict[str, str], value: str, content: bytes
) -> None:
    entry, tags = an_entry(encoding="Auto", **tweaks), {"file-encoding": "base64"}

    assert entry_content(entry, "password", a_secret(value, tags=tags), Documents()) == content
    assert entry_content(an_entry(encoding="Auto"), "password", a_secret(value), Documents()) == value.encode()
    assert entry_content(an_entry(), "password", a_secret(value, tags=tags), Documents()) == value.encode()


def test_a_property_of_a_file_that_is_not_text_is_an_error() -> None:
    entry = an_entry(encoding="Auto", property="a")

    with pytest.raises(SyncError, match="is not text once it is decoded") as raised:
        entry_content(entry, "password", a_secret("/w==", tags={"file-encoding": "base64"}), Documents())

    assert raised.value.reason is Reason.ENCODING_INVALID
    assert raised.value.__context__ is None


def test_the_fields_of_an_object_are_decoded() -> None:
    source = {"object": "app", "encoding": "Base64"}

    assert contents(source, app='{"user": "aGk=", "token": "YQ=="}') == {"user": "hi", "token": "a"}
    error = error_of(source, app=f'{{"user": "aGk=", "token": "{MARK}!"}}')
    assert error.reason is Reason.ENCODING_INVALID
    assert "Secret app of vault https://shop.vault.azure.net, for key token, is not valid base64" in error.message
    assert MARK not in error.message


def test_an_object_that_is_a_file_is_decoded_before_it_is_parsed() -> None:
    file = a_reading(base64.encodebytes(b'{"user": "aGk="}').decode(), tags={"file-encoding": "base64"})
    image = a_reading("/w==", tags={"file-encoding": "base64"})

    assert contents({"object": "app", "encoding": "Auto"}, app=file) == {"user": "aGk="}
    assert contents({"object": "app", "encoding": "Auto"}, app='{"user": "aGk="}') == {"user": "aGk="}
    assert error_of({"object": "app", "encoding": "Auto"}, app=image).reason is Reason.ENCODING_INVALID


def test_found_secrets_are_decoded() -> None:
    file = a_reading("ff", tags={"file-encoding": "hex"})

    assert contents(SEARCH | {"encoding": "Base64"}, shop_user="aGk=") == {"shop-user": "hi"}
    assert rendered(SEARCH | {"encoding": "Auto"}, shop_user="aGk=", shop_file=file).data == {
        "shop-user": b"aGk=",
        "shop-file": b"\xff",
    }
    assert error_of(SEARCH | {"encoding": "Base64"}, shop_user=MARK).reason is Reason.ENCODING_INVALID


def test_a_state_has_the_encoding_by_which_a_tag_decides_its_content() -> None:
    """A change of the tag changes the content, and not the version."""
    file = a_reading("ff", tags={"file-encoding": "hex"})
    readings = {SecretRef("shop-file"): file, SecretRef("shop-text"): a_reading("ff", tags={"file-encoding": "ascii"})}
    tagged, plain = (
        secret_states(rendered(SEARCH | {"encoding": encoding}, shop_file=file, shop_text="x"), readings)
        for encoding in ("Auto", "Utf8")
    )
    document = a_reading(b'{"a": 1}'.hex(), tags={"file-encoding": "hex"})
    (of_object,) = secret_states(
        rendered({"object": "app", "encoding": "Auto"}, app=document), {SecretRef("app"): document}
    )

    assert [state.encoding for state in tagged] == ["Hex", None]
    assert [state.encoding for state in plain] == [None, None]
    assert of_object.encoding == "Hex"


def test_a_certificate_becomes_its_chain_and_key() -> None:
    files = certificate(pem(SERVER, ROOT))

    assert files.keys() == {"tls.crt", "tls.key"}
    assert load_pem_x509_certificates(files["tls.crt"]) == [SERVER.certificate]
    key = load_pem_private_key(files["tls.key"], None)
    assert key.public_key() == SERVER.certificate.public_key()
    assert files["tls.key"].startswith(b"-----BEGIN PRIVATE KEY-----")


def test_ca_and_stores_are_added_on_request() -> None:
    files = certificate(
        pem(SERVER, ROOT),
        {"pw": b"changeit"},
        ca=True,
        key_store={"key": "key.p12", "password_key": "pw"},
        trust_store={"key": "trust.p12", "password_key": "pw"},
    )

    assert load_pem_x509_certificates(files["ca.crt"]) == [ROOT.certificate]
    store = load_pkcs12(files["key.p12"], b"changeit")
    assert store.cert is not None
    assert store.cert.certificate == SERVER.certificate
    trusted = load_pkcs12(files["trust.p12"], b"changeit")
    assert [one.certificate for one in trusted.additional_certs] == [ROOT.certificate]


def test_a_protected_certificate_opens_with_the_password_of_an_entry() -> None:
    files = certificate(in_pkcs12(SERVER.key, [SERVER.certificate], "0pen"), {"pw": b"0pen"}, password_key="pw")

    assert load_pem_x509_certificates(files["tls.crt"]) == [SERVER.certificate]


STORE = {"key": "tls.crt", "password_key": "pw"}


@pytest.mark.parametrize(
    ("source", "passwords", "reason", "message"),
    [
        ({"key_store": STORE | {"key": "a"}}, {}, Reason.INVALID_SPEC, "passwordKey pw is not a key of an entry"),
        (
            {"key_store": STORE | {"key": "a"}},
            {"pw": b"\xff"},
            Reason.CERTIFICATE_INVALID,
            "Key pw is used as a password and is not UTF-8 text",
        ),
        ({"key_store": STORE}, {"pw": b"x"}, Reason.INVALID_SPEC, "fills a key twice"),
        ({"ca": True}, {}, Reason.CERTIFICATE_INVALID, "holds no root certificate"),
    ],
    ids=["a missing password", "a password of bytes", "a store with the key of the chain", "a missing root"],
)
def test_a_certificate_fails_for(
    source: dict[str, Any], passwords: dict[str, bytes], reason: Reason, message: str
) -> None:
    with pytest.raises(SyncError, match=message) as raised:
        certificate(pem(SERVER), passwords, **source)

    assert raised.value.reason is reason
    assert raised.value.__context__ is None


def test_the_error_for_an_invalid_certificate_names_the_secret() -> None:
    with pytest.raises(SyncError) as raised:
        certificate(base64.b64encode(MARK.encode()).decode())

    assert raised.value.reason is Reason.CERTIFICATE_INVALID
    assert raised.value.message.startswith(f"Secret tls of vault {VAULT} ")
    assert MARK not in raised.value.message


# keys that are kept


APP, USER = SecretRef("app"), SecretRef("shop-user")
OLD = {"password": SecretValue("b2xk")}
"""What the target holds, in base64."""


def kept_by(readings: Readings, *sources: Mapping[str, Any]) -> tuple[dict[str, str], tuple[SecretState, ...]]:
    """The contents, and the states, with these readings; the listing has no secret."""
    spec = VaultSecretSpec.model_validate({"vault_url": VAULT, "data_from": sources})
    made = render_entries(spec, readings, VaultView(listing=VaultListing({})))
    return {key: content.decode() for key, content in made.data.items()}, secret_states(made, readings)


@pytest.mark.parametrize(
    ("text", "data", "keys", "kept"),
    [
        ("{}", {"password": "old"}, (), ("password",)),
        ('{"user": "u"}', {"user": "u", "password": "old"}, ("user",), ("password",)),
    ],
    ids=["an empty object", "another field"],
)
def test_a_field_that_vanished_keeps_what_the_target_holds(
    text: str, data: dict[str, str], keys: tuple[str, ...], kept: tuple[str, ...]
) -> None:
    contents, (state,) = kept_by({APP: a_reading(text, kept=OLD)}, {"object": "app"})

    assert (contents, state.keys, state.kept) == (data, keys, kept)


def test_a_lost_secret_keeps_no_more_keys_than_are_carried_and_its_version() -> None:
    known = a_state("user", "password", source="app", kept=("port",))

    contents, (state,) = kept_by({APP: CarriedReading(known, OLD)}, {"object": "app"})

    assert (contents, state) == ({"password": "old"}, replace(known, keys=("password",), kept=()))


def test_a_secret_that_a_search_does_not_find_any_more_keeps_its_key() -> None:
    known = a_state("password", source="shop-user")

    contents, (state,) = kept_by({USER: CarriedReading(known, OLD)}, {**SEARCH, "optional": True})

    assert (contents, state) == ({"password": "old"}, known)


def test_keys_are_filled_by_what_was_read_and_by_certificates_as_before() -> None:
    spec = VaultSecretSpec.model_validate(
        {"vault_url": VAULT, "data_from": [{"object": "app"}, {"certificate": "web"}]}
    )
    known = {SecretRef("web"): a_state("tls.crt", "tls.key", source="web"), APP: a_state("gone", source="app")}
    read = {APP: a_reading('{"user": "u"}'), SecretRef("web"): a_reading("pem")}

    assert filled_keys(spec, read, VaultView(), known) == {"user", "tls.crt", "tls.key"}
    assert filled_keys(spec, {APP: read[APP]}, VaultView(), known) == {"user"}
