"""What a caller may send to set or update a secret."""

import pytest

from kvsecrets._fake import bodies
from kvsecrets._fake.refusals import VaultRefused
from kvsecrets._fake.rows import SecretVersion

WHOLE = SecretVersion(
    id="1", value="v", content_type="text", tags={"a": "b"}, enabled=True, not_before=1, expires=2, created=0, updated=0
)


def applied(**document: object) -> SecretVersion:
    return bodies.read_changes(document).applied_to(WHOLE)


def test_what_is_not_named_stays() -> None:
    assert applied() == WHOLE
    assert applied(attributes={}) == WHOLE


def test_what_is_named_changes() -> None:
    changed = applied(contentType="json", tags={"c": "d"}, attributes={"enabled": False, "nbf": 3, "exp": 4})

    assert (changed.content_type, changed.tags) == ("json", {"c": "d"})
    assert (changed.enabled, changed.not_before, changed.expires) == (False, 3, 4)


def test_what_is_null_or_empty_is_cleared() -> None:
    changed = applied(contentType=None, tags={}, attributes={"nbf": None, "exp": None})

    assert (changed.content_type, changed.tags, changed.not_before, changed.expires) == (None, None, None, None)


def test_a_null_leaves_enabled_as_it_is() -> None:
    assert applied(attributes={"enabled": None}).enabled


def test_a_date_beyond_32_bits_is_taken() -> None:
    assert applied(attributes={"exp": 32503680000}).expires == 32503680000


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"attributes": []}, id="attributes that are no object"),
        pytest.param({"attributes": {"enabled": "yes"}}, id="enabled that is no boolean"),
        pytest.param({"attributes": {"exp": "tomorrow"}}, id="a date that is no number"),
        pytest.param({"attributes": {"nbf": True}}, id="a date that is a boolean"),
        pytest.param({"attributes": {"exp": 1.5}}, id="a date with a fraction"),
        pytest.param({"contentType": "x" * 256}, id="a content type that is too long"),
        pytest.param({"contentType": 1}, id="a content type that is no text"),
        pytest.param({"tags": {str(number): "" for number in range(16)}}, id="too many tags"),
        pytest.param({"tags": {"a": "x" * 257}}, id="a tag that is too long"),
        pytest.param({"tags": {"x" * 257: "a"}}, id="a tag's name that is too long"),
        pytest.param({"tags": {"a": 1}}, id="a tag that is no text"),
        pytest.param({"tags": ["a"]}, id="tags that are no object"),
    ],
)
def test_what_breaks_a_rule_is_refused_without_saying_which(document: dict[str, object]) -> None:
    with pytest.raises(VaultRefused) as refused:
        bodies.read_changes(document)

    assert (refused.value.code, refused.value.message) == ("BadParameter", "Property  has invalid value\r\n")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"text"', b"\xff", b"[" * 100_000, b'{"value":"\\ud800"}'])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(VaultRefused, match="400 BadParameter"):
        bodies.read_object(body)


@pytest.mark.parametrize("document", [{}, {"value": None}, {"value": 1}])
def test_a_value_must_be_there_and_text(document: dict[str, object]) -> None:
    with pytest.raises(VaultRefused, match="400 BadParameter"):
        bodies.read_value(document)


def test_a_value_may_have_25600_characters_and_no_more() -> None:
    assert bodies.read_value({"value": "x" * 25600}) == "x" * 25600
    with pytest.raises(VaultRefused) as refused:
        bodies.read_value({"value": "x" * 25601})

    assert refused.value.inner == "SecretTooLarge"
