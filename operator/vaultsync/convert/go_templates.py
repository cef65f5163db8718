"""Translates simple Go templates into Liquid: references, and functions with the same result; nothing by guessing."""

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from vaultsync.render.liquid.engine import TemplateError, parse
from vaultsync.render.liquid.filters import OTHER_NAMES

_PIECE: Final = re.compile(r"""(?P<end>\}\})|"(?:[^"\\]|\\.)*+"|`[^`]*+`|[^"`}]++|\}""", re.DOTALL)
"""A part of an action: its end, a text, or something else; a text may have brackets."""

_TOKEN: Final = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|`[^`]*`|\||[^\s|"`]+)""")
_FIELD: Final = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL: Final = frozenset({"if", "else", "end", "range", "with", "define", "template", "block", "break", "continue"})
_RESERVED: Final = frozenset({
    "and", "blank", "contains", "empty", "entries", "false", "forloop", "in", "nil", "not", "null", "or", "true",
})  # fmt: skip

_FILTERS: Final[Mapping[str, tuple[str, int]]] = {
    "b64dec": ("b64decode", 0),
    "b64enc": ("b64encode", 0),
    "default": ("default", 1),
    "lower": ("downcase", 0),
    "replace": ("replace", 2),
    "sha256sum": ("sha256", 0),
    "toJson": ("json", 0),
    "toString": ("", 0),
    "trim": ("strip", 0),
    "upper": ("upcase", 0),
    "urlquery": ("url_encode", 0),
}
"""The filter of Liquid for a function, and the number of texts that both take before the value."""

FUNCTIONS: Final = frozenset(_FILTERS)
"""The functions that are translated."""

_INSTEAD: Final[Mapping[str, str]] = {
    "pkcs12cert": "dataFrom.certificate reads PFX",
    "pkcs12key": "dataFrom.certificate reads PFX",
    "fullPemToPkcs12": "dataFrom.certificate writes it with keyStore",
    "pemToPkcs12": "dataFrom.certificate writes it with keyStore",
    "filterPEM": "Liquid has pem_certificate, pem_chain and pem_private_key",
    **{other: f"Liquid has {ours}" for other, ours in OTHER_NAMES.items()},
}


class Untranslatable(Exception):
    """A part of a template has no counterpart; `line` counts from 0."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Output:
    key: str
    filters: tuple[str, ...]
    left: bool
    right: bool


@dataclass(frozen=True, slots=True)
class Translation:
    """A template of which each action is a key and filters."""

    parts: tuple[str | _Output, ...]

    @property
    def keys(self) -> frozenset[str]:
        """The keys that it uses."""
        return frozenset(part.key for part in self.parts if isinstance(part, _Output))

    @property
    def only_key(self) -> str | None:
        """The key, if the template is that key as it is."""
        match self.parts:
            case (_Output(key=key, filters=()),):
                return key
            case _:
                return None

    def liquid(self, renamed: Mapping[str, str]) -> str:
        """Return the template in Liquid, for keys that have other names now."""
        return "".join(_liquid(part, renamed) for part in self.parts)


def translate(source: str) -> Translation:
    """Translate a Go template.

    Raises:
        Untranslatable: A part of it has no counterpart, or may have another meaning.
    """
    translation = Translation(tuple(_parts(source)))
    try:
        parse(translation.liquid({}))
    except TemplateError as error:
        raise Untranslatable(0, f"the template would not be valid in Liquid{error}") from None
    return translation


def has_actions(text: str) -> bool:
    """Return whether a text is a template at all."""
    return "{{" in text


def _parts(source: str) -> Iterator[str | _Output]:
    end = 0
    while (start := source.find("{{", end)) >= 0:
        line = source.count("\n", 0, start)
        if start > end:
            yield source[end:start]
        end = _end_of(source, start + 2, line)
        inner = source[start + 2 : end - 2]
        left, right = inner.startswith("- "), inner.endswith(" -")
        key, filters = _pipeline(inner.removeprefix("- ").removesuffix(" -").strip(), line)
        yield _Output(key, filters, left, right)
    if end < len(source):
        yield source[end:]


def _end_of(source: str, position: int, line: int) -> int:
    """Return where an action ends."""
    while (piece := _PIECE.match(source, position)) is not None:
        position = piece.end()
        if piece["end"]:
            return position
    raise Untranslatable(line, "an action of the template has no end")


def _pipeline(inner: str, line: int) -> tuple[str, tuple[str, ...]]:
    """Return the key and the filters of an action."""
    tokens = _TOKEN.findall(inner)
    if not tokens or inner.startswith("/*"):
        raise Untranslatable(line, "comments within templates are not translated")
    if tokens[0] in _CONTROL or ":=" in tokens or tokens[0].startswith("$"):
        raise Untranslatable(line, f"{tokens[0]} is not translated: Liquid has tags such as {{% if %}} and {{% for %}}")
    calls = [list(call) for is_pipe, call in itertools.groupby(tokens, "|".__eq__) if not is_pipe]
    if len(calls) != tokens.count("|") + 1:
        raise Untranslatable(line, "an empty pipeline is not translated")
    key, first = _operand(calls[0], line)
    filters = [*([first] if first else []), *(_filter(call, line) for call in calls[1:])]
    return key, tuple(one for one in filters if one)


def _operand(call: list[str], line: int) -> tuple[str, str]:
    """Return the key that an action begins with, and the filter if it is the last argument of a function."""
    match call:
        case [field] if found := _FIELD.fullmatch(field):
            return found[1], ""
        case ["index", ".", name] if name[0] in '"`':
            return _unquoted(name, line), ""
        case [*function, field] if function and (found := _FIELD.fullmatch(field)):
            return found[1], _filter(function, line)
        case _:
            raise Untranslatable(line, f"{' '.join(call)} is not translated")


def _filter(call: list[str], line: int) -> str:
    name, *given = call
    if name not in _FILTERS:
        instead = _INSTEAD.get(name)
        raise Untranslatable(line, f"{name} is not translated" + (f": {instead}" if instead else ""))
    filter_, wanted = _FILTERS[name]
    if len(given) != wanted:
        raise Untranslatable(line, f"{name} with {len(given)} arguments before the value is not translated")
    arguments = ", ".join(_quoted(_unquoted(argument, line), line) for argument in given)
    return f"{filter_}: {arguments}" if arguments else filter_


def _unquoted(token: str, line: int) -> str:
    """Return the text of a literal."""
    if token[0] == "`":
        return token[1:-1]
    try:
        text = json.loads(token) if token[0] == '"' else None
    except ValueError:
        text = None
    if not isinstance(text, str):
        raise Untranslatable(line, f"{token} is not translated")
    return text


def _quoted(text: str, line: int) -> str:
    """Return a text as a literal of Liquid, which has no escapes."""
    for quote in "\"'":
        if quote not in text and "\n" not in text and "}}" not in text and "%}" not in text:
            return f"{quote}{text}{quote}"
    raise Untranslatable(line, "a text with both kinds of quotes, line ends or brackets is not translated")


def _liquid(part: str | _Output, renamed: Mapping[str, str]) -> str:
    if isinstance(part, str):
        return part.replace("{%", '{{ "{%" }}')
    key = renamed.get(part.key, part.key)
    name = key if _NAME.fullmatch(key) and key not in _RESERVED else f'entries["{key}"]'
    body = " | ".join((name, *part.filters))
    return f"{{{{{'-' * part.left} {body} {'-' * part.right}}}}}"
