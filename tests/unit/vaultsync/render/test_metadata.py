"""Labels and annotations from the vault: what their templates see, that Kubernetes accepts them, and their bounds."""

import re
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsecrets import SecretValue
from tests.builders import FIRST, READ_AT, SECOND, Tweak, a_reading, a_state, a_vault_secret, an_entry
from tests.unit.vaultsync.render.attempts import MARK
from vaultsync.errors import Reason, SyncError
from vaultsync.render.manifest import render_secret
from vaultsync.render.metadata import (
    MAX_ANNOTATION,
    RenderedMetadata,
    label_value,
    render_metadata,
)
from vaultsync.state.secrets import CarriedReading, SecretRef, SecretState
from vaultsync.state.vaults import VaultView

STATES: Final = (
    a_state(expires=READ_AT, tags={"owner": "Team Payments", "ops.mail": "ops@example.com"}),
    a_state("token", source="API-Token", version=None, updated=None),
)


def annotation(source: str, *states: SecretState, **spec: Tweak) -> str:
    """The text of one annotation."""
    vault_secret = a_vault_secret(target={"metadata_from": {"annotations": {"note": source}}}, **spec)
    return render_metadata(vault_secret, states or STATES).annotations["note"]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ secrets.db-password.tags.owner }}", "Team Payments"),
        ('{{ secrets["DB-Password"].tags["ops.mail"] }}', "ops@example.com"),
        ("{{ secrets.db-password.name }} {{ secrets.db-password.version }}", f"db-password {FIRST}"),
        ("{{ secrets.db-password.updated }}", "2026-03-01T12:00:00Z"),
        ("{{ secrets.db-password.expires | date: '%d.%m.%Y' }}", "01.03.2026"),
        ("[{{ secrets.api-token.version }}{{ secrets.api-token.expires }}{{ secrets.api-token.tags.owner }}]", "[]"),
        ("{{ secrets.api-token.tags.owner | default: 'nobody' }}", "nobody"),
        ("{{ vault.name }} {{ vault.url }}", "shop https://shop.vault.azure.net"),
        ("{{ vaultsecret.namespace }}/{{ vaultsecret.name }}", "shop/db"),
        ("{% for one in secrets %}{{ one[1].name }};{% endfor %}", "api-token;db-password;"),
        ("{% if secrets.db-password.tags.owner contains 'Pay' %}yes{% endif %}", "yes"),
        ("fixed", "fixed"),
        ("{{ secrets.db-password.tags.none }}", ""),
    ],
)
def test_a_template_sees(source: str, text: str) -> None:
    assert sorted(annotation(source).lower()) == sorted(text.lower())


@pytest.mark.parametrize(
    "name", ["password", "entries", "data", "value", "secrets.db-password.value", "secrets.other.tags.owner", "now"]
)
def test_a_template_sees_no_value_and_no_other_name(name: str) -> None:
    with pytest.raises(SyncError) as raised:
        annotation(f"{{{{ {name} }}}}")

    assert raised.value.reason is Reason.TEMPLATE_INVALID
    assert raised.value.message.startswith("Template of annotation note, line 1, column 4: there is no such name; ")


@pytest.mark.parametrize(
    "source",
    [
        '{% assign parts = secrets.db-password.tags.owner | split: "," %}{{ parts[1] }}',
        "{% for tag in secrets.db-password.tags %}{{ tag[2] }}{% endfor %}",
        "{{ secrets[secrets.db-password.tags.owner].tags.owner }}",
        "{% if secrets.db-password.tags.owner == 'x' %}{% assign team = 'x' %}{% endif %}{{ team }}",
    ],
    ids=["fewer parts", "fewer items", "the name of another secret", "a branch that is not taken"],
)
def test_a_name_that_is_missing_for_what_a_tag_holds_leaves_the_text_empty(source: str) -> None:
    vault_secret = a_vault_secret(target={"metadata_from": {"annotations": {"note": source}}})

    made = render_metadata(vault_secret, STATES)

    assert made.annotations == {"note": ""}
    assert "the text is left empty" in made.notes[0]


def test_a_secret_that_a_search_may_find_may_be_missing() -> None:
    search = {"find": {"names": "web-*"}}

    assert annotation("[{{ secrets.web-token.tags.owner }}]", data_from=(search,)) == "[]"


def test_the_newest_version_is_meant() -> None:
    pinned = a_state(ref=SecretRef("db-password", SECOND), version=SECOND, tags={"owner": "pinned"})
    previous = a_state(ref=SecretRef("db-password", previous=True), version=SECOND, tags={"owner": "previous"})
    source = "{{ secrets.db-password.tags.owner }}"

    assert annotation(source, pinned, STATES[0], previous) == "Team Payments"
    assert annotation(source, STATES[0], previous, pinned) == "Team Payments"
    assert annotation(source, pinned) == "pinned"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("payments", "payments"),
        ("Team Payments", "Team-Payments"),
        (" ops@example.com\n", "ops-example.com"),
        ("..--a__", "a"),
        ("é", ""),
        ("", ""),
        ("a" * 63 + "b", "a" * 63),
        ("a" * 62 + "--b", "a" * 62),
    ],
)
def test_a_text_becomes_the_value_of_a_label(text: str, value: str) -> None:
    assert label_value(text) == value


@given(text=st.text() | st.text("aZ9-_. /", max_size=200))
def test_the_api_server_accepts_each_value_of_a_label(text: str) -> None:
    assert re.fullmatch(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", label_value(text))


@given(tag=st.text())
def test_an_annotation_is_one_bounded_line(tag: str) -> None:
    text = annotation("{{ secrets.db-password.tags.owner }}", a_state(tags={"owner": tag * 50}))

    assert len(text.encode()) <= MAX_ANNOTATION
    assert text.isprintable()


def test_a_fingerprint_is_that_of_all_texts() -> None:
    texts = [
        RenderedMetadata({}, {}),
        RenderedMetadata({"a": "b"}, {}),
        RenderedMetadata({}, {"a": "b"}),
        RenderedMetadata({"a": "c"}, {}),
    ]

    assert texts[0].fingerprint is None
    assert len({one.fingerprint for one in texts}) == len(texts)
    assert render_metadata(a_vault_secret(), STATES) == texts[0]


def test_labels_and_annotations_share_a_limit_of_their_own() -> None:
    templates = {f"a{number}": "x" * 1024 for number in range(9)}

    with pytest.raises(
        SyncError, match=r"templates of target\.metadataFrom have 9216 characters; all of them together may have 8192"
    ):
        render_metadata(a_vault_secret(target={"metadata_from": {"labels": templates}}), STATES)


def test_a_costly_template_ends_at_its_budget() -> None:
    states = [
        replace(a_state(source=f"s{number}"), tags={f"t{tag}": "x" * 256 for tag in range(15)}) for number in range(256)
    ]
    source = "{% for a in secrets %}{% for b in secrets %}{% for c in b[1].tags %}{{ c[1] }}" + "{% endfor %}" * 3
    vault_secret = a_vault_secret(an_entry(), target={"metadata_from": {"labels": {"a": source}}})

    rendered = render_metadata(vault_secret, states)

    assert rendered.labels == {"a": ""}
    assert "more work than all templates" in rendered.notes[0]


@pytest.mark.parametrize("source", ["{{ secrets.db-password.tags.days | plus: 1 }}", "{{ secrets.db-password.tags }}"])
def test_a_template_that_fails_for_what_a_tag_holds_gives_an_empty_text_and_says_why(source: str) -> None:
    templates = {"labels": {"days": source}, "annotations": {"vault": "{{ vault.name }}"}}
    vault_secret = a_vault_secret(target={"metadata_from": templates})

    rendered = render_metadata(vault_secret, [a_state(tags={"days": MARK})])

    assert (rendered.labels, rendered.annotations) == ({"days": ""}, {"vault": "shop"})
    assert len(rendered.notes) == 1
    assert rendered.notes[0].startswith("Template of label days, line 1, column ")
    assert rendered.notes[0].endswith("; the text is left empty.")
    assert MARK not in rendered.notes[0]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("{{ vault.nam }}", "there is no such name"),
        ("{{ vault.name | nope }}", "there is no filter nope"),
        ("{{", "expected"),
    ],
)
def test_a_template_that_is_wrong_by_itself_is_invalid(source: str, problem: str) -> None:
    with pytest.raises(SyncError, match=problem) as raised:
        annotation(source)

    assert raised.value.reason is Reason.TEMPLATE_INVALID


def test_labels_of_a_lost_secret_stay_while_its_keys_are_carried_over() -> None:
    state = a_state(tags={"owner": "shop"})
    carried = CarriedReading(state, {"password": SecretValue("czNjcmV0")})
    source = "{{ secrets.db-password.tags.owner }}"
    vault_secret = a_vault_secret(target={"metadata_from": {"labels": {"owner": source}}})

    first = render_secret(vault_secret, {SecretRef("db-password"): a_reading(tags=state.tags)}, VaultView())
    later = render_secret(vault_secret, {SecretRef("db-password"): carried}, VaultView())

    assert first.manifest == later.manifest
    assert first.manifest["metadata"]["labels"]["owner"] == "shop"
