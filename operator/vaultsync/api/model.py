"""The base of all API models: names, unknown fields, and errors without a field's value; has no fields itself."""

from collections.abc import Mapping
from typing import Any, Final, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic.alias_generators import to_camel

MAX_PROBLEMS: Final = 20
"""Problems named in an error: without rules in the CRD, an object can have thousands."""

MAX_PATH: Final = 200
"""Characters of a field's path in an error: keys of maps are chosen by users."""

_FIELD_NAMES: Final[dict[frozenset[str], set[str]]] = {}
"""Which fields of an object were set; at most one set for each combination that the schema allows."""


class InvalidSpec(Exception):
    """An object violates the API's rules; the text names fields and rules, never their values."""


class Model(BaseModel):
    """A frozen model: snake_case in Python, camelCase in manifests, attribute docstrings as descriptions."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    def model_post_init(self, _: object) -> None:
        """Share the names of the fields that were set: a set for each object takes half of its memory.

        pydantic changes it only in a copy of the object, which has a copy of the set.
        """
        names = self.__pydantic_fields_set__
        object.__setattr__(self, "__pydantic_fields_set__", _FIELD_NAMES.setdefault(frozenset(names), names))

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        """Return the model for an object from the API server; unknown fields are ignored.

        Raises:
            InvalidSpec: The object violates a rule. An older or newer CRD has admitted it.
        """
        try:
            return cls.model_validate(body, by_alias=True, by_name=False)
        except ValidationError as error:
            problems = [f"{_path(problem['loc'])}: {problem['msg']}" for problem in error.errors(include_input=False)]
        # Outside the handler: otherwise pydantic's error, which has the values, would be the context of this one.
        more = [f"and {len(problems) - MAX_PROBLEMS} more"] if len(problems) > MAX_PROBLEMS else []
        raise InvalidSpec("; ".join(problems[:MAX_PROBLEMS] + more))

    def changed(self, **fields: object) -> Self:
        """Return a copy with other fields, which are validated: it equals what is parsed from its own `to_wire`."""
        return type(self)(**{**dict(self), **fields})

    def to_wire(self) -> dict[str, Any]:
        """Return the model as JSON for the API server: camelCase, times as text, without None and empty lists."""
        document = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {name: part for name, part in document.items() if part != []}


_Status = TypeVar("_Status", bound=Model)


def or_empty(status_type: type[_Status]) -> WrapValidator:
    """Return the validator of a status: only vaultsync writes it, so an invalid one counts as empty."""

    def read(value: object, validate: ValidatorFunctionWrapHandler) -> _Status:
        try:
            status = validate(value)
        except ValidationError:
            return status_type()
        assert isinstance(status, status_type)
        return status

    return WrapValidator(read)


def _path(location: tuple[int | str, ...]) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")
    return path if len(path) <= MAX_PATH else f"{path[:MAX_PATH]}…"
