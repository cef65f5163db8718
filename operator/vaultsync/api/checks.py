"""A rule with two faces: CEL, so that `kubectl apply` refuses, and Python for ourselves; one sentence for both.

The API server runs a rule only where types, lengths and enums hold, and so does pydantic. Knows no field by name.
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
"""The type of the errors that pydantic reports for broken rules."""

VALIDATIONS = "x-kubernetes-validations"
"""https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules"""


@dataclass(frozen=True, slots=True)
class Check:
    """Put it into a field's `Annotated`: `cel` and `holds` must agree about every value; `message` says what to do."""

    cel: str
    tripped: Callable[[Any], bool]
    message: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Run the Python face after the type has been checked."""
        return no_info_after_validator_function(self._enforce, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the CEL face to the field's schema."""
        rendered = handler(schema)
        rule = {"rule": self.cel, "message": self.message}
        return {**rendered, VALIDATIONS: [*rendered.get(VALIDATIONS, ()), rule]}

    def _enforce(self, value: Any) -> Any:  # noqa: ANN401  it hands on whatever the field holds
        if not self.tripped(value):
            raise refusal(self.message)
        return value


def refusal(message: str) -> PydanticCustomError:
    """Make the error that a validator raises, so that pydantic reports the sentence and nothing else."""
    return PydanticCustomError(RULE, "{message}", {"message": message})


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression that RE2 and Python read alike: no look-around, no classes beyond ASCII."""

    text: str

    def __call__(self, value: str) -> bool:
        """Tell whether the whole value matches."""
        return re.fullmatch(self.text, value, re.ASCII) is not None

    def cel(self, operand: str = "self") -> str:
        """Write the same question in CEL; the pattern stands there without escapes."""
        assert "'" not in self.text
        return f"{operand}.matches(r'^({self.text})$')"


def matching(pattern: Pattern, message: str) -> Check:
    """Demand a text that matches."""
    return Check(pattern.cel(), pattern, message)
