"""Parses YAML and JSON that anybody may have written: bounded in size, depth and number of values, without aliases.

Comments are kept by their lines; a comment in a text is none.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, MaxDepthExceededError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as YamlNode
from ruamel.yaml.tokens import CommentToken

from vaultsync.convert.findings import Place, UnusableInput
from vaultsync.convert.nodes import Findings, Node
from vaultsync.texts import one_line

MAX_BYTES: Final = 8 * 1024 * 1024
"""Of all files together."""

MAX_DEPTH: Final = 48
MAX_VALUES: Final = 400_000
MAX_OBJECTS: Final = 5_000

_TAG: Final = "tag:yaml.org,2002:"
_KNOWN_TAGS: Final = frozenset(f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq"))
_OBJECT: Final = re.compile(r"(items\[[0-9]+\])?")
"""The paths of objects: that of a document, and those of a list."""

_LINE_ENDS: Final = re.compile("[\r\x85\u2028\u2029]")
"""What ends a line, and so a comment, in YAML 1.1 only."""

_DATES: Final = f"{_TAG}timestamp"


@dataclass(slots=True)
class Comments:
    """The comments of a file by their lines."""

    before: dict[int, str] = field(default_factory=dict)
    """Those that have a line of their own."""
    behind: dict[int, str] = field(default_factory=dict)

    def claim_above(self, line: int) -> list[str]:
        """Take the comments in the lines directly above a line."""
        first = line
        while first - 1 in self.before:
            first -= 1
        return [self.before.pop(above) for above in range(first, line)]

    def claim_behind(self, line: int) -> str | None:
        """Take the comment behind what a line has."""
        return self.behind.pop(line, None)

    def claim_between(self, first: int, end: int) -> list[str]:
        """Take all comments that are left from a line up to another one."""
        lines = [line for line in range(first, end) if line in self.before or line in self.behind]
        return [self.before.pop(line, "") or self.behind.pop(line, "") for line in lines]


@dataclass(frozen=True, slots=True)
class Document:
    """A document of a file, and the lines that it has: from the end of the one before to its own."""

    root: Node
    first: int
    end: int


class _BoundedComposer(Composer):
    """Refuses aliases, by which a short text becomes a large document, and too many values."""

    def __init__(self, loader: Any = None) -> None:  # noqa: ANN401  ruamel.yaml has no types for it
        super().__init__(loader=loader)
        self.warn_double_anchors = False  # without aliases, anchors mean nothing
        self._values = 0

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401  the same
        if self.parser.check_event(AliasEvent):
            mark = self.parser.peek_event().start_mark
            raise MarkedYAMLError(problem="aliases are not read; write out what they stand for", problem_mark=mark)
        self._values += 1
        if self._values > MAX_VALUES:
            mark = self.parser.peek_event().start_mark
            raise MarkedYAMLError(problem=f"more than {MAX_VALUES} values", problem_mark=mark)
        return super().compose_node(parent, index)


class Reader:
    """Reads the files of one run, and the YAML within their texts."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._comments: dict[str, Comments] = {}
        self._left = MAX_BYTES

    def comments(self, file: str) -> Comments:
        """Return the comments of a file that nothing has claimed yet."""
        return self._comments.setdefault(file, Comments())

    def documents(self, file: str, text: str) -> list[Document]:
        """Return the documents of a file.

        Raises:
            UnusableInput: It is not YAML, or too large.
        """
        self._left -= len(text.encode(errors="replace"))
        if self._left < 0:
            raise UnusableInput(f"{file}: more than {MAX_BYTES} bytes; convert fewer objects at a time")
        composed = [node for node in self._compose(file, text, int) if not _is_null(node)]
        roots = [self._node(one, file, "", int) for one in composed]
        firsts = [0, *(one.end_mark.line + 1 for one in composed)][: len(composed)]
        ends = [*firsts[1:], text.count("\n") + 2][: len(composed)]
        return [Document(root, first, end) for root, first, end in zip(roots, firsts, ends, strict=True)]

    def within(self, outer: Node) -> Node | None:
        """Return the value of a text that is YAML itself; if it is not, None, with a finding."""
        try:
            composed = list(self._compose(outer.place.file, outer.text(), outer.line_of_text))
        except UnusableInput as error:
            outer.report(f"this is not YAML ({error})", "correct it")
            return None
        if len(composed) != 1 or _is_null(composed[0]):
            outer.report("this is not one document in YAML", "correct it")
            return None
        return self._node(composed[0], outer.place.file, outer.path, outer.line_of_text)

    def _compose(self, file: str, text: str, line_of: Callable[[int], int]) -> Iterator[YamlNode]:
        yaml = YAML(typ="rt", pure=True)
        yaml.Composer = _BoundedComposer
        yaml.max_depth = MAX_DEPTH
        composed, problem = [], ""
        try:
            composed = list(itertools.islice(yaml.compose_all(text), MAX_OBJECTS + 1))
        except MaxDepthExceededError as error:
            problem = _problem(file, error, line_of, f"nested deeper than {MAX_DEPTH} levels")
        except MarkedYAMLError as error:
            problem = _problem(file, error, line_of, f"not valid YAML: {error.problem or error.context}")
        except (YAMLError, ValueError, RecursionError) as error:
            problem = f"{file}: not valid YAML: {one_line(str(error))}"
        if problem:
            raise UnusableInput(problem)
        if len(composed) > MAX_OBJECTS:
            raise UnusableInput(f"{file}: more than {MAX_OBJECTS} documents; convert fewer at a time")
        lines = text.split("\n")
        for node in composed:
            self._keep_comments(node, file, lines, line_of)
        yield from composed

    def _keep_comments(self, node: YamlNode, file: str, lines: list[str], line_of: Callable[[int], int]) -> None:
        comments = self.comments(file)
        for token in _comment_tokens(node):
            for number, line in enumerate(token.value.split("\n"), start=token.start_mark.line):
                if (comment := _LINE_ENDS.sub(" ", line.strip())).startswith("#"):
                    # Some tokens say that they begin a line later than they do.
                    number -= not (number < len(lines) and line.strip() in lines[number])  # noqa: PLW2901
                    alone = lines[number].lstrip().startswith("#")
                    (comments.before if alone else comments.behind)[line_of(number) + 1] = comment.removeprefix("#")

    def _node(self, node: YamlNode, file: str, path: str, line_of: Callable[[int], int]) -> Node:
        place = Place(file, line_of(node.start_mark.line) + 1)
        path = _object_name(node) or path if _OBJECT.fullmatch(path) else path
        tag = str(node.tag)
        if tag not in _KNOWN_TAGS and tag != _DATES:
            raise UnusableInput(f"{place}: the tag {one_line(tag)} is not read; write the value without it")

        def line_of_text(line: int) -> int:
            is_literal = isinstance(node, ScalarNode) and node.style == "|"
            return line_of(node.start_mark.line + 1 + line if is_literal else node.start_mark.line)

        content: str | list[Node] | dict[str, Node]
        match node:
            case MappingNode():
                content = self._fields(node, file, path, line_of)
            case SequenceNode():
                content = [self._node(item, file, f"{path}[{index}]", line_of) for index, item in enumerate(node.value)]
            case _:
                content = node.value
        return Node(place, path, self._findings, content, line_of_text)

    def _fields(self, node: MappingNode, file: str, path: str, line_of: Callable[[int], int]) -> dict[str, Node]:
        fields: dict[str, Node] = {}
        for key, value in node.value:
            place = Place(file, line_of(key.start_mark.line) + 1)
            if not isinstance(key, ScalarNode):
                raise UnusableInput(f"{place}: the name of a field is not a text")
            name = str(key.value)
            if name in fields:
                raise UnusableInput(f"{place}: the field {one_line(name)} is there twice")
            if not _is_null(value):
                fields[name] = self._node(value, file, _joined(path, name), line_of)
                # Comments and messages are about the line of the name.
                fields[name].place = place
        return fields


def _object_name(node: YamlNode) -> str:
    """Return the name of an object as kubectl has it, such as ExternalSecret/login."""
    kind, metadata = _field(node, "kind"), _field(node, "metadata")
    name = None if metadata is None else _field(metadata, "name")
    texts = [str(part.value) for part in (kind, name) if isinstance(part, ScalarNode)]
    return "/".join(texts) if len(texts) == 2 else ""  # noqa: PLR2004  both of them


def _field(node: YamlNode, name: str) -> YamlNode | None:
    fields = node.value if isinstance(node, MappingNode) else ()
    return next((value for key, value in fields if key.value == name), None)


def _joined(path: str, name: str) -> str:
    """Return the path of a field: ExternalSecret/login spec.data."""
    return f"{path}{' ' if '/' in path and ' ' not in path else '.'}{name}" if path else name


def _is_null(node: YamlNode) -> bool:
    return str(node.tag) == f"{_TAG}null"


def _comment_tokens(node: YamlNode) -> Iterator[CommentToken]:
    yield from _flat(node.comment)
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield from _comment_tokens(key)
            yield from _comment_tokens(value)
    elif isinstance(node, SequenceNode):
        for item in node.value:
            yield from _comment_tokens(item)


def _flat(comments: Any) -> Iterator[CommentToken]:  # noqa: ANN401  ruamel.yaml nests them in lists of lists
    if isinstance(comments, list):
        for part in comments:
            yield from _flat(part)
    elif isinstance(comments, CommentToken):
        yield comments


def _problem(file: str, error: MarkedYAMLError, line_of: Callable[[int], int], what: str) -> str:
    mark = error.problem_mark or error.context_mark
    place = Place(file, line_of(mark.line) + 1) if mark is not None else file
    return f"{place}: {one_line(what)}"
