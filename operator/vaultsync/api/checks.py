"""Validation rules that exist twice, in CEL for the API server and in Python for pydantic, with one message for both.

The API server evaluates a rule only if types, lengths and enums are valid, and so does pydantic. Names no field.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_after_validator_function

RULE = "rule"
"""The type of the errors that pydantic reports for violated rules."""

VALIDATIONS = "x-kubernetes-validations"
"""https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules"""


@dataclass(frozen=True, slots=True)
class Check:
    """A rule for `Annotated`; `cel` and `is_valid` must agree on every value, `message` says what is valid."""

    cel: str
    is_valid: Callable[[Any], bool]
    message: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the value in Python after its type."""
        return no_info_after_validator_function(self._enforce, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the CEL rule to the field's schema."""
        rendered = handler(schema)
        rule = {"rule": self.cel, "message": self.message}
        return {**rendered, VALIDATIONS: [*rendered.get(VALIDATIONS, ()), rule]}

    def _enforce(self, value: Any) -> Any:  # noqa: ANN401  it returns whatever the field holds
        if not self.is_valid(value):
            raise rule_error(self.message)
        return value


def rule_error(message: str) -> PydanticCustomError:
    """Return the error for a validator to raise; pydantic reports its message unchanged, without the value."""
    return PydanticCustomError(RULE, "{message}", {"message": message})


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression with the same meaning in RE2 and Python: no look-around, no classes beyond ASCII."""

    text: str

    def __call__(self, value: str) -> bool:
        """Return whether the whole value matches."""
        return re.fullmatch(self.text, value, re.ASCII) is not None

    def cel(self, operand: str = "self") -> str:
        """Return the same test in CEL, as a raw string literal: the pattern must not contain a quote."""
        assert "'" not in self.text
        return f"{operand}.matches(r'^({self.text})$')"


def matching(pattern: Pattern, message: str) -> Check:
    """Return a check that requires the whole text to match."""
    return Check(pattern.cel(), pattern, message)
