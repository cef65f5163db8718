"""Reads values.yaml together with its comments, and writes them as a table; knows no template."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class CommentedValue:
    """One documented value: its path such as `image.tag`, its comment, and its default."""

    path: str
    comment: str
    default: Any


def commented_values(text: str) -> list[CommentedValue]:
    """Every value with the comment above it, in the file's order.

    A mapping without a comment is a group, whose fields are listed. One with a comment is one value.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    return list(_values(root, text.splitlines(), ""))


def table(values: list[CommentedValue]) -> str:
    """The values as a Markdown table."""
    rows = [f"| `{value.path}` | {value.comment} | `{json.dumps(value.default)}` |" for value in values]
    return "\n".join(["| value | meaning | default |", "|---|---|---|", *rows])


def _values(node: yaml.MappingNode, lines: list[str], prefix: str) -> Iterator[CommentedValue]:
    for key, value in node.value:
        path, comment = f"{prefix}{key.value}", _comment_above(key.start_mark.line, lines)
        if isinstance(value, yaml.MappingNode) and value.value and not comment:
            yield from _values(value, lines, f"{path}.")
        else:
            yield CommentedValue(path, comment, _plain(value))


def _comment_above(line: int, lines: list[str]) -> str:
    first = line
    while first > 0 and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return " ".join(text.strip().removeprefix("#").strip() for text in lines[first:line])


def _plain(node: yaml.Node) -> Any:  # noqa: ANN401 - a default may be anything
    return yaml.safe_load(yaml.serialize(node))
