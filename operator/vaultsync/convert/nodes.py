"""The values of the input, each with its place; remembers which were read, so that no field can be forgotten."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from vaultsync.convert.findings import MAX_FINDINGS, Finding, Place, UnusableInput

_TRUE: Final = frozenset({"true", "True", "TRUE"})
_FALSE: Final = frozenset({"false", "False", "FALSE"})


@dataclass(slots=True)
class Findings:
    """What was found so far."""

    found: list[Finding] = field(default_factory=list)

    def add(self, finding: Finding) -> None:
        """Add a finding.

        Raises:
            UnusableInput: There are too many.
        """
        if len(self.found) >= MAX_FINDINGS:
            raise UnusableInput(f"{finding.place}: more than {MAX_FINDINGS} findings; convert fewer objects at a time")
        self.found.append(finding)


@dataclass(slots=True)
class Node:
    """A value of the input: a text, a list or an object.

    A number or a truth value is the text that it is written with. Its fields are marked as read by the methods that
    return them; `unread` has the others.
    """

    place: Place
    path: str
    findings: Findings
    content: "str | list[Node] | dict[str, Node]"
    line_of_text: Callable[[int], int]
    """The line of the file for a line of the text, counted from 0."""
    is_read: bool = False

    def fields(self) -> "dict[str, Node]":
        """Return the fields of an object; of anything else, none, with a finding."""
        self.is_read = True
        if isinstance(self.content, dict):
            return self.content
        self.report("this is not an object", "write it as its schema says")
        return {}

    def items(self) -> "list[Node]":
        """Return the items of a list; of anything else, none, with a finding."""
        self.is_read = True
        if isinstance(self.content, list):
            return self.content
        self.report("this is not a list", "write it as its schema says")
        return []

    def text(self) -> str:
        """Return the text; of anything else, nothing, with a finding."""
        self.is_read = True
        if isinstance(self.content, str):
            return self.content
        self.report("this is not a text", "write it as its schema says")
        return ""

    def child(self, name: str) -> "Node | None":
        """Return a field of an object, if it is there."""
        child = self.fields().get(name)
        if child is not None:
            child.is_read = True
        return child

    def text_of(self, name: str, default: str = "") -> str:
        """Return the text of a field."""
        child = self.child(name)
        return default if child is None else child.text()

    def flag_of(self, name: str) -> bool:
        """Return the truth value of a field, false by default."""
        child = self.child(name)
        text = "false" if child is None else child.text()
        if child is not None and text not in _TRUE | _FALSE | {""}:
            child.report("this is neither true nor false", "write it as its schema says")
        return text in _TRUE

    def items_of(self, name: str) -> "list[Node]":
        """Return the items of a list in a field."""
        child = self.child(name)
        return [] if child is None else child.items()

    def map_of(self, name: str) -> "dict[str, Node]":
        """Return the fields of an object in a field, all of which count as read."""
        child = self.child(name)
        members = {} if child is None else child.fields()
        for member in members.values():
            member.is_read = True
        return members

    def ignore(self, *names: str) -> None:
        """Leave fields out that mean nothing without their object, such as its status."""
        for name in names:
            child = self.child(name)
            if child is not None:
                child.mark()

    def report(self, reason: str, advice: str) -> None:
        """Add a finding about this value, with all that is in it."""
        self.mark()
        self.remark(reason, advice)

    def remark(self, reason: str, advice: str, line: int | None = None) -> None:
        """Add a finding about this value, whose fields are still to be read; it may be about a line of its text."""
        place = self.place if line is None else Place(self.place.file, self.line_of_text(line) + 1)
        self.findings.add(Finding(place, self.path, reason, advice))

    def mark(self) -> None:
        """Count this value and all that is in it as read."""
        self.is_read = True
        for child in self._children():
            child.mark()

    def unread(self) -> "Iterator[Node]":
        """Yield the values that were not read, without those within them."""
        if not self.is_read:
            yield self
            return
        for child in self._children():
            yield from child.unread()

    def _children(self) -> "list[Node]":
        match self.content:
            case dict():
                return list(self.content.values())
            case list():
                return self.content
            case _:
                return []
