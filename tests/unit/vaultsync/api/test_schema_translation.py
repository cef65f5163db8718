"""The translation of pydantic's JSON Schema to structural schemas, and its errors."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from vaultsync.api.schema import NotStructural, Translation


class Crate(BaseModel):
    """A crate of bottles."""

    size: int = 6
    owner: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)


class Cellar(BaseModel):
    crate: Crate = Crate()
    """Ignored: attribute docstrings are used only if the model enables them."""
    crates: tuple[Crate, ...] = ()
    spare: Annotated[Crate | None, Field(description="In\n    case.")] = None


def translated(model: type[BaseModel], *, defaults: bool = True) -> dict[str, Any]:
    schema = model.model_json_schema(mode="serialization")
    definitions = schema.pop("$defs", {})
    return Translation(definitions).node(schema, "cellar", defaults=defaults)


def test_references_are_resolved() -> None:
    assert translated(Cellar)["properties"]["crates"]["items"]["description"] == "A crate of bottles."


def test_a_nullable_field_is_optional() -> None:
    owner = translated(Crate)["properties"]["owner"]

    assert owner == {"type": "string"}
    assert "required" not in translated(Crate)


def test_a_description_next_to_a_reference_wins_and_its_lines_are_joined() -> None:
    assert translated(Cellar)["properties"]["spare"]["description"] == "In case."


def test_an_objects_default_is_empty_so_that_its_fields_defaults_act() -> None:
    crate = translated(Cellar)["properties"]["crate"]

    assert crate["default"] == {}
    assert crate["properties"]["size"]["default"] == 6


def test_there_are_no_defaults_inside_lists() -> None:
    crates = translated(Cellar)["properties"]["crates"]

    assert "default" not in crates
    assert crates["items"]["properties"]["size"] == {"type": "integer"}


def test_defaults_can_be_disabled() -> None:
    assert "default" not in str(translated(Cellar, defaults=False))


class Several(BaseModel):
    value: int | str


class Unbounded(BaseModel):
    value: Any


class Patterned(BaseModel):
    value: Annotated[str, Field(pattern="^a$")]


class Fixed(BaseModel):
    value: Literal["only"]


class OtherDefault(BaseModel):
    crate: Crate = Crate(size=12)


class Closed(BaseModel, extra="forbid"):
    value: str


class ListingPage(BaseModel):
    sizes: tuple[int, ...] = (6, 12)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Several, "cellar.value: a value cannot be of several types"),
        (Unbounded, "cellar.value: every value must have one type"),
        (Patterned, "cellar.value: no translation for pattern"),
        (Fixed, "cellar.value: no translation for const"),
        (Closed, "cellar: unknown fields are dropped, they cannot be kept or rejected"),
        (ListingPage, "cellar.sizes: only scalars, objects and lists of texts can have defaults"),
        (OtherDefault, "cellar.crate: its default differs from the defaults of its fields"),
    ],
)
def test_an_unsupported_schema_is_an_error(model: type[BaseModel], message: str) -> None:
    with pytest.raises(NotStructural, match=message):
        translated(model)
