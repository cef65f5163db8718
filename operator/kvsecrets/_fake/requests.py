"""Parses requests: the operation by method and path, and the body; checks neither permissions nor names.

Operations: https://learn.microsoft.com/rest/api/keyvault/secrets/operation-groups
Limits: https://learn.microsoft.com/azure/key-vault/secrets/about-secrets
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl, unquote, urlsplit

from kvsecrets._fake import errors
from kvsecrets._fake.store import Changes
from kvsecrets._protocol import Request, decode_json

_MAX_VALUE_CHARACTERS = 25_600
_MAX_CONTENT_TYPE_CHARACTERS = 255
_MAX_TAGS = 15
_MAX_TAG_CHARACTERS = 256
_ATTRIBUTES = {"enabled": "enabled", "nbf": "not_before", "exp": "expires"}


class Kind(StrEnum):
    """The kind of a call, as in `FakeVault.calls`."""

    SET = "set"
    GET = "get"
    UPDATE = "update"
    DELETE = "delete"
    LIST = "list"
    LIST_VERSIONS = "list_versions"
    GET_DELETED = "get_deleted"
    LIST_DELETED = "list_deleted"
    RECOVER = "recover"
    PURGE = "purge"
    BACKUP = "backup"
    RESTORE = "restore"
    CHALLENGE = "challenge"
    """A call of any kind without a token that the vault accepts."""

    UNKNOWN = "unknown"


class Permission(StrEnum):
    """A permission of an access policy, by the service's name."""

    GET = "get"
    LIST = "list"
    SET = "set"
    DELETE = "delete"
    RECOVER = "recover"
    PURGE = "purge"
    BACKUP = "backup"
    RESTORE = "restore"


_ACTIONS = {
    Kind.SET: (Permission.SET, "setSecret/action"),
    Kind.GET: (Permission.GET, "getSecret/action"),
    Kind.UPDATE: (Permission.SET, "update/action"),
    Kind.DELETE: (Permission.DELETE, "delete"),
    Kind.LIST: (Permission.LIST, "readMetadata/action"),
    Kind.LIST_VERSIONS: (Permission.LIST, "readMetadata/action"),
    Kind.GET_DELETED: (Permission.GET, "getSecret/action"),
    Kind.LIST_DELETED: (Permission.LIST, "readMetadata/action"),
    Kind.RECOVER: (Permission.RECOVER, "recover/action"),
    Kind.PURGE: (Permission.PURGE, "purge/action"),
    Kind.BACKUP: (Permission.BACKUP, "backup/action"),
    Kind.RESTORE: (Permission.RESTORE, "restore/action"),
}


_OPERATIONS = {
    "PUT secrets/{name}": Kind.SET,
    "GET secrets/{name}": Kind.GET,
    "GET secrets/{name}/{version}": Kind.GET,
    "PATCH secrets/{name}": Kind.UPDATE,
    "PATCH secrets/{name}/{version}": Kind.UPDATE,
    "DELETE secrets/{name}": Kind.DELETE,
    "GET secrets": Kind.LIST,
    "GET secrets/{name}/versions": Kind.LIST_VERSIONS,
    "POST secrets/{name}/backup": Kind.BACKUP,
    "POST secrets/restore": Kind.RESTORE,
    "GET deletedsecrets": Kind.LIST_DELETED,
    "GET deletedsecrets/{name}": Kind.GET_DELETED,
    "DELETE deletedsecrets/{name}": Kind.PURGE,
    "POST deletedsecrets/{name}/recover": Kind.RECOVER,
}


@dataclass(frozen=True, slots=True)
class Call:
    """A parsed request. `name` and `version` are empty if its path has none."""

    kind: Kind
    method: str
    path: str
    query: Mapping[str, str]
    name: str = ""
    version: str = ""

    @property
    def permission(self) -> Permission | None:
        """The access policy's permission that it requires."""
        return _ACTIONS[self.kind][0] if self.kind in _ACTIONS else None

    @property
    def action(self) -> str:
        """The data action that it requires under Azure RBAC."""
        action = _ACTIONS[self.kind][1] if self.kind in _ACTIONS else "unknown"
        return f"Microsoft.KeyVault/vaults/secrets/{action}"


def parse_call(request: Request) -> Call:
    """Parse method, path and query; the kind is `UNKNOWN` if they are not an operation."""
    parts = urlsplit(request.url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    segments = [unquote(segment) for segment in parts.path.strip("/").split("/")]
    kind = Kind.UNKNOWN
    for pattern in _patterns(request.method, segments):
        kind = _OPERATIONS.get(f"{request.method} {pattern}", kind)
    name, version = [*segments[1:], "", ""][:2]
    return Call(kind, request.method, parts.path, query, name, version)


def _patterns(method: str, segments: list[str]) -> list[str]:
    """Return the patterns in the table of operations that a path may match."""
    match segments:
        case ["secrets", "restore"] if method == "POST":
            return ["secrets/restore"]
        case [area, _]:
            return [f"{area}/{{name}}"]
        case [area, _, third]:
            return [f"{area}/{{name}}/{{version}}", f"{area}/{{name}}/{third}"]
        case _:
            return ["/".join(segments)]


def error_of_unknown(call: Call) -> errors.VaultRefused:
    """Return the error for a call that is not an operation: a wrong method for a known path, or an unknown path."""
    first = call.path.strip("/").partition("/")[0]
    if first in ("secrets", "deletedsecrets"):
        return errors.method_not_allowed(call.method)
    return errors.unknown_path()


def parse_object(body: bytes) -> dict[str, object]:
    """Parse a JSON object."""
    try:
        document = decode_json(body)
        json.dumps(document, ensure_ascii=False).encode()  # a string with an unpaired surrogate could not be returned
    except ValueError:
        raise errors.bad_property() from None
    if not isinstance(document, dict):
        raise errors.bad_property()
    return document


def parse_value(document: Mapping[str, object]) -> str:
    """Return the value to set, which may be empty."""
    value = document.get("value")
    if not isinstance(value, str):
        raise errors.bad_property()
    if len(value) > _MAX_VALUE_CHARACTERS:
        raise errors.value_too_large()
    return value


def parse_changes(document: Mapping[str, object]) -> Changes:
    """Return those of attributes, content type and tags that the request has."""
    fields: dict[str, object] = {}
    attributes = document.get("attributes")
    if attributes is not None:
        fields |= _attributes(attributes)
    if "contentType" in document:
        fields["content_type"] = _content_type(document["contentType"])
    if "tags" in document:
        fields["tags"] = _tags(document["tags"])
    return Changes(fields)


def _attributes(attributes: object) -> dict[str, object]:
    if not isinstance(attributes, dict):
        raise errors.bad_property()
    fields: dict[str, object] = {}
    for json_name, name in _ATTRIBUTES.items():
        if json_name not in attributes:
            continue
        value = attributes[json_name]
        expected = bool if json_name == "enabled" else int
        if type(value) is expected:
            fields[name] = value
        elif value is not None:
            raise errors.bad_property()
        elif expected is int:
            fields[name] = None
    return fields


def _content_type(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > _MAX_CONTENT_TYPE_CHARACTERS:
        raise errors.bad_property()
    return value or None  # [?] the service may return an empty text unchanged


def _tags(value: object) -> dict[str, str] | None:
    """[?] The service's message for too many or too long tags is not recorded."""
    if value is None:
        return None
    if not isinstance(value, dict) or len(value) > _MAX_TAGS:
        raise errors.bad_property()
    for name, text in value.items():
        if not isinstance(text, str) or len(text) > _MAX_TAG_CHARACTERS or len(name) > _MAX_TAG_CHARACTERS:
            raise errors.bad_property()
    return value or None
