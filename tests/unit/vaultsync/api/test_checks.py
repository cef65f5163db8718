"""Rules: enforced by pydantic and written to the schema."""

from typing import Annotated

import pytest
from pydantic import TypeAdapter, ValidationError

from vaultsync.api.checks import RULE, VALIDATIONS, Check, Pattern, matching

SHORT = Check("size(self) < 4", lambda text: len(text) < 4, "must be short")
LOWER = matching(Pattern("[a-z{}]*"), "must be in lower case, as in {this}")
WORD: TypeAdapter[str] = TypeAdapter(Annotated[str, SHORT, LOWER])


def test_a_valid_value_is_unchanged() -> None:
    assert WORD.validate_python("abc") == "abc"


@pytest.mark.parametrize(("text", "message"), [("abcd", SHORT.message), ("ABC", LOWER.message)])
def test_a_violated_rule_reports_its_message_only(text: str, message: str) -> None:
    with pytest.raises(ValidationError) as error:
        WORD.validate_python(text)

    assert [(each["type"], each["msg"]) for each in error.value.errors()] == [(RULE, message)]


def test_a_rule_is_evaluated_only_for_values_of_the_right_type() -> None:
    with pytest.raises(ValidationError) as error:
        WORD.validate_python(7)

    assert [each["type"] for each in error.value.errors()] == ["string_type"]


def test_the_schema_has_the_rules_in_the_order_of_the_annotations() -> None:
    assert WORD.json_schema() == {
        "type": "string",
        VALIDATIONS: [
            {"rule": "size(self) < 4", "message": "must be short"},
            {"rule": "self.matches(r'^([a-z{}]*)$')", "message": "must be in lower case, as in {this}"},
        ],
    }


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("[a-z]+", "abc\n"), ("[a-z]+", "1abc"), ("a|b", "ab"), (r"\d+", "٣")],
    ids=["a newline at the end", "the end alone", "one of two", "a digit of another script"],
)
def test_a_pattern_matches_the_whole_text_in_ascii(pattern: str, text: str) -> None:
    assert not Pattern(pattern)(text)


def test_a_pattern_of_alternatives_is_anchored_as_a_whole_in_cel() -> None:
    assert Pattern("a|b").cel("key") == "key.matches(r'^(a|b)$')"
