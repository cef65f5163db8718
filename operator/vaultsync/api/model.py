"""What all models of the API have in common: how they read, what they ignore, how they tell what is wrong."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel


class InvalidSpec(Exception):
    """An object breaks the API's rules; the text names the fields and the rules, and shows nothing that they hold."""


class Model(BaseModel):
    """A frozen part of an object: snake_case here, camelCase in manifests, attribute docstrings as descriptions."""

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
        """Read it as the API server gives it; fields that we don't know are ignored.

        Raises:
            InvalidSpec: It breaks a rule, since an older or newer CRD has let it through.
        """
        try:
            return cls.model_validate(body, by_alias=True, by_name=False)
        except ValidationError as error:
            problems = [f"{_path(problem['loc'])}: {problem['msg']}" for problem in error.errors()]
        # Not inside the handler: pydantic's error would come along as context, and it knows what the fields hold.
        raise InvalidSpec("; ".join(problems))


def _path(place: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")
