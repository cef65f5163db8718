"""The base of all API models: names, unknown fields, and errors without a field's value; has no fields itself."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic.alias_generators import to_camel

MAX_PROBLEMS: Final = 20
"""Problems named in an error: without rules in the CRD, an object can have thousands."""

MAX_PATH: Final = 200
"""Characters of a field's path in an error: keys of maps are chosen by users."""


MAX_POOLED: Final = 4096
"""Parts of models that are pooled; then they are forgotten, so that no object fills the memory."""

_Part = TypeVar("_Part")


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

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        """Return the model for an object from the API server; unknown fields are ignored.

        Raises:
            InvalidSpec: The object violates a rule. An older or newer CRD has admitted it.
        """
        try:
            return shared(cls.model_validate(body, by_alias=True, by_name=False))
        except ValidationError as error:
            problems = [f"{_path(problem['loc'])}: {problem['msg']}" for problem in error.errors(include_input=False)]
        # Outside the handler: otherwise pydantic's error, which has the values, would be the context of this one.
        more = [f"and {len(problems) - MAX_PROBLEMS} more"] if len(problems) > MAX_PROBLEMS else []
        raise InvalidSpec("; ".join(problems[:MAX_PROBLEMS] + more))

    def to_wire(self) -> dict[str, Any]:
        """Return the model as JSON for the API server: camelCase, times as text, without None and empty lists."""
        document = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {name: part for name, part in document.items() if part != []}


_AnyModel = TypeVar("_AnyModel", bound=Model)


class _Pool:
    """Parts that many models have in common: each is kept once."""

    def __init__(self) -> None:
        self._parts: dict[object, Any] = {}

    def one(self, key: object, part: _Part) -> _Part:
        """Return the part that was pooled first for that key."""
        if len(self._parts) >= MAX_POOLED:
            self._parts.clear()
        same: _Part = self._parts.setdefault(key, part)
        return same


_pool = _Pool()


def shared(model: _AnyModel) -> _AnyModel:
    """Return a model after its parts were replaced by equal ones that other models have already.

    All VaultSecrets are kept in memory. Of each, the sets of which fields were given take half: frozen models never
    change theirs. Most texts and times of a status are the same in many, or several times in one.
    """
    given = model.model_fields_set
    object.__setattr__(model, "__pydantic_fields_set__", _pool.one(frozenset(given), given))
    fields = vars(model)
    for name, part in fields.items():
        if isinstance(part, Model):
            shared(part)
        elif type(part) is tuple:
            for one in part:
                if isinstance(one, Model):
                    shared(one)
        elif type(part) is str or type(part) is datetime:
            fields[name] = _pool.one(part, part)
    return model


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
