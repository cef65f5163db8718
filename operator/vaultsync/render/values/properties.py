"""Extracts parts of documents: one by its path, or every field of an object as a key of a Secret.

`origin` is the value's name for messages, such as `Secret app-config of vault https://shop.vault.azure.net`; messages
hold nothing of the value but the path or position in question.
"""

from collections.abc import Callable

from vaultsync.api.fields import is_data_key
from vaultsync.api.sources import Format
from vaultsync.errors import Reason, SyncError
from vaultsync.render.values.documents import Document, to_bytes
from vaultsync.render.values.formats import text_hint
from vaultsync.render.values.paths import MissingPartError, elsewhere, part_at, steps_of, syntax_hint


class PropertyNotFound(SyncError):
    """There is nothing at the path, or null.

    `is_elsewhere` is whether there would be something if the path were written otherwise, so that it is a mistake.
    """

    def __init__(self, message: str, *, is_elsewhere: bool) -> None:
        super().__init__(Reason.PROPERTY_MISSING, message)
        self.is_elsewhere = is_elsewhere


def property_content(document: Document, path: str, format_: Format, *, origin: str) -> bytes:
    """Return a part of a document: a string as its UTF-8, anything else as compact JSON.

    Args:
        document: What the value is in its format.
        path: A path; with the format Env, the name of a variable.
        format_: The value's format.
        origin: The value's name for messages.

    Raises:
        PropertyNotFound: The document has nothing at the path, or null.
        SyncError: PropertyMissing, if the part is no text.
    """
    part, problem, other = None, f"has null as property {path}.", ""
    try:
        part = part_at(document, [path] if format_ is Format.ENV else steps_of(path))
    except MissingPartError:
        other = elsewhere(document, path)
        problem = f"has no property {path}.{other or syntax_hint(path)}{text_hint(document, format_)}"
    # Not inside the handlers: their errors would be the context, and they hold the value.
    if part is None:
        raise PropertyNotFound(f"{origin} {problem}", is_elsewhere=bool(other))
    try:
        return to_bytes(part)
    except UnicodeEncodeError:
        problem = f"contains an unpaired surrogate in property {path}; set it again in the vault."
    raise SyncError(Reason.PROPERTY_MISSING, f"{origin} {problem}")


def field_contents(
    document: Document, format_: Format, key_of: Callable[[str], str | None], *, origin: str
) -> dict[str, bytes]:
    """Return the fields of an object by their keys, with contents as `property_content` returns them.

    A field that is null is left out, as if it were not there, and so is one for whose name `key_of` returns None.

    Raises:
        SyncError: PropertyMissing, if the document is not an object. TargetInvalid, if a field does not become a key
            that Kubernetes allows, or two become the same.
    """
    if not isinstance(document, dict):
        raise SyncError(
            Reason.PROPERTY_MISSING,
            f"{origin} is {format_}, but not an object with fields.{text_hint(document, format_)}",
        )
    fields: dict[str, bytes] = {}
    places: dict[str, int] = {}
    for place, (name, value) in enumerate(document.items(), start=1):
        if value is None or (key := key_of(name)) is None:
            continue
        if not is_data_key(key):
            raise _invalid_key(f"Field {place} of {origin} does not become a key that a Kubernetes Secret allows")
        if (other := places.setdefault(key, place)) != place:
            raise _invalid_key(f"Fields {other} and {place} of {origin} become the same key")
        fields[key] = _field_content(value, place, origin)
    return fields


def _invalid_key(problem: str) -> SyncError:
    remedy = "Give the field another key with keys or rename, or leave it out with omit."
    return SyncError(Reason.TARGET_INVALID, f"{problem}. {remedy}")


def _field_content(value: Document, place: int, origin: str) -> bytes:
    try:
        return to_bytes(value)
    except UnicodeEncodeError:
        pass
    # Not inside the handler: the codec's error would be the context, and it holds the value.
    raise SyncError(
        Reason.PROPERTY_MISSING, f"Field {place} of {origin} contains an unpaired surrogate; set it again in the vault."
    )
