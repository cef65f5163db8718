"""The annotation on a target: what it remembers, what it must never hold, and that a spoiled one is no annotation."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import FIRST, READ_AT, SECOND, START, a_state, a_vault_secret, an_entry
from vaultsync.api.v1alpha1 import Encoding, OnDelete, VaultSecret
from vaultsync.rules.applied import Applied, fingerprint, from_annotation, to_annotation
from vaultsync.rules.outcome import EntryState

SECONDS = st.integers(0, 10**10).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
STATES = st.builds(
    EntryState,
    key=st.text(),
    secret_name=st.text(),
    version=st.none() | st.text(),
    updated=st.none() | SECONDS,
    expires=st.none() | SECONDS,
    read_at=SECONDS,
)


@given(entries=st.lists(STATES).map(tuple))
def test_what_was_written_is_read_back(entries: tuple[EntryState, ...]) -> None:
    vault_secret = a_vault_secret()

    assert from_annotation(to_annotation(vault_secret, entries)) == Applied(fingerprint(vault_secret), entries)


def test_equal_states_are_equal_texts() -> None:
    first, second = (to_annotation(a_vault_secret(), [a_state(), a_state(key="user")]) for _ in range(2))

    assert first == second


def test_the_annotation_holds_names_versions_and_dates_and_nothing_else() -> None:
    document = json.loads(to_annotation(a_vault_secret(), [a_state()]))

    assert document["entries"] == [
        {
            "key": "password",
            "secretName": "db-password",
            "version": FIRST,
            "updated": int(START.timestamp()),
            "expires": None,
            "readAt": int(READ_AT.timestamp()),
        }
    ]


def test_entries_are_found_by_their_key() -> None:
    applied = Applied("spec", (a_state(), a_state(key="user", version=SECOND)))

    assert applied.by_key["user"].version == SECOND


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="nothing in it"),
        pytest.param("yes", id="no JSON"),
        pytest.param("[]", id="a list"),
        pytest.param("{}", id="an empty object"),
        pytest.param('{"spec":"a"}', id="no entries"),
        pytest.param('{"spec":"a","entries":1}', id="a number of entries"),
        pytest.param('{"spec":"a","entries":[1]}', id="an entry that is a number"),
        pytest.param('{"spec":"a","entries":["key"]}', id="an entry that is a text"),
        pytest.param('{"spec":"a","entries":[{"key":"a"}]}', id="an entry without a version"),
        pytest.param("[" * 100_000, id="lists nested without end"),
        pytest.param('{"spec":' + "[" * 5000 + "]" * 5000 + ',"entries":[]}', id="a spec nested too deep"),
        pytest.param("1" * 5000, id="a number without end"),
    ],
)
def test_a_spoiled_annotation_is_none(text: str | None) -> None:
    assert from_annotation(text) is None


@pytest.mark.parametrize("field", ["updated", "expires", "readAt"])
@pytest.mark.parametrize("moment", ['"soon"', "1e300", "-1e300", "NaN", "Infinity", "[]", "{}", "99999999999999"])
def test_a_date_that_is_none_spoils_the_annotation(field: str, moment: str) -> None:
    document = json.loads(to_annotation(a_vault_secret(), [a_state()]))
    document["entries"][0][field] = "HERE"

    assert from_annotation(json.dumps(document).replace('"HERE"', moment)) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ENTRY_NAMES = ("key", "secretName", "version", "updated", "expires", "readAt")


@given(
    document=JSON
    | st.fixed_dictionaries(
        {"spec": JSON, "entries": JSON | st.lists(st.fixed_dictionaries(dict.fromkeys(ENTRY_NAMES, JSON)), max_size=2)}
    )
)
def test_any_json_is_an_annotation_of_ours_or_none(document: object) -> None:
    applied = from_annotation(json.dumps(document))

    assert applied is None or all(entry.read_at.tzinfo is UTC for entry in applied.entries)


@given(text=st.text())
def test_any_text_is_an_annotation_of_ours_or_none(text: str) -> None:
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
        pytest.param(a_vault_secret(target={"name": "other"}), id="another name"),
        pytest.param(a_vault_secret(target={"type": "example.com/x"}), id="another type"),
        pytest.param(a_vault_secret(target={"labels": {"team": "shop"}}), id="a label"),
        pytest.param(a_vault_secret(target={"annotations": {"note": "x"}}), id="an annotation"),
        pytest.param(a_vault_secret(on_delete=OnDelete.RETAIN), id="another fate"),
        pytest.param(a_vault_secret(metadata={"uid": "another"}), id="another VaultSecret of that name"),
    ],
)
def test_specs_that_make_different_targets_are_told_apart(other: VaultSecret) -> None:
    assert fingerprint(other) != fingerprint(a_vault_secret())


@pytest.mark.parametrize(
    "same",
    [
        pytest.param(a_vault_secret(), id="nothing changed"),
        pytest.param(a_vault_secret(refresh_interval=timedelta(hours=1)), id="another interval"),
        pytest.param(a_vault_secret(suspend=True), id="suspended"),
        pytest.param(a_vault_secret(metadata={"generation": 5, "labels": {"a": "b"}}), id="another generation"),
        pytest.param(a_vault_secret(target={"labels": {}}), id="a default that was written out"),
    ],
)
def test_how_and_whether_we_look_makes_no_other_target(same: VaultSecret) -> None:
    assert fingerprint(same) == fingerprint(a_vault_secret())
