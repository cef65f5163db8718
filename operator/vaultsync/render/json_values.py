"""Parts of a JSON value: one by its path, or every field of an object as a key of a Secret; nothing but JSON.

Numbers keep the digits that the vault holds: 1.10 stays 1.10, and no long id loses its last ones. `origin` is what a
message calls the value, such as `Secret app-config of vault https://shop.vault.azure.net`; no message holds more of
the value than its place in it.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from vaultsync.api.fields import is_data_key
from vaultsync.errors import Reason, SyncError
from vaultsync.render.key_names import naming

_INDEX: Final = re.compile("0|[1-9][0-9]{0,8}", re.ASCII)
_MAX_NAME: Final = 253


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


class _Missing(Exception):
    """The path leads nowhere."""


def property_of(text: str, path: str, *, origin: str) -> bytes:
    """Give a part of a JSON value: a text as its UTF-8, anything else as compact JSON.

    A path that begins with a slash is a JSON pointer (https://www.rfc-editor.org/rfc/rfc6901), every other one names
    fields and indexes with dots between: `/hosts/0/name` and `hosts.0.name` are the same.

    Raises:
        SyncError: PropertyMissing, if the value is no JSON or nothing is there.
    """
    document = _parsed(text, origin)
    try:
        return _written(_at(document, path))
    except _Missing:
        trouble = f"has no property {path}"
    except UnicodeEncodeError:
        trouble = f"holds half a character in property {path}; set it anew in the vault"
    except RecursionError:
        trouble = f"nests too deeply in property {path}"
    # Not inside the handlers: their errors would come along as context, and they know the value.
    raise SyncError(Reason.PROPERTY_MISSING, f"{origin} {trouble}.")


def fields_of(text: str, *, origin: str, prefix: str = "", rename: str | None = None) -> dict[str, bytes]:
    """Give every field of a JSON object by the key that it becomes, with contents as `property_of` gives them.

    `prefix` and `rename` make keys of the fields' names, as `naming` tells.

    Raises:
        SyncError: PropertyMissing, if the value is no JSON object. TargetInvalid, if a field does not become a key that
            Kubernetes allows, or two become the same. InvalidSpec, if `rename` is no such expression.
    """
    key_of = naming(prefix, rename)
    document = _parsed(text, origin)
    if not isinstance(document, dict):
        raise SyncError(Reason.PROPERTY_MISSING, f"{origin} is JSON, but no object with fields.")
    fields: dict[str, bytes] = {}
    for place, (name, value) in enumerate(document.items(), start=1):
        key = key_of(name) if _fits(name) else ""
        if not is_data_key(key):
            raise _no_key(f"Field {place} of {origin} does not become a key that a Kubernetes Secret allows")
        if key in fields:
            raise _no_key(f"Field {place} of {origin} becomes the same key as a field before it")
        fields[key] = _content(value, place, origin)
    return fields


def _parsed(text: str, origin: str) -> Any:  # noqa: ANN401  a JSON document is anything
    try:
        return json.loads(text, parse_float=_Number, parse_int=_Number, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        pass
    # Not inside the handler: the parser's error would come along as context, and it holds the text.
    raise SyncError(Reason.PROPERTY_MISSING, f"{origin} is not valid JSON, so that it has no properties.")


def _no_constant(_name: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python's parser takes and JSON does not have."""
    raise ValueError


def _at(document: Any, path: str) -> Any:  # noqa: ANN401  a part of a JSON document is anything
    here = document
    for step in _steps(path):
        match here:
            case dict() if step in here:
                here = here[step]
            case list() if _INDEX.fullmatch(step) and int(step) < len(here):
                here = here[int(step)]
            case _:
                raise _Missing
    return here


def _steps(path: str) -> Iterator[str]:
    if path.startswith("/"):
        return (step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/"))
    return iter(path.split("."))


def _written(value: Any) -> bytes:  # noqa: ANN401  a part of a JSON document is anything
    return (value if isinstance(value, str) else _compact(value)).encode()


def _compact(value: Any) -> str:  # noqa: ANN401  a part of a JSON document is anything
    match value:
        case _Number():
            return value
        case dict():
            return "{" + ",".join(f"{_compact(name)}:{_compact(part)}" for name, part in value.items()) + "}"
        case list():
            return "[" + ",".join(map(_compact, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _fits(name: str) -> bool:
    """Tell whether the name is one that can be matched: not overlong, and without half a character."""
    return len(name) <= _MAX_NAME and not any("\ud800" <= letter <= "\udfff" for letter in name)


def _no_key(trouble: str) -> SyncError:
    return SyncError(Reason.TARGET_INVALID, f"{trouble}. Rename the field in the vault, or with prefix and rename.")


def _content(value: Any, place: int, origin: str) -> bytes:  # noqa: ANN401  a part of a JSON document is anything
    try:
        return _written(value)
    except (UnicodeEncodeError, RecursionError):
        pass
    # Not inside the handler: the codec's error would come along as context, and it knows the value.
    raise SyncError(Reason.PROPERTY_MISSING, f"Field {place} of {origin} holds half a character, or nests too deeply.")
