"""Reads what the vault answered into models, or into the error that it means; asks for nothing itself.

Whatever JSON comes, the result is a model or `UnexpectedAnswer`: a field of the wrong kind is never passed on.
"""

import base64
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeAlias

from kvsecrets._failures import failure, odd, parsed
from kvsecrets._wire import Response
from kvsecrets.models import (
    DeletedSecret,
    KeyVaultSecret,
    ResponseInfo,
    SecretId,
    SecretProperties,
    SecretValue,
)

Json: TypeAlias = dict[str, Any]
"""A JSON object as it came; `Any`, since nothing is known of its fields until the readers below have looked at them."""

_LAST_MOMENT = datetime.max.replace(tzinfo=UTC)
_LAST_SECOND = _LAST_MOMENT.timestamp()
_OK = 200
_NO_CONTENT = 204


class _Unreadable(Exception):
    """A field is not what it should be; the text says which, not what it holds."""


def secret(response: Response) -> KeyVaultSecret:
    """Read a secret with its value."""
    fields = _success(response)
    try:
        return KeyVaultSecret(properties=_properties(fields), value=_value(fields), response=info(response))
    except _Unreadable as problem:
        _unexpected(response, str(problem))


def properties(response: Response) -> SecretProperties:
    """Read a secret's properties."""
    fields = _success(response)
    try:
        return _properties(fields)
    except _Unreadable as problem:
        _unexpected(response, str(problem))


def deleted(response: Response) -> DeletedSecret:
    """Read a deleted secret."""
    fields = _success(response)
    try:
        return _deleted(fields, info(response))
    except _Unreadable as problem:
        _unexpected(response, str(problem))


def properties_page(response: Response) -> tuple[tuple[SecretProperties, ...], str | None]:
    """Read a page of properties, and where the next one is."""
    fields = _success(response)
    try:
        return tuple(_properties(item) for item in _items(fields)), _text(fields, "nextLink") or None
    except _Unreadable as problem:
        _unexpected(response, str(problem))


def deleted_page(response: Response) -> tuple[tuple[DeletedSecret, ...], str | None]:
    """Read a page of deleted secrets, and where the next one is."""
    fields = _success(response)
    about = info(response)
    try:
        return tuple(_deleted(item, about) for item in _items(fields)), _text(fields, "nextLink") or None
    except _Unreadable as problem:
        _unexpected(response, str(problem))


def backup(response: Response) -> bytes:
    """Read a backup: base64url of bytes that only Key Vault understands, as its other clients keep them in files."""
    fields = _success(response)
    try:
        text = (_text(fields, "value") or "").rstrip("=")
        blob = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (_Unreadable, ValueError):
        blob = b""
    if not blob:
        _unexpected(response, "its backup is not base64url")
    return blob


def nothing(response: Response) -> None:
    """Accept an answer without content."""
    if response.status not in (_OK, _NO_CONTENT):
        raise failure(response)


def info(response: Response) -> ResponseInfo:
    """Tell about an answer without its body."""
    return ResponseInfo(response.status, response.headers)


def _success(response: Response) -> Json:
    if response.status != _OK:
        raise failure(response)
    fields = parsed(response.body)
    if not isinstance(fields, dict):
        _unexpected(response, "its body is not a JSON object")
    return fields


def _unexpected(response: Response, problem: str) -> NoReturn:
    raise odd(response, problem) from None


def _items(fields: Json) -> list[Json]:
    items = fields.get("value")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise _Unreadable("its value is not a list of objects")
    return items


def _deleted(fields: Json, about: ResponseInfo) -> DeletedSecret:
    return DeletedSecret(
        properties=_properties(fields),
        deleted_on=_time(fields, "deletedDate"),
        scheduled_purge_on=_time(fields, "scheduledPurgeDate"),
        recovery_id=_text(fields, "recoveryId"),
        response=about,
    )


def _properties(fields: Json) -> SecretProperties:
    attributes = fields.get("attributes")
    if attributes is None:
        attributes = {}
    if not isinstance(attributes, dict):
        raise _Unreadable("its attributes are not an object")
    days = attributes.get("recoverableDays")
    return SecretProperties(
        id=_id(fields),
        enabled=_flag(attributes, "enabled", default=True),
        created_on=_time(attributes, "created"),
        updated_on=_time(attributes, "updated"),
        not_before=_time(attributes, "nbf"),
        expires_on=_time(attributes, "exp"),
        content_type=_text(fields, "contentType"),
        tags=_tags(fields),
        managed=_flag(fields, "managed", default=False),
        key_id=_text(fields, "kid"),
        recoverable_days=days if type(days) is int else None,
        recovery_level=_text(attributes, "recoveryLevel"),
    )


def _id(fields: Json) -> SecretId:
    text = fields.get("id")
    try:
        return SecretId.parse(text if isinstance(text, str) else "")
    except ValueError:
        raise _Unreadable("its id is not the URL of a secret") from None


def _value(fields: Json) -> SecretValue:
    text = _text(fields, "value")
    if text is None:
        raise _Unreadable("it has no value")
    try:
        return SecretValue(text)
    except ValueError:
        raise _Unreadable("its value is not Unicode text") from None


def _text(fields: Json, name: str) -> str | None:
    text = fields.get(name)
    if text is None or isinstance(text, str):
        return text
    raise _Unreadable(f"its {name} is not a text")


def _flag(fields: Json, name: str, *, default: bool) -> bool:
    flag = fields.get(name)
    if flag is None:
        return default
    if isinstance(flag, bool):
        return flag
    raise _Unreadable(f"its {name} is neither true nor false")


def _time(fields: Json, name: str) -> datetime | None:
    seconds = fields.get(name)
    if seconds is None:
        return None
    if type(seconds) is not int:
        raise _Unreadable(f"its {name} is not a whole number of seconds")
    try:
        # The vault stores any 64-bit number. One absurd expiry must not make a whole page unreadable.
        return datetime.fromtimestamp(seconds, UTC) if seconds < _LAST_SECOND else _LAST_MOMENT
    except (ValueError, OverflowError, OSError):
        raise _Unreadable(f"its {name} lies before any calendar") from None


def _tags(fields: Json) -> dict[str, str]:
    tags = fields.get("tags")
    if tags is None:
        return {}
    if not isinstance(tags, dict) or not all(isinstance(text, str) for text in tags.values()):
        raise _Unreadable("its tags are not texts")
    return tags
