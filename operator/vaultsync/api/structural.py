"""From pydantic's JSON Schema to a "structural" schema, the narrow OpenAPI dialect of CRDs; knows no model of ours.

A keyword that it does not know stops it, since the API server would drop it in silence or refuse the whole CRD.
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from vaultsync.api.checks import VALIDATIONS

_KEPT: Final = (
    "description",
    "type",
    "format",
    "default",
    "enum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    VALIDATIONS,
)
"""Keywords that both dialects understand alike, in the order in which they are written."""

_NESTED: Final = ("required", "properties", "items", "additionalProperties")
_DROPPED: Final = frozenset({"title", "readOnly"})
"""Keywords that tell neither users nor the API server anything."""

Schema = Mapping[str, Any]


class NotStructural(Exception):
    """A model says something that a CRD cannot say, or that this translation does not know."""


@dataclass(frozen=True, slots=True)
class Translation:
    """Translates the parts of one JSON Schema document; `definitions` are what its references point to."""

    definitions: Schema

    def node(self, schema: Schema, path: str, *, defaults: bool) -> dict[str, Any]:
        """Translate the schema at `path`, which is for error messages.

        Args:
            schema: The JSON Schema of one value.
            path: Where it stands, for errors.
            defaults: Whether the API server shall fill in what is left out. Never inside lists: tools that compare the
                cluster with a repository would see a difference for good.

        Raises:
            NotStructural: It cannot be said in a CRD.
        """
        schema, _ = self._resolved(schema, path)
        if unknown := schema.keys() - {*_KEPT, *_NESTED, *_DROPPED}:
            raise NotStructural(f"{path}: no translation for {', '.join(sorted(unknown))}")
        if not isinstance(schema.get("type"), str):
            raise NotStructural(f"{path}: every value must have one type")
        translated = {keyword: schema[keyword] for keyword in _KEPT if keyword in schema and keyword != "default"}
        if "description" in schema:
            translated["description"] = " ".join(schema["description"].split())
        translated |= self._children(schema, path, defaults=defaults)
        return translated | (_default(schema, translated, path) if defaults else {})

    def _children(self, schema: Schema, path: str, *, defaults: bool) -> dict[str, Any]:
        children: dict[str, Any] = {}
        properties = {
            name: self._resolved(child, f"{path}.{name}") for name, child in schema.get("properties", {}).items()
        }
        if required := [name for name in schema.get("required", ()) if not properties[name][1]]:
            children["required"] = required
        if properties:
            children["properties"] = {
                name: self.node(child, f"{path}.{name}", defaults=defaults) for name, (child, _) in properties.items()
            }
        if "items" in schema:
            children["items"] = self.node(schema["items"], f"{path}[]", defaults=False)
        if (others := schema.get("additionalProperties")) is not None:
            if not isinstance(others, Mapping):
                raise NotStructural(f"{path}: unknown fields are dropped, neither kept nor refused")
            children["additionalProperties"] = self.node(others, f"{path}{{}}", defaults=False)
        return children

    def _resolved(self, schema: Schema, path: str) -> tuple[Schema, bool]:
        """Replace a reference, and `X or null`, by what is meant; tell whether it may be null, that is left out."""
        nullable = False
        while True:
            if "$ref" in schema:
                meant = self.definitions[schema["$ref"].removeprefix("#/$defs/")]
            elif "anyOf" in schema:
                alternatives = [option for option in schema["anyOf"] if option != {"type": "null"}]
                if len(alternatives) != 1:
                    raise NotStructural(f"{path}: a value cannot be of several types")
                (meant,), nullable = alternatives, True
            else:
                return schema, nullable
            schema = {**meant, **{keyword: schema[keyword] for keyword in schema.keys() - {"$ref", "anyOf"}}}


def _default(schema: Schema, translated: Schema, path: str) -> dict[str, Any]:
    default = schema.get("default")
    match default:
        case None | []:
            return {}
        case dict():
            # An empty object, in which the defaults of its own fields act; they must amount to the same.
            filled = {name: child["default"] for name, child in translated["properties"].items() if "default" in child}
            if filled != {name: value for name, value in default.items() if value not in (None, {}, [])}:
                raise NotStructural(f"{path}: its default differs from the defaults of its fields")
            return {"default": {}}
        case str() | bool() | int() | float():
            return {"default": default}
        case _:
            raise NotStructural(f"{path}: only single values and objects have defaults")
