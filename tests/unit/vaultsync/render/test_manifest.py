"""The manifest of a target: what it holds, what it never holds, and the errors of rendering it."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import (
    FIRST,
    READ_AT,
    UID,
    a_missing_reading,
    a_reading,
    a_state,
    a_vault_secret,
    an_entry,
    some_metadata,
)
from vaultsync.api import APPLIED_ANNOTATION, MANAGED_BY_LABEL, OWNER_NAME_LABEL, OWNER_UID_LABEL
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.errors import Reason, SyncError
from vaultsync.policy.drift import expected_fields
from vaultsync.render.manifest import MAX_BYTES, key_data, render_secret
from vaultsync.state.applied import from_annotation
from vaultsync.state.desired import Desired
from vaultsync.state.listings import VaultListing
from vaultsync.state.observed import Field
from vaultsync.state.secrets import MissingReading, Reading, SecretRef
from vaultsync.state.vaults import VaultView

MARK = "MARKED-password-ä"


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


Found = Mapping[str, Reading | MissingReading]


def made(vault_secret: VaultSecret, found: Found) -> Desired:
    """Render the target from a reading for each key of data."""
    readings = {
        SecretRef(entry.secret_name, entry.version).identity: found[entry.key] for entry in vault_secret.spec.data
    }
    return render_secret(vault_secret, readings, VaultView())


def error_of(vault_secret: VaultSecret, readings: Found) -> SyncError:
    with pytest.raises(SyncError) as raised:
        made(vault_secret, readings)
    return raised.value


def test_the_manifest_is_a_secret_that_belongs_to_its_vaultsecret() -> None:
    vault_secret = a_vault_secret(target={"labels": {"team": "shop"}, "annotations": {"note": "by hand"}})

    manifest = made(vault_secret, {"password": a_reading("s3cret")}).manifest

    metadata: dict[str, Any] = dict(manifest["metadata"])
    applied = from_annotation(metadata["annotations"].pop(APPLIED_ANNOTATION))
    assert applied is not None
    assert applied.secrets == (a_state(),)
    assert {**manifest, "metadata": metadata} == {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": "db",
            "namespace": "shop",
            "labels": {"team": "shop", MANAGED_BY_LABEL: "vaultsync", OWNER_UID_LABEL: UID, OWNER_NAME_LABEL: "db"},
            "annotations": {"note": "by hand"},
            "ownerReferences": [
                {
                    "apiVersion": "vaultsync.dev/v1alpha1",
                    "kind": "VaultSecret",
                    "name": "db",
                    "uid": UID,
                    "controller": True,
                }
            ],
        },
        "data": {"password": encoded(b"s3cret")},
    }


def test_a_retained_target_has_no_owner_reference() -> None:
    vault_secret = a_vault_secret(on_delete="Retain")

    manifest = made(vault_secret, {"password": a_reading()}).manifest

    assert manifest["metadata"]["ownerReferences"] == []


@pytest.mark.parametrize(
    ("text", "encoding", "content"),
    [
        ("", "Utf8", b""),
        ("Grüße\n", "Utf8", "Grüße\n".encode()),
        ("aGk=", "Utf8", b"aGk="),
        ("aGk=", "Base64", b"hi"),
        ("AP9\r\n/\n", "Base64", b"\x00\xff\x7f"),
        ("", "Base64", b""),
    ],
    ids=["nothing", "text", "base64 taken as text", "base64 decoded", "base64 in lines of bytes", "nothing in base64"],
)
def test_a_value_becomes_the_bytes_of_its_encoding(text: str, encoding: str, content: bytes) -> None:
    vault_secret = a_vault_secret(an_entry(encoding=encoding))

    manifest = made(vault_secret, {"password": a_reading(text)}).manifest

    assert manifest["data"] == {"password": encoded(content)}


@pytest.mark.parametrize("text", [MARK, "MARKED", "YQ", "YQ=a", "Y-_Q", "é"])
def test_the_error_for_invalid_base64_names_secret_and_key(text: str) -> None:
    error = error_of(a_vault_secret(an_entry(encoding="Base64")), {"password": a_reading(text)})

    assert error.reason is Reason.ENCODING_INVALID
    assert "db-password" in error.message
    assert "key password" in error.message


@pytest.mark.parametrize(
    ("entry", "text"),
    [(an_entry(encoding="Base64"), MARK), (an_entry(), "MARKED" * MAX_BYTES)],
    ids=["not base64", "too large"],
)
def test_no_error_holds_the_value_not_even_in_its_causes(entry: Any, text: str) -> None:  # noqa: ANN401
    error: BaseException | None = error_of(a_vault_secret(entry), {"password": a_reading(text)})

    while error is not None:
        assert "MARKED" not in f"{error!r} {error} {error.args} {vars(error)}"
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(("extra", "fits"), [(0, True), (1, False)], ids=["one MiB fits", "one byte more does not"])
def test_the_values_of_a_secret_have_one_mib_at_most(extra: int, fits: bool) -> None:
    vault_secret = a_vault_secret(an_entry(key="a", secret_name="a"), an_entry(key="b", secret_name="b"))
    readings = {"a": a_reading("ä" * 1000), "b": a_reading("x" * (MAX_BYTES - 2000 + extra))}

    if fits:
        assert made(vault_secret, readings).manifest["data"].keys() == {"a", "b"}
    else:
        assert error_of(vault_secret, readings).reason is Reason.TARGET_TOO_LARGE


def test_the_key_of_a_missing_reading_secret_is_left_out_and_its_state_is_kept() -> None:
    vault_secret = a_vault_secret(an_entry(), an_entry(key="token", secret_name="api-token", optional=True))

    desired = made(vault_secret, {"password": a_reading(), "token": a_missing_reading()})

    assert desired.manifest["data"].keys() == {"password"}
    assert desired.secrets[1] == a_state("token", source="api-token", version=None, updated=None)


def test_the_repr_hides_values() -> None:
    desired = made(a_vault_secret(), {"password": a_reading(MARK)})

    assert MARK not in repr(desired)
    assert encoded(MARK.encode()) not in repr(desired)


KEYS = st.lists(st.sampled_from(["a", "b.c", "D_e", "-", "f9"]), min_size=1, unique=True)


@given(keys=KEYS, values=st.lists(st.text(), min_size=5, max_size=5), data=st.data())
def test_equal_input_gives_equal_bytes_in_any_order(keys: list[str], values: list[str], data: st.DataObject) -> None:
    readings = {key: a_reading(value) for key, value in zip(keys, values, strict=False)}
    entries = [an_entry(key=key, secret_name=f"secret-{index}") for index, key in enumerate(keys)]
    shuffled = dict(data.draw(st.permutations(list(readings.items()))))

    first = made(a_vault_secret(*entries), readings)
    second = made(a_vault_secret(*entries), shuffled)
    moved = made(a_vault_secret(*data.draw(st.permutations(entries))), readings)

    assert json.dumps(first.manifest) == json.dumps(second.manifest)
    assert json.dumps(first.manifest["data"]) == json.dumps(moved.manifest["data"])
    for key, value in readings.items():
        assert first.manifest["data"][key].isascii()
        assert base64.b64decode(first.manifest["data"][key], validate=True).decode() == value.value.reveal()


@given(text=st.text(min_size=8, alphabet="0123456789"), encoding=st.sampled_from(["Utf8", "Base64"]))
def test_nothing_outside_the_data_depends_on_a_value(text: str, encoding: str) -> None:
    vault_secret = a_vault_secret(an_entry(encoding=encoding))

    def everything_else(text: str) -> str:
        desired = made(vault_secret, {"password": a_reading(text)})
        return json.dumps({**desired.manifest, "data": sorted(desired.manifest["data"])}) + repr(desired.secrets)

    assert everything_else(text * 4) == everything_else("AAAA")


def owned_fields(manifest: Any) -> set[Field]:  # noqa: ANN401 - a manifest is JSON
    """The fields that the API server records for our field manager after an apply."""
    metadata = manifest["metadata"]
    owners = {Field("ownerReferences", owner["uid"]) for owner in metadata["ownerReferences"]}
    named = {"data": manifest["data"], "labels": metadata["labels"], "annotations": metadata["annotations"]}
    return owners | {Field(area, name) for area, names in named.items() for name in names}


@pytest.mark.parametrize("on_delete", ["Delete", "Retain"])
def test_the_expected_fields_are_those_that_are_applied(on_delete: str) -> None:
    vault_secret = a_vault_secret(
        an_entry(),
        an_entry(key="token", secret_name="token", optional=True),
        on_delete=on_delete,
        target={
            "labels": {"team": "shop"},
            "metadata_from": {"labels": {"owner": ""}, "annotations": {"expires": "{{ secrets.token.expires }}"}},
        },
    )
    desired = made(vault_secret, {"password": a_reading(), "token": a_missing_reading()})

    assert expected_fields(vault_secret, frozenset({"password"}), created=True) == owned_fields(desired.manifest)


def test_the_state_of_a_reading_has_versions_and_dates_only() -> None:
    (state,) = made(a_vault_secret(), {"password": a_reading(MARK, expires=READ_AT)}).secrets

    assert state == a_state(version=FIRST, expires=READ_AT)


EVERYTHING = a_vault_secret(
    an_entry(previous_key="password.old"),
    data_from=[{"object": "app", "prefix": "app_"}, {"find": {"names": "shop-*"}}],
    target={"template": {"DSN": "{{ password | url_encode }}@{{ app_host }}"}, "immutable": True},
)
FOUND = VaultView(listing=VaultListing({"shop-user": some_metadata(name="shop-user")}))
READ = {
    SecretRef("db-password"): a_reading("a/b"),
    SecretRef("db-password", previous=True): a_reading("before"),
    SecretRef("app"): a_reading('{"host": "db"}'),
    SecretRef("shop-user"): a_reading("app"),
}


def test_all_sources_and_templates_are_rendered_into_one_secret() -> None:
    desired = render_secret(EVERYTHING, READ, FOUND)

    assert {key: base64.b64decode(text) for key, text in desired.manifest["data"].items()} == {
        "DSN": b"a%2Fb@db",
        "app_host": b"db",
        "password": b"a/b",
        "password.old": b"before",
        "shop-user": b"app",
    }
    assert desired.manifest["immutable"] is True
    assert [(state.ref.name, state.keys) for state in desired.secrets] == [
        ("db-password", ("password",)),
        ("db-password", ("password.old",)),
        ("app", ("app_host",)),
        ("shop-user", ("shop-user",)),
    ]


def test_the_same_readings_give_the_same_secret() -> None:
    first, second = (render_secret(EVERYTHING, READ, FOUND) for _ in range(2))

    assert json.dumps(first.manifest) == json.dumps(second.manifest)


def test_a_template_cannot_have_the_key_of_a_secret() -> None:
    vault_secret = a_vault_secret(target={"template": {"password": "x"}})

    error = error_of(vault_secret, {"password": a_reading(MARK)})

    assert error.reason is Reason.INVALID_SPEC
    assert "Key password is filled twice: from secret db-password" in error.message
    assert MARK not in error.message


def test_data_that_does_not_fit_the_type_is_an_error() -> None:
    vault_secret = a_vault_secret(an_entry(key=".dockerconfigjson"), target={"type": "kubernetes.io/dockerconfigjson"})

    error = error_of(vault_secret, {".dockerconfigjson": a_reading(MARK)})

    assert error.reason is Reason.TARGET_INVALID
    assert MARK not in error.message


@pytest.mark.parametrize(
    ("secret_type", "keys"), [("kubernetes.io/tls", {"tls.key": b"no key", "tls.crt": b"no key"}), ("Opaque", {})]
)
def test_data_that_are_keys_are_left_to_another_check(secret_type: str, keys: dict[str, bytes]) -> None:
    entries = an_entry(key="tls.key"), an_entry(key="tls.crt")
    reading = a_reading("no key")

    desired = made(a_vault_secret(*entries, target={"type": secret_type}), {"tls.key": reading, "tls.crt": reading})

    assert key_data(desired) == keys


def test_more_keys_than_the_annotation_can_hold_are_too_large() -> None:
    fields = ",".join(f'"{number:0250}": 1' for number in range(1100))
    vault_secret = a_vault_secret(data=(), data_from=[{"object": "app"}])

    with pytest.raises(SyncError, match="names of its keys and its annotations have") as raised:
        render_secret(vault_secret, {SecretRef("app"): a_reading("{" + fields + "}")}, VaultView())

    assert raised.value.reason is Reason.TARGET_TOO_LARGE
