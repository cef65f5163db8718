"""Parses responses into models, or into the error that they mean; sends nothing.

Any body becomes a model, an error that Key Vault reports, or `UnexpectedAnswer`: a field of a wrong type is never
passed on.
https://learn.microsoft.com/rest/api/keyvault/secrets/operation-groups
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeAlias

from kvsecrets._disclosure import Shown, shown
from kvsecrets._protocol import Response
from kvsecrets.errors import (
    AccessDenied,
    BadRequest,
    Conflict,
    FirewallDenied,
    NotAuthenticated,
    PurgeProtected,
    ResponseError,
    SecretDisabled,
    SecretNotFound,
    ServerFailed,
    Throttled,
    UnexpectedAnswer,
)
from kvsecrets.models import (
    DeletedSecret,
    KeyVaultSecret,
    ResponseInfo,
    SecretBackup,
    SecretId,
    SecretProperties,
    SecretValue,
    http_date,
)

JsonObject: TypeAlias = dict[str, Any]
"""A decoded JSON object; `Any`, because no field has been checked yet."""

_MAX_DATETIME = datetime.max.replace(tzinfo=UTC)
_MAX_SECONDS = _MAX_DATETIME.timestamp()
_OK = 200
_NO_CONTENT = 204
_FIREWALL_CODES = frozenset({"ForbiddenByFirewall", "ForbiddenByConnection"})
_SECRET_NOT_FOUND = re.compile(
    r"(?:[a-z]{1,20}\.){0,8}(?:deleted[ _-]?)?secret[ _-]?(?:version[ _-]?)?(?:was[ _-]?)?not[ _-]?found"
    r"(?:[ _-]?(?:error|exception))?",
    re.ASCII | re.IGNORECASE,
)
"""A code that says of a secret that it was not found: Key Vault's own, `SecretNotFound`, and other spellings of it."""
_EMULATED_NOT_FOUND = frozenset(
    {
        "com.github.nagyesta.lowkeyvault.service.exception.NotFoundException",
        "Failed to perform request into Azure Key Vault Emulator",
    }
)
"""What two emulators send for it: https://github.com/nagyesta/lowkey-vault,
https://github.com/james-gould/azure-keyvault-emulator"""
_WAIT_HEADERS = (("retry-after-ms", 1000), ("x-ms-retry-after-ms", 1000), ("retry-after", 1))
_PORT = re.compile(":[0-9]{1,5}$")
_PAGE_FIELDS = frozenset({"value", "nextLink"})
_DISABLED = "Operation get is not allowed on a disabled secret."


class _InvalidField(Exception):
    """A field is not what it should be; the text names the field, not its content."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request is about, and the ids in its response therefore, too.

    A shared connection can deliver the response to another request: because of a faulty proxy, or of a server that
    sends more responses than it gets requests.

    Args:
        host: The vault's host name; None for a vault that has another name in its ids.
        name: The secret; None where the request names none.
        version: The version; None where the request names none.
        deleted: Whether ids may be those of deleted secrets.
    """

    host: str | None
    name: str | None = None
    version: str | None = None
    deleted: bool = False

    def check(self, response: Response) -> None:
        """Raise unless a response, if it is a success, is about what was asked for.

        Raises:
            UnexpectedAnswer: It is about another secret, version or vault.
        """
        fields = response.document if response.status == _OK else None
        if isinstance(fields, dict) and not self._is_answered(fields):
            _raise_unexpected(response, "it is about another secret, version or vault than was asked for")

    def check_page(self, response: Response) -> None:
        """Raise unless each item of a page, if it is a success, is about what was asked for.

        Raises:
            UnexpectedAnswer: One is about another secret or vault.
        """
        fields = response.document if response.status == _OK else None
        items = fields.get("value") if isinstance(fields, dict) else None
        if isinstance(items, list) and not all(self._is_answered(item) for item in items if isinstance(item, dict)):
            _raise_unexpected(response, "its page is about another secret or vault than was asked for")

    def _is_answered(self, fields: JsonObject) -> bool:
        ids = (fields.get("id"), fields.get("recoveryId") if self.deleted else None)
        return all(self._is_about(text) for text in ids if isinstance(text, str) and text.startswith("https://"))

    def _is_about(self, text: str) -> bool:
        """Whether an id is about what was asked for. The port is how a vault is reached, and no part of its name."""
        host, collection, name, version, *_ = [*text.lower().removeprefix("https://").split("/"), "", "", ""]
        return (
            (self.host is None or host == self.host or _PORT.sub("", host).strip("[]") == self.host)
            and (collection == "secrets" or (self.deleted and collection == "deletedsecrets"))
            and (self.name is None or name == self.name.lower())
            and (self.version is None or version == self.version.lower())
        )


def parse_secret(response: Response) -> KeyVaultSecret:
    """Parse a secret with its value."""
    fields, info = _successful(response), response_info(response)
    try:
        return KeyVaultSecret(properties=_properties(fields, info), value=_value(fields), response=info)
    except _InvalidField as error:
        _raise_unexpected(response, str(error))


def parse_properties(response: Response) -> SecretProperties:
    """Parse a secret's properties."""
    fields = _successful(response)
    try:
        return _properties(fields, response_info(response))
    except _InvalidField as error:
        _raise_unexpected(response, str(error))


def parse_deleted_secret(response: Response) -> DeletedSecret:
    """Parse a deleted secret."""
    fields = _successful(response)
    try:
        return _deleted_secret(fields, response_info(response))
    except _InvalidField as error:
        _raise_unexpected(response, str(error))


def parse_properties_page(response: Response) -> tuple[tuple[SecretProperties, ...], str | None]:
    """Parse a page of properties, and the URL of the next page (None after the last)."""
    fields = _successful(response)
    info = response_info(response)
    try:
        return tuple(_properties(item, info) for item in _items(fields)), _text(fields, "nextLink") or None
    except _InvalidField as error:
        _raise_unexpected(response, str(error))


def parse_deleted_page(response: Response) -> tuple[tuple[DeletedSecret, ...], str | None]:
    """Parse a page of deleted secrets, and the URL of the next page (None after the last)."""
    fields = _successful(response)
    info = response_info(response)
    try:
        return tuple(_deleted_secret(item, info) for item in _items(fields)), _text(fields, "nextLink") or None
    except _InvalidField as error:
        _raise_unexpected(response, str(error))


def parse_backup(response: Response) -> SecretBackup:
    """Parse a backup: base64url of opaque bytes, which are what the vendor's clients write to files."""
    fields = _successful(response)
    try:
        text = (_text(fields, "value") or "").rstrip("=")
        blob = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (_InvalidField, ValueError):
        blob = b""
    if not blob:
        _raise_unexpected(response, "its backup is not base64url")
    return SecretBackup(blob, response_info(response))


def check_success(response: Response) -> ResponseInfo:
    """Return status and headers of a response that reports success, and otherwise raise its error; ignores its body."""
    if response.status not in (_OK, _NO_CONTENT):
        raise error_from(response)
    return response_info(response)


def response_info(response: Response) -> ResponseInfo:
    """Return a response's status and headers."""
    return ResponseInfo(response.status, response.headers)


def error_from(response: Response, *, had_value: bool = False) -> ResponseError | UnexpectedAnswer:
    """Return the error that a response means; `had_value` is whether its request had a secret value.

    The status decides first, then the inner code, then the code, and the message last:
    https://learn.microsoft.com/azure/key-vault/general/rest-error-codes
    A 404 means `SecretNotFound` only with a code that says so, since the 404 of a proxy says nothing about a secret.
    """
    code, inner_code, message = _error_fields(response)
    if response.status < 400:  # noqa: PLR2004 - the boundary that HTTP draws
        return unexpected_response(response, "it is neither a result nor an error; redirects are not followed")
    if response.status == 404 and code is None:  # noqa: PLR2004 - the HTTP status
        return unexpected_response(response, "the 404 has no error code of Key Vault")
    headers = response.headers
    ids = headers.get("x-ms-request-id"), headers.get("x-ms-client-request-id")
    return _error_class(response.status, code, inner_code, message)(
        response.status,
        **shown(Shown(code, inner_code, message, *ids), had_value=had_value)._asdict(),
        retry_after=retry_after(headers),
        headers=headers,
    )


def unexpected_response(response: Response, reason: str) -> UnexpectedAnswer:
    """Return the error for a response that does not look like Key Vault's."""
    request_id = response.headers.get("x-ms-request-id")
    text = (
        f"unexpected response with status {response.status}; it does not look like Azure Key Vault: {reason} "
        f"(request id {request_id or '-'})"
    )
    return UnexpectedAnswer(text, status=response.status, request_id=request_id, headers=response.headers)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a response requests to wait, or None if it requests none.

    A header in milliseconds is the more exact one, and comes first, as in the vendor's clients. The date of a
    `Retry-After` is relative to the response's `Date` header.
    """
    for name, per_second in _WAIT_HEADERS:
        text = headers.get(name, "").strip()
        if text.isascii() and text.isdigit():
            return float(text[:12]) / per_second
    until, sent = http_date(headers.get("retry-after")), http_date(headers.get("date"))
    return max(0.0, (until - sent).total_seconds()) if until and sent else None


def _error_class(status: int, code: str | None, inner_code: str | None, message: str) -> type[ResponseError]:
    if status == 403:  # noqa: PLR2004 - the HTTP status
        return _forbidden_class(inner_code, message)
    if status >= 500:  # noqa: PLR2004 - the boundary that HTTP draws
        return ServerFailed
    if status == 404:  # noqa: PLR2004 - the HTTP status
        return SecretNotFound if any(map(_says_not_found, (code, inner_code))) else ResponseError
    return {400: BadRequest, 401: NotAuthenticated, 409: Conflict, 429: Throttled}.get(status, ResponseError)


def _says_not_found(code: str | None) -> bool:
    """Whether the code of a 404 means that there is no such secret.

    A gateway's does not: 404s of other services of Azure have the same form (`ResourceNotFound`).
    """
    return code is not None and (code in _EMULATED_NOT_FOUND or _SECRET_NOT_FOUND.fullmatch(code) is not None)


def _forbidden_class(inner_code: str | None, message: str) -> type[ResponseError]:
    if inner_code == "SecretDisabled" or (inner_code is None and message == _DISABLED):
        return SecretDisabled
    if inner_code in _FIREWALL_CODES or "not allowed by NSP rules" in message:
        return FirewallDenied
    # The inner code of this error is neither documented nor recorded; its message is.
    return PurgeProtected if "purge protection is enabled" in message else AccessDenied


def _error_fields(response: Response) -> tuple[str | None, str | None, str]:
    """Return code, inner code and message of an error body, as they are; a code is None if the body has none."""
    document = response.document
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict):
        return None, None, ""
    inner = error.get("innererror")
    inner_code = inner.get("code") if isinstance(inner, dict) else None
    code, message = error.get("code"), error.get("message")
    return (
        code if isinstance(code, str) else None,
        inner_code if isinstance(inner_code, str) else None,
        message if isinstance(message, str) else "",
    )


def _successful(response: Response) -> JsonObject:
    if response.status != _OK:
        raise error_from(response)
    fields = response.document
    if not isinstance(fields, dict):
        _raise_unexpected(response, "its body is not a JSON object")
    return fields


def _raise_unexpected(response: Response, reason: str) -> NoReturn:
    raise unexpected_response(response, reason) from None


def _items(fields: JsonObject) -> list[JsonObject]:
    # A vault that never had a secret sent null: https://github.com/Azure/azure-sdk-for-net/issues/6758
    # Beside anything else, such as an error, null does not mean that there are none.
    is_empty = "value" in fields and fields["value"] is None and fields.keys() <= _PAGE_FIELDS
    items = [] if is_empty else fields.get("value")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise _InvalidField("its value is not a list of objects")
    return items


def _deleted_secret(fields: JsonObject, info: ResponseInfo) -> DeletedSecret:
    return DeletedSecret(
        properties=_properties(fields, info),
        deleted_on=_datetime(fields, "deletedDate"),
        scheduled_purge_on=_datetime(fields, "scheduledPurgeDate"),
        recovery_id=_text(fields, "recoveryId"),
        response=info,
    )


def _properties(fields: JsonObject, info: ResponseInfo) -> SecretProperties:
    attributes = fields.get("attributes")
    if attributes is None:
        attributes = {}
    if not isinstance(attributes, dict):
        raise _InvalidField("its attributes are not an object")
    days = attributes.get("recoverableDays")
    return SecretProperties(
        id=_id(fields),
        enabled=_flag(attributes, "enabled", default=True),
        created_on=_datetime(attributes, "created"),
        updated_on=_datetime(attributes, "updated"),
        not_before=_datetime(attributes, "nbf"),
        expires_on=_datetime(attributes, "exp"),
        content_type=_text(fields, "contentType"),
        tags=_tags(fields),
        managed=_flag(fields, "managed", default=False),
        key_id=_text(fields, "kid"),
        previous_version=_text(fields, "previousVersion"),
        recoverable_days=days if type(days) is int else None,
        recovery_level=_text(attributes, "recoveryLevel"),
        response=info,
    )


def _id(fields: JsonObject) -> SecretId:
    text = fields.get("id")
    try:
        return SecretId.parse(text if isinstance(text, str) else "")
    except ValueError:
        raise _InvalidField("its id is not the URL of a secret") from None


def _value(fields: JsonObject) -> SecretValue:
    text = _text(fields, "value")
    if text is None:
        raise _InvalidField("it has no value")
    try:
        return SecretValue(text)
    except ValueError:
        raise _InvalidField("its value is not Unicode text") from None


def _text(fields: JsonObject, name: str) -> str | None:
    text = fields.get(name)
    if text is None or isinstance(text, str):
        return text
    raise _InvalidField(f"its {name} is not a string")


def _flag(fields: JsonObject, name: str, *, default: bool) -> bool:
    flag = fields.get(name)
    if flag is None:
        return default
    if isinstance(flag, bool):
        return flag
    raise _InvalidField(f"its {name} is not a boolean")


def _datetime(fields: JsonObject, name: str) -> datetime | None:
    seconds = fields.get(name)
    if seconds is None:
        return None
    if type(seconds) is not int:
        raise _InvalidField(f"its {name} is not an integer number of seconds")
    try:
        # The service stores any 64-bit number; an expiry after the year 9999 must not make a whole page unreadable.
        return datetime.fromtimestamp(seconds, UTC) if seconds < _MAX_SECONDS else _MAX_DATETIME
    except (ValueError, OverflowError, OSError):
        raise _InvalidField(f"its {name} is before the year 1") from None


def _tags(fields: JsonObject) -> dict[str, str]:
    tags = fields.get("tags")
    if tags is None:
        return {}
    if not isinstance(tags, dict) or not all(text is None or isinstance(text, str) for text in tags.values()):
        raise _InvalidField("its tags are not strings")
    return {name: text for name, text in tags.items() if text is not None}
