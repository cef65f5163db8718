"""The annotation on a target: what it holds, what it never holds, older formats, and damaged annotations."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import FIRST, READ_AT, SECOND, START, UID, VAULT, a_state, a_vault_secret, an_entry
from vaultsync.api.v1alpha1 import Encoding, OnDelete, VaultSecret
from vaultsync.bounded_json import MAX_DEPTH
from vaultsync.state.applied import (
    MAX_ANNOTATIONS,
    MAX_TAGS,
    Applied,
    applied_keys,
    content_fingerprint,
    fingerprint,
    from_annotation,
    to_annotation,
)
from vaultsync.state.secrets import PendingVersion, SecretRef, SecretState, Version

SECONDS = st.integers(0, 10**10).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
REFS = st.one_of(
    st.builds(SecretRef, st.text(), st.none()),
    st.builds(SecretRef, st.text(), st.text(min_size=1), st.just(False)),
    st.builds(SecretRef, st.text(), st.none(), st.just(True)),
)
STATES = st.builds(
    SecretState,
    ref=REFS,
    keys=st.lists(st.text()).map(tuple),
    version=st.none() | st.text(),
    updated=st.none() | SECONDS,
    expires=st.none() | SECONDS,
    read_at=SECONDS,
    encoding=st.none() | st.text(min_size=1),
    pending=st.none()
    | st.builds(
        PendingVersion,
        version=st.text(),
        not_before=SECONDS,
        newest=st.builds(Version, st.text(), st.none() | SECONDS, st.none() | SECONDS),
        none_active=st.booleans(),
    ),
    kept=st.lists(st.text(), max_size=2).map(tuple),
)


@given(states=st.lists(STATES).map(tuple), created=st.booleans())
def test_an_annotation_parses_to_what_was_written(states: tuple[SecretState, ...], created: bool) -> None:
    vault_secret = a_vault_secret()

    assert from_annotation(to_annotation(vault_secret, states, created=created)) == Applied(
        fingerprint(vault_secret),
        states,
        content_fingerprint(vault_secret),
        VAULT,
        UID,
        created,
        vault_secret="shop/db",
        named=True,
    )


def kept_tags(*tags: dict[str, str]) -> list[Mapping[str, str]]:
    """The tags of each secret after a restart."""
    states = [a_state(tags=one) for one in tags]
    applied = from_annotation(to_annotation(a_vault_secret(), states, created=True, metadata="a1"))
    assert applied is not None
    return [state.tags for state in applied.secrets]


def test_tags_are_kept_as_far_as_the_annotation_has_room() -> None:
    large = {f"tag-{number:02}": "x" * 256 for number in range(MAX_TAGS // 275)}
    escaped = {f"tag-{number:02}": "é" * 256 for number in range(15)}
    small = {"owner": "shop"}

    assert kept_tags(large, small, small, large) == [large, small, small, {}]
    assert kept_tags(escaped) == [{}]


def test_a_tag_that_is_too_long_to_be_one_is_not_kept() -> None:
    assert kept_tags({"long": "x" * 257, "y" * 257: "", "owner": "shop"}) == [{"owner": "shop"}]


def test_forged_tags_cost_no_more_memory_than_ours() -> None:
    document = json.loads(to_annotation(a_vault_secret(), [a_state()], created=True))
    document["secrets"][0]["tags"] = {f"{number:0250}": "x" * 250 for number in range(400)}

    applied = from_annotation(json.dumps(document))

    assert applied is not None
    assert applied.secrets[0].tags == {}


@given(tags=st.dictionaries(st.text(), st.text()))
def test_tags_are_kept_while_metadata_comes_from_the_vault(tags: dict[str, str]) -> None:
    state = a_state(tags=tags)

    kept = from_annotation(to_annotation(a_vault_secret(), [state], created=True, metadata="a1"))
    left_out = from_annotation(to_annotation(a_vault_secret(), [state], created=True))

    assert kept is not None
    assert left_out is not None
    assert (kept.metadata, kept.secrets[0].tags) == ("a1", tags)
    assert (left_out.metadata, left_out.secrets[0].tags) == (None, {})


@pytest.mark.parametrize("tags", [1, [], {"a": "c" * 513}, {"a" * 513: "b"}])
def test_an_annotation_with_damaged_tags_is_none(tags: object) -> None:
    document = json.loads(to_annotation(a_vault_secret(), [a_state()], created=True))
    document["secrets"][0]["tags"] = tags

    assert from_annotation(json.dumps(document)) is None


def test_labels_and_annotations_from_the_vault_are_part_of_the_target_and_not_of_its_data() -> None:
    plain, templated = a_vault_secret(), a_vault_secret(target={"metadata_from": {"labels": {"a": "b"}}})

    assert fingerprint(plain) != fingerprint(templated)
    assert content_fingerprint(plain) == content_fingerprint(templated)


def test_equal_states_give_equal_texts() -> None:
    first, second = (to_annotation(a_vault_secret(), [a_state(), a_state("user")], created=True) for _ in range(2))

    assert first == second


def test_the_annotation_has_names_versions_and_dates_and_nothing_else() -> None:
    document = json.loads(to_annotation(a_vault_secret(), [a_state()], created=True))

    assert list(document) == ["spec", "specContent", "vault", "owner", "vaultSecret", "named", "created", "secrets"]
    assert document["secrets"] == [
        {
            "name": "db-password",
            "version": FIRST,
            "updated": int(START.timestamp()),
            "readAt": int(READ_AT.timestamp()),
            "keys": ["password"],
        }
    ]


def test_secrets_are_found_by_reference_regardless_of_case() -> None:
    applied = Applied("spec", (a_state(), a_state("user", source="DB-User", version=SECOND)))

    assert applied.by_ref[SecretRef("db-user")].version == SECOND


def test_the_keys_of_a_target_are_those_of_secrets_and_templates() -> None:
    vault_secret = a_vault_secret(target={"template": {"DSN": "{{ password }}"}})
    absent = a_state("token", source="api-token", version=None)

    assert applied_keys(vault_secret, Applied("spec", (a_state(), absent))) == {"password", "DSN"}


def test_keys_that_are_kept_are_part_of_the_target() -> None:
    states = (a_state(kept=("user",)), a_state("gone", source="api-token", version=None, kept=("token",)))

    assert applied_keys(a_vault_secret(), Applied("spec", states)) == {"password", "user"}


def test_the_content_may_be_by_an_earlier_spec() -> None:
    applied = from_annotation(to_annotation(a_vault_secret(), [a_state()], created=True, spec_content="earlier"))

    assert applied is not None
    assert (applied.spec, applied.spec_content) == (fingerprint(a_vault_secret()), "earlier")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param("yes", id="not JSON"),
        pytest.param("[]", id="a list"),
        pytest.param("{}", id="an empty object"),
        pytest.param('{"spec":"a"}', id="no secrets"),
        pytest.param('{"spec":"a","secrets":1}', id="a number of secrets"),
        pytest.param('{"spec":"a","secrets":[1]}', id="a secret that is a number"),
        pytest.param('{"spec":"a","secrets":["key"]}', id="a secret that is a text"),
        pytest.param('{"spec":"a","secrets":[{"name":"a"}]}', id="a secret without a version"),
        pytest.param(
            '{"spec":"a","secrets":[{"name":"a","version":"1","keys":[],"readAt":1,"pending":{"version":"2"}}]}',
            id="a pending version without its date",
        ),
        pytest.param(
            '{"spec":"a","secrets":[{"name":"a","version":"1","keys":[],"readAt":1,"pending":"soon"}]}',
            id="a pending version that is a text",
        ),
        pytest.param("[" * 100_000, id="lists without an end"),
        pytest.param('{"spec":' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + ',"secrets":[]}', id="one level too deep"),
        pytest.param('{"spec":' + "[" * 5000 + "]" * 5000 + ',"secrets":[]}', id="a spec nested too deep"),
        pytest.param('{"spec":"a","secrets":[]}' + " " * MAX_ANNOTATIONS, id="longer than Kubernetes allows"),
        pytest.param("1" * 5000, id="a very long number"),
    ],
)
def test_a_damaged_annotation_is_none(text: str | None) -> None:
    assert from_annotation(text) is None


@pytest.mark.parametrize("field", ["updated", "expires", "readAt"])
@pytest.mark.parametrize("moment", ['"soon"', "1e300", "-1e300", "NaN", "Infinity", "[]", "{}", "99999999999999"])
def test_an_annotation_with_an_invalid_date_is_none(field: str, moment: str) -> None:
    document = json.loads(to_annotation(a_vault_secret(), [a_state()], created=True))
    document["secrets"][0][field] = "HERE"

    assert from_annotation(json.dumps(document).replace('"HERE"', moment)) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = ("name", "pin", "previous", "version", "updated", "expires", "readAt", "keys")


@given(
    document=JSON
    | st.fixed_dictionaries(
        {"spec": JSON, "secrets": JSON | st.lists(st.fixed_dictionaries(dict.fromkeys(NAMES, JSON)), max_size=2)}
    )
)
def test_any_json_is_an_annotation_or_none(document: object) -> None:
    applied = from_annotation(json.dumps(document))

    assert applied is None or all(entry.read_at.tzinfo is UTC for entry in applied.secrets)


@given(text=st.text())
def test_any_text_is_an_annotation_or_none(text: str) -> None:
    applied = from_annotation(text)

    assert applied is None or isinstance(applied, Applied)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(a_vault_secret(vault_url="https://other.vault.azure.net"), id="another vault"),
        pytest.param(a_vault_secret(an_entry(key="token")), id="another key"),
        pytest.param(a_vault_secret(an_entry(secret_name="db-token")), id="another secret"),
        pytest.param(a_vault_secret(an_entry(version=FIRST)), id="a pinned version"),
        pytest.param(a_vault_secret(an_entry(encoding=Encoding.BASE64)), id="another encoding"),
        pytest.param(a_vault_secret(an_entry(optional=True)), id="an optional entry"),
        pytest.param(a_vault_secret(an_entry(), an_entry(key="token")), id="one more entry"),
        pytest.param(a_vault_secret(an_entry(property="a.b")), id="a property"),
        pytest.param(a_vault_secret(an_entry(previous_key="old")), id="the previous version"),
        pytest.param(a_vault_secret(an_entry(encoding=Encoding.AUTO)), id="an encoding by the tag"),
        pytest.param(a_vault_secret(data_from=[{"object": "app"}]), id="an object"),
        pytest.param(a_vault_secret(target={"template": {"a": "b"}}), id="a template"),
        pytest.param(a_vault_secret(target={"immutable": True}), id="an immutable target"),
        pytest.param(a_vault_secret(target={"name": "other"}), id="another name"),
        pytest.param(a_vault_secret(target={"type": "example.com/x"}), id="another type"),
        pytest.param(a_vault_secret(target={"labels": {"team": "shop"}}), id="a label"),
        pytest.param(a_vault_secret(target={"annotations": {"note": "x"}}), id="an annotation"),
        pytest.param(a_vault_secret(on_delete=OnDelete.RETAIN), id="another deletion policy"),
        pytest.param(a_vault_secret(metadata={"uid": "another"}), id="another VaultSecret of that name"),
    ],
)
def test_specs_that_make_different_targets_have_different_fingerprints(other: VaultSecret) -> None:
    assert fingerprint(other) != fingerprint(a_vault_secret())


@pytest.mark.parametrize(
    "other",
    [
        {"omit": ["a"]},
        {"keys": {"a": "b"}},
        {"keyCase": "Upper"},
        {"encoding": "Auto"},
        {"find": {"names": "*", "managed": False}},
    ],
    ids=str,
)
def test_searches_that_fill_different_keys_have_different_fingerprints(other: dict[str, Any]) -> None:
    search = {"find": {"names": "*"}}

    assert fingerprint(a_vault_secret(data_from=[search | other])) != fingerprint(a_vault_secret(data_from=[search]))


def test_fields_of_later_versions_change_no_fingerprint_while_they_are_omitted() -> None:
    """An upgrade would write every target."""
    vault_secret = a_vault_secret(
        an_entry(encoding=Encoding.BASE64),
        data_from=[
            {"object": "app", "prefix": "app_", "rename": "^x_(?P<key>.*)$"},
            {"find": {"names": "shop-*", "tags": {"tier": "web"}}, "optional": True},
            {"certificate": "tls"},
        ],
    )

    assert (fingerprint(vault_secret), content_fingerprint(vault_secret)) == ("0ffbcd98f37399be", "946f794dab5b0dc9")


@pytest.mark.parametrize(
    "same",
    [
        pytest.param(a_vault_secret(), id="nothing changed"),
        pytest.param(a_vault_secret(refresh_interval=timedelta(hours=1)), id="another refresh interval"),
        pytest.param(a_vault_secret(suspend=True), id="suspended"),
        pytest.param(a_vault_secret(metadata={"generation": 5, "labels": {"a": "b"}}), id="another generation"),
        pytest.param(a_vault_secret(target={"labels": {}}), id="an explicit default"),
    ],
)
def test_what_does_not_change_the_target_does_not_change_the_fingerprint(same: VaultSecret) -> None:
    """So an upgrade to a version with more fields writes no target."""
    assert fingerprint(same) == fingerprint(a_vault_secret())


def test_a_copied_label_is_part_of_the_target_and_not_of_its_data() -> None:
    made = [
        a_vault_secret(metadata={"labels": labels}, target={"copy_labels": ["team"]})
        for labels in ({}, {"team": "a"}, {"team": "b"}, {"team": "b", "other": "c"})
    ]

    assert len({fingerprint(one) for one in made}) == 3
    assert len({content_fingerprint(one) for one in made}) == 1


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"target": {"labels": {"team": "shop"}}}, True),
        ({"on_delete": "Retain"}, True),
        ({"target": {"template": {"DSN": "{{ password }}"}}}, False),
        ({"data_from": [{"object": "app"}]}, False),
    ],
    ids=["labels", "the deletion policy", "a template", "another source"],
)
def test_the_content_fingerprint_changes_with_what_decides_the_data(changes: dict[str, Any], same: bool) -> None:
    assert (content_fingerprint(a_vault_secret(**changes)) == content_fingerprint(a_vault_secret())) is same
    assert fingerprint(a_vault_secret(**changes)) != fingerprint(a_vault_secret())


OLD_SECRETS = (
    '"secrets":[{"name":"db-password","version":"0f4a7c9be2d84a6c8c1f7e5d3b2a1908","updated":1772366400,'
    '"readAt":1772368200,"keys":["password"]},{"name":"db-password","previous":true,'
    '"version":"5b8e1d2c3f4a4b6d9e0f1a2b3c4d5e6f","updated":1772366400,"expires":1772368200,"readAt":1772368200,'
    '"keys":["password.old"]},{"name":"api-token","version":null,"readAt":1772368200,"keys":["token"]}]}'
)


@pytest.mark.parametrize(
    ("head", "spec_content", "vault"),
    [
        pytest.param('{"spec":"67dc68966489a607",', None, None, id="without content and vault"),
        pytest.param('{"spec":"67dc68966489a607","content":"5be171a1649102b3",', True, None, id="without vault"),
        pytest.param(
            '{"spec":"67dc68966489a607","content":"5be171a1649102b3","vault":"https://shop.vault.azure.net",',
            True,
            VAULT,
            id="with content",
        ),
        pytest.param(
            '{"spec":"67dc68966489a607","specContent":"5be171a1649102b3","vault":"https://shop.vault.azure.net",',
            True,
            VAULT,
            id="without owner",
        ),
    ],
)
def test_an_upgrade_changes_nothing_for_an_annotation_in_the_format(
    head: str, spec_content: bool | None, vault: str | None
) -> None:
    vault_secret = a_vault_secret(
        an_entry(previous_key="password.old"),
        an_entry(key="token", secret_name="api-token", optional=True),
        target={"template": {"DSN": "{{ password }}"}},
        on_delete=OnDelete.RETAIN,
    )
    states = (
        a_state(),
        SecretState(SecretRef("db-password", previous=True), ("password.old",), SECOND, START, READ_AT, READ_AT),
        a_state("token", source="api-token", version=None, updated=None),
    )

    applied = from_annotation(head + OLD_SECRETS)

    # Whether to read and write is decided by comparing these with what the spec and the vault give now.
    assert applied == Applied(
        fingerprint(vault_secret), states, content_fingerprint(vault_secret) if spec_content else None, vault
    )


def test_spec_content_has_precedence_over_the_old_field() -> None:
    applied = from_annotation('{"spec":"a","content":"old","specContent":"new","secrets":[]}')

    assert applied == Applied("a", (), "new")
