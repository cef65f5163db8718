"""What is written of a secret's properties: given, left as it is, or emptied."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from kvsecrets._changes import CLEAR, Changes
from kvsecrets.models import SecretId, SecretProperties

NEW_YEAR = datetime(2030, 1, 1, tzinfo=UTC)
SECONDS = 1_893_456_000
PROPERTIES = SecretProperties(id=SecretId("https://shop.vault.azure.net", "db"), content_type="text/plain")


def test_what_is_not_given_is_left_out() -> None:
    assert Changes().fields() == {}


def test_what_is_given_is_written_as_the_vault_has_it() -> None:
    changes = Changes(
        content_type="text/plain", tags={"a": "b"}, enabled=False, not_before=NEW_YEAR, expires_on=NEW_YEAR
    )

    assert changes.fields() == {
        "attributes": {"enabled": False, "nbf": SECONDS, "exp": SECONDS},
        "contentType": "text/plain",
        "tags": {"a": "b"},
    }


def test_what_is_cleared_is_written_as_nothing() -> None:
    changes = Changes(content_type=CLEAR, tags=CLEAR, not_before=CLEAR, expires_on=CLEAR)

    assert changes.fields() == {"attributes": {"nbf": None, "exp": None}, "contentType": None, "tags": {}}


def test_an_empty_text_is_given_and_not_left_out() -> None:
    assert Changes(content_type="", tags={}).fields() == {"contentType": "", "tags": {}}


def test_properties_as_a_whole_write_every_field_and_clear_those_that_are_empty() -> None:
    assert Changes.to(PROPERTIES).fields() == {
        "attributes": {"enabled": True, "nbf": None, "exp": None},
        "contentType": "text/plain",
        "tags": {},
    }


def test_properties_as_a_whole_write_what_was_replaced_in_them() -> None:
    wanted = replace(
        PROPERTIES, enabled=False, expires_on=NEW_YEAR, not_before=NEW_YEAR, content_type=None, tags={"a": "b"}
    )

    assert Changes.to(wanted).fields() == {
        "attributes": {"enabled": False, "nbf": SECONDS, "exp": SECONDS},
        "contentType": None,
        "tags": {"a": "b"},
    }


def test_a_broken_rule_is_found_before_anything_is_written() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Changes(expires_on=datetime(2030, 1, 1)).fields()  # noqa: DTZ001 - what is refused
