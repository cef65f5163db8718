"""A rule's two faces: what pydantic enforces and what the schema carries."""

from typing import Annotated

import pytest
from pydantic import TypeAdapter, ValidationError

from vaultsync.api.checks import RULE, VALIDATIONS, Check, Pattern, matching

SHORT = Check("size(self) < 4", lambda text: len(text) < 4, "must be short")
LOWER = matching(Pattern("[a-z{}]*"), "must be in lower case, as in {this}")
WORD: TypeAdapter[str] = TypeAdapter(Annotated[str, SHORT, LOWER])


def test_a_value_that_holds_passes_unchanged() -> None:
    assert WORD.validate_python("abc") == "abc"


@pytest.mark.parametrize(("text", "told"), [("abcd", SHORT.message), ("ABC", LOWER.message)])
def test_a_broken_rule_is_told_in_its_own_sentence_and_nothing_else(text: str, told: str) -> None:
    with pytest.raises(ValidationError) as refused:
        WORD.validate_python(text)

    assert [(error["type"], error["msg"]) for error in refused.value.errors()] == [(RULE, told)]


def test_a_rule_is_asked_only_of_values_of_the_right_type() -> None:
    with pytest.raises(ValidationError) as refused:
        WORD.validate_python(7)

    assert [error["type"] for error in refused.value.errors()] == ["string_type"]


def test_the_schema_carries_the_rules_in_the_order_of_the_annotations() -> None:
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
def test_a_pattern_means_the_whole_text_in_ascii(pattern: str, text: str) -> None:
    assert not Pattern(pattern)(text)


def test_a_pattern_of_alternatives_is_anchored_as_a_whole_in_cel() -> None:
    assert Pattern("a|b").cel("key") == "key.matches(r'^(a|b)$')"
