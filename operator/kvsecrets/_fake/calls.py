"""Which operation a request asks for, by its method and path; checks neither rights nor names.

https://learn.microsoft.com/rest/api/keyvault/secrets/operation-groups
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl, unquote, urlsplit

from kvsecrets._fake import refusals
from kvsecrets._wire import Request


class Kind(StrEnum):
    """What a call is, as the counters name it."""

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
    """A call without a token, or with one that the vault does not take, whatever it asked for."""

    UNKNOWN = "unknown"


class Permission(StrEnum):
    """A right of an access policy, by the vault's own word for it."""

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
    """One request, understood. A name or version that its path does not have is empty."""

    kind: Kind
    method: str
    path: str
    query: Mapping[str, str]
    name: str = ""
    version: str = ""

    @property
    def permission(self) -> Permission | None:
        """The access policy's right that it needs."""
        return _ACTIONS[self.kind][0] if self.kind in _ACTIONS else None

    @property
    def action(self) -> str:
        """The data action that a role must hold for it, under Azure RBAC."""
        action = _ACTIONS[self.kind][1] if self.kind in _ACTIONS else "unknown"
        return f"Microsoft.KeyVault/vaults/secrets/{action}"


def understand(request: Request) -> Call:
    """Read method, path and query; what is no operation is of the kind `UNKNOWN`."""
    parts = urlsplit(request.url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    segments = [unquote(segment) for segment in parts.path.strip("/").split("/")]
    kind = Kind.UNKNOWN
    for pattern in _patterns(request.method, segments):
        kind = _OPERATIONS.get(f"{request.method} {pattern}", kind)
    name, version = [*segments[1:], "", ""][:2]
    return Call(kind, request.method, parts.path, query, name, version)


def _patterns(method: str, segments: list[str]) -> list[str]:
    """Say which entries of the table a path may stand for."""
    match segments:
        case ["secrets", "restore"] if method == "POST":
            return ["secrets/restore"]
        case [area, _]:
            return [f"{area}/{{name}}"]
        case [area, _, third]:
            return [f"{area}/{{name}}/{{version}}", f"{area}/{{name}}/{third}"]
        case _:
            return ["/".join(segments)]


def refusal_of_unknown(call: Call) -> refusals.VaultRefused:
    """Say no to what is no operation: a known path with a wrong method, or a path that nobody knows."""
    first = call.path.strip("/").partition("/")[0]
    if first in ("secrets", "deletedsecrets"):
        return refusals.method_not_allowed(call.method)
    return refusals.unknown_path()
