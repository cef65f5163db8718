"""Paths into documents, and hints for paths that lead nowhere; knows no format."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from vaultsync.render.values.documents import Document

_INDEX: Final = re.compile("0|[1-9][0-9]{0,8}", re.ASCII)
_BRACKETS: Final = re.compile(r"""\[(?:'([^'\]]*)'|"([^"\]]*)"|([^\]]*))\]""")
_OTHER_SYNTAX: Final = re.compile(r"\$|.*\[")


class MissingPartError(Exception):
    """There is nothing at the path."""


def part_at(document: Document, steps: Sequence[str]) -> Document:
    """Return the part of a document to which names of fields and indexes of lists lead.

    Raises:
        MissingPartError: There is none.
    """
    here = document
    for step in steps:
        match here:
            case dict() if step in here:
                here = here[step]
            case list() if _INDEX.fullmatch(step) and int(step) < len(here):
                here = here[int(step)]
            case _:
                raise MissingPartError
    return here


def steps_of(path: str) -> Sequence[str]:
    """Return the steps of a path.

    A path that begins with a slash is a JSON pointer (https://www.rfc-editor.org/rfc/rfc6901); any other path is names
    and indexes separated by dots: `/hosts/0/name` and `hosts.0.name` are the same.
    """
    if path.startswith("/"):
        return [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]
    return path.split(".")


def elsewhere(document: Document, path: str) -> str:
    """Return a sentence if a path leads nowhere and would lead to a part if it were written otherwise; or nothing.

    It has a space before it, and repeats names that the path has, and nothing else of the document.
    """
    dotted = _dotted(path)
    found = next(_leading_to(document, dotted), None)
    if found is not None:
        return f" Write it as {_pointer(found)}."
    if next(_leading_to(document, dotted.casefold(), fold=True), None) is not None:
        return " There is one whose name has other upper and lower case."
    return ""


def syntax_hint(path: str) -> str:
    """Return a sentence for a path that seems to be JSONPath, with a space before it, or nothing."""
    if _OTHER_SYNTAX.match(path):
        return " A path is names and indexes separated by dots, such as hosts.0, or a JSON pointer, such as /hosts/0."
    return ""


def _dotted(path: str) -> str:
    """Return a path in JSONPath, with brackets or with slashes as names and indexes separated by dots."""
    plain = _BRACKETS.sub(lambda found: "." + (found[1] or found[2] or found[3] or ""), path.removeprefix("$"))
    return plain.replace("/", ".").strip(".")


def _leading_to(document: Document, dotted: str, *, fold: bool = False) -> Iterator[tuple[str, ...]]:
    """Yield the steps to each part that a dotted path may mean, if names may have dots themselves.

    Each part is reached by one path only, so the time is that of reading the document once.
    """
    match document:
        case dict():
            named = ((name.casefold() if fold else name, part) for name, part in document.items())
        case list():
            named = ((str(place), part) for place, part in enumerate(document))
        case _:
            return
    for name, part in named:
        if name == dotted:
            yield (name,)
        elif dotted.startswith(f"{name}."):
            yield from ((name, *rest) for rest in _leading_to(part, dotted[len(name) + 1 :], fold=fold))


def _pointer(steps: Sequence[str]) -> str:
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)
