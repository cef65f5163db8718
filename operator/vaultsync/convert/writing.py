"""Prints documents as YAML that every version of it reads alike, with comments."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString
from yaml.nodes import ScalarNode
from yaml.resolver import Resolver

from vaultsync.convert.drafts import At
from vaultsync.convert.reading import Reader

_INDENT: Final = 2
_RESOLVER: Final = Resolver()
"""Resolves scalars by YAML 1.1."""

_GO_ONLY: Final = re.compile(r"[yYnN]|[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
"""What the library of kubectl resolves, and that of YAML 1.1 here does not: `y` is true, and `.5e3` a number.

https://github.com/yaml/go-yaml/blob/v2/resolve.go
"""

_WIDE: Final = 1 << 20
"""No text is broken into lines."""


class Writer:
    """Prints documents, with the comments of what they come from."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._yaml = YAML(typ="rt", pure=True)
        self._yaml.width = _WIDE
        self._yaml.indent(mapping=_INDENT, sequence=_INDENT + 2, offset=_INDENT)

    def build(self, document: Mapping[str, Any]) -> CommentedMap:
        """Return a document with the comments of its parts, each of which is used once."""
        return self._map(document, 0)

    def print(self, built: CommentedMap, head: Sequence[str]) -> str:
        """Return the text of a document, with lines of comments above it."""
        stream = io.StringIO()
        self._yaml.dump(built, stream)
        return "".join(f"#{line}\n" for line in head) + stream.getvalue()

    def _map(self, fields: Mapping[str, Any], depth: int) -> CommentedMap:
        built = CommentedMap()
        for name, value in fields.items():
            inner = value.value if isinstance(value, At) else value
            built[_text(name)] = self._value(inner, depth + _INDENT)
            if isinstance(value, At):
                self._comment(built, _text(name), value, depth)
        return built

    def _list(self, items: Sequence[Any], depth: int) -> CommentedSeq:
        built = CommentedSeq()
        for index, item in enumerate(items):
            above = self._above(item)
            # What is behind an item is behind its first field.
            built.append(self._value(item.value if isinstance(item, At) else item, depth + _INDENT))
            if above:
                built.yaml_set_comment_before_after_key(index, before=_lines(above), indent=depth)
        return built

    def _value(self, value: Any, depth: int) -> Any:  # noqa: ANN401  a tree of values
        match value:
            case At():
                return self._value(value.value, depth)
            case Mapping():
                return self._map(value, depth)
            case str():
                return _text(value)
            case Sequence():
                return self._list(value, depth)
            case _:
                return value

    def _comment(self, built: CommentedMap, name: str, value: At, depth: int) -> None:
        above, behind = self._above(value), self._reader.comments(value.place.file).claim_behind(value.place.line)
        if behind is not None and (not isinstance(built[name], str) or isinstance(built[name], LiteralScalarString)):
            above, behind = [*above, behind], None
        if above:
            built.yaml_set_comment_before_after_key(name, before=_lines(above), indent=depth)
        if behind is not None:
            text = built[name] if isinstance(built[name], str) else ""
            built.yaml_add_eol_comment(behind.strip() or "#", name, column=depth + len(f"{name}: {text}  "))

    def _above(self, value: object) -> list[str]:
        return self._reader.comments(value.place.file).claim_above(value.place.line) if isinstance(value, At) else []


def _lines(comments: Sequence[str]) -> str:
    return "\n".join(comment.strip() for comment in comments)


def _text(text: str) -> str:
    """Return a text that is one in YAML 1.1, too, which kubectl reads: there, `yes` and `1:30` are none."""
    if "\n" in text.strip("\n") and _is_literal(text):
        literal: str = LiteralScalarString(text)
        return literal
    tag = _RESOLVER.resolve(ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    is_text = tag == _RESOLVER.DEFAULT_SCALAR_TAG and not _GO_ONLY.fullmatch(text)
    return text if is_text and text.isprintable() else DoubleQuotedScalarString(text)


def _is_literal(text: str) -> bool:
    return all(line.isprintable() and line == line.rstrip() for line in text.split("\n")) and not text.startswith(" ")
