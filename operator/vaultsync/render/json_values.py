"""Extracts parts of a JSON value: one by its path, or every field of an object as a key of a Secret.

Numbers keep the digits that the vault holds: 1.10 stays 1.10, and long ids lose no digits. `origin` is the value's name
for messages, such as `Secret app-config of vault https://shop.vault.azure.net`; messages hold nothing of the value but
the path or position in question.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from vaultsync import bounded_json
from vaultsync.api.fields import is_data_key
from vaultsync.errors import Reason, SyncError
from vaultsync.render.key_names import key_namer

_INDEX: Final = re.compile("0|[1-9][0-9]{0,8}", re.ASCII)
_MAX_NAME: Final = 253


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


class PropertyNotFound(SyncError):
    """There is nothing at the path, or null."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.PROPERTY_MISSING, message)


class _MissingPartError(Exception):
    """There is nothing at the path."""


def json_property(text: str, path: str, *, origin: str) -> bytes:
    """Return a part of a JSON value: a string as its UTF-8, anything else as compact JSON.

    A path that begins with a slash is a JSON pointer (https://www.rfc-editor.org/rfc/rfc6901); any other path is names
    and indexes separated by dots: `/hosts/0/name` and `hosts.0.name` are the same.

    Raises:
        PropertyNotFound: The value has nothing at the path, or null.
        SyncError: PropertyMissing, if the value is not JSON, or nests too deeply.
    """
    document = _parse(text, origin)
    try:
        part = _part(document, path)
    except _MissingPartError:
        part = None
        problem = f"has no property {path}"
    else:
        problem = f"has null as property {path}"
    # Not inside the handlers: their errors would be the context, and they hold the value.
    if part is None:
        raise PropertyNotFound(f"{origin} {problem}.")
    try:
        return _to_bytes(part)
    except UnicodeEncodeError:
        problem = f"contains an unpaired surrogate in property {path}; set it again in the vault"
    raise SyncError(Reason.PROPERTY_MISSING, f"{origin} {problem}.")


def json_fields(text: str, *, origin: str, prefix: str = "", rename: str | None = None) -> dict[str, bytes]:
    """Return every field of a JSON object by its key, with contents as `json_property` returns them.

    A field that is null is left out, as if it were not there.
    `prefix` and `rename` turn the names of fields into keys, as in `key_namer`.

    Raises:
        SyncError: PropertyMissing, if the value is not a JSON object, or nests too deeply. TargetInvalid, if a field
            does not become a key that Kubernetes allows, or two become the same. InvalidSpec, if `rename` is not such
            an expression.
    """
    key_of = key_namer(prefix, rename)
    document = _parse(text, origin)
    if not isinstance(document, dict):
        raise SyncError(Reason.PROPERTY_MISSING, f"{origin} is JSON, but not an object with fields.")
    fields: dict[str, bytes] = {}
    for place, (name, value) in enumerate(document.items(), start=1):
        if value is None:
            continue
        key = key_of(name) if _can_match(name) else ""
        if not is_data_key(key):
            raise _invalid_key(f"Field {place} of {origin} does not become a key that a Kubernetes Secret allows")
        if key in fields:
            raise _invalid_key(f"Field {place} of {origin} becomes the same key as a field before it")
        fields[key] = _field_content(value, place, origin)
    return fields


def _parse(text: str, origin: str) -> Any:  # noqa: ANN401  a JSON document is anything
    try:
        return bounded_json.parse(text, parse_float=_Number, parse_int=_Number, parse_constant=_refuse_constant)
    except bounded_json.TooDeepError as error:
        problem = f"is JSON that {error}; flatten it in the vault"
    except ValueError:
        problem = "is not valid JSON, so it has no properties"
    # Not inside the handlers: the parser's error would be the context, and it holds the text.
    raise SyncError(Reason.PROPERTY_MISSING, f"{origin} {problem}.")


def _refuse_constant(_name: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python's parser accepts and JSON does not have."""
    raise ValueError


def _part(document: Any, path: str) -> Any:  # noqa: ANN401  a part of a JSON document is anything
    here = document
    for step in _steps(path):
        match here:
            case dict() if step in here:
                here = here[step]
            case list() if _INDEX.fullmatch(step) and int(step) < len(here):
                here = here[int(step)]
            case _:
                raise _MissingPartError
    return here


def _steps(path: str) -> Iterator[str]:
    if path.startswith("/"):
        return (step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/"))
    return iter(path.split("."))


def _to_bytes(value: Any) -> bytes:  # noqa: ANN401  a part of a JSON document is anything
    return (value if isinstance(value, str) else _compact(value)).encode()


def _compact(value: Any) -> str:  # noqa: ANN401  a part of a JSON document is anything
    """Write compact JSON; the recursion is as deep as the document, which `bounded_json` bounds."""
    match value:
        case _Number():
            return value
        case dict():
            return "{" + ",".join(f"{_compact(name)}:{_compact(part)}" for name, part in value.items()) + "}"
        case list():
            return "[" + ",".join(map(_compact, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _can_match(name: str) -> bool:
    """Return whether RE2 can match the name: not too long, and without unpaired surrogates."""
    return len(name) <= _MAX_NAME and not any("\ud800" <= letter <= "\udfff" for letter in name)


def _invalid_key(problem: str) -> SyncError:
    return SyncError(Reason.TARGET_INVALID, f"{problem}. Rename the field in the vault, or with prefix and rename.")


def _field_content(value: Any, place: int, origin: str) -> bytes:  # noqa: ANN401  a part of a JSON document is anything
    try:
        return _to_bytes(value)
    except UnicodeEncodeError:
        pass
    # Not inside the handler: the codec's error would be the context, and it holds the value.
    raise SyncError(
        Reason.PROPERTY_MISSING, f"Field {place} of {origin} contains an unpaired surrogate; set it again in the vault."
    )
