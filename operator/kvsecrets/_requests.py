"""One flow for each operation of the service: checks the arguments, sends the request, parses the response.

https://learn.microsoft.com/rest/api/keyvault/secrets/operation-groups
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Generic, Literal, Self, TypeAlias, TypeVar
from urllib.parse import quote, urlsplit

from kvsecrets import _responses, _validation
from kvsecrets._auth import AuthContext, send_authorized
from kvsecrets._protocol import Flow, Request, Response
from kvsecrets._responses import Asked
from kvsecrets._retry import RetryPolicy
from kvsecrets.models import DeletedSecret, KeyVaultSecret, ResponseInfo, SecretBackup, SecretProperties, SecretValue
from kvsecrets.paging import Page

API_VERSION = "7.4"
"""The default API version of the service.

https://learn.microsoft.com/rest/api/keyvault/secrets/operation-groups
"""
CONVERTING_API_VERSION = "2025-07-01"
"""The first API version, apart from previews, that converts the secret of a certificate (`outContentType`).

https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret
"""
MAX_BACKUP_BYTES = 64 * 1024 * 1024
"""Upper bound of a backup's response body: 500 versions of 25 KB, encrypted and encoded, are some 25 MB."""

Item_co = TypeVar("Item_co", covariant=True)
T = TypeVar("T")
PageParser: TypeAlias = Callable[[Response], tuple[tuple[T, ...], str | None]]

_PAGE_LINK = re.compile(r"https://([^/?#\\@]+)/([a-zA-Z]+)(?:/[0-9a-zA-Z-]+)*\?[!-~]{1,8000}", re.ASCII)


_OLDER_API_VERSION = re.compile(r"\d\.|20(?:1\d|2[0-4])-|2025-0[1-5]-", re.ASCII)


class Clear(Enum):
    """The type of `CLEAR`, for annotations."""

    CLEAR = "CLEAR"


CLEAR: Literal[Clear.CLEAR] = Clear.CLEAR
"""Empties a field in an update, where None leaves it unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertyChanges:
    """Changes to a secret's properties: None leaves a field unchanged, CLEAR empties it."""

    content_type: str | Clear | None = None
    tags: Mapping[str, str] | Clear | None = None
    enabled: bool | None = None
    not_before: datetime | Clear | None = None
    expires_on: datetime | Clear | None = None

    @classmethod
    def replacing_all(cls, properties: SecretProperties) -> Self:
        """Return the changes after which a secret has exactly these properties."""
        return cls(
            content_type=CLEAR if properties.content_type is None else properties.content_type,
            tags=properties.tags or CLEAR,
            enabled=properties.enabled,
            not_before=CLEAR if properties.not_before is None else properties.not_before,
            expires_on=CLEAR if properties.expires_on is None else properties.expires_on,
        )

    def json_fields(self) -> dict[str, Any]:
        """Return the fields of the request body: None is left out, CLEAR becomes null.

        The REST documentation does not say how to empty a field. Null is what users of the service report to work
        (https://github.com/Azure/azure-sdk-for-net/issues/5267) and what the vendor's Go client can send. Tags are
        always written as a whole map, so an empty map clears them.
        """
        attributes: dict[str, Any] = {}
        if self.enabled is not None:
            attributes["enabled"] = _validation.enabled(self.enabled)
        for key, argument, moment in (("nbf", "not_before", self.not_before), ("exp", "expires_on", self.expires_on)):
            if moment is not None:
                attributes[key] = None if isinstance(moment, Clear) else _validation.timestamp(argument, moment)
        fields: dict[str, Any] = {"attributes": attributes} if attributes else {}
        if (content_type := self.content_type) is not None:
            fields["contentType"] = None if isinstance(content_type, Clear) else _validation.content_type(content_type)
        if self.tags is not None:
            fields["tags"] = {} if isinstance(self.tags, Clear) else _validation.tags(self.tags)
        return fields


@dataclass(frozen=True, slots=True)
class Vault:
    """The vault of a client, with everything that its flows need."""

    url: str
    api_version: str
    auth: AuthContext

    @classmethod
    def create(cls, url: str, api_version: str, retry: RetryPolicy | None, *, verify_resource: bool) -> Self:
        """Check a client's arguments and return its vault.

        Raises:
            ValueError: The URL or the API version breaks a rule.
            TypeError: An argument has a wrong type.
        """
        url = _validation.vault_url(url)
        retry = RetryPolicy() if retry is None else retry
        _validation.check_type("retry", retry, RetryPolicy)
        auth = AuthContext(urlsplit(url).hostname or "", retry, verify_resource=verify_resource)
        return cls(url, _validation.api_version(api_version), auth)

    def url_of(self, path: str, query: str = "") -> str:
        """Return the URL of a path in the vault; `query` is appended to the API version."""
        return f"{self.url}/{path}?api-version={self.api_version}{query}"

    def asked(self, name: str | None = None, version: str | None = None, *, deleted: bool = False) -> Asked:
        """Return what a request is about. The ids of a vault behind a domain of its own have its other name."""
        return Asked(self.auth.host if self.auth.verify_resource else None, name, version, deleted)


@dataclass(frozen=True, slots=True)
class Listing(Generic[Item_co]):
    """A paged list: the path of its first page, the parser of each page, and the secret that it is about, if any."""

    path: str
    parse: PageParser[Item_co]
    name: str | None = None


SECRETS: Listing[SecretProperties] = Listing("secrets", _responses.parse_properties_page)
DELETED_SECRETS: Listing[DeletedSecret] = Listing("deletedsecrets", _responses.parse_deleted_page)


def versions_of(name: str) -> Listing[SecretProperties]:
    """Return the list of a secret's versions."""
    return Listing(f"{_secret_path(name)}/versions", _responses.parse_properties_page, name)


def get_secret(
    vault: Vault, name: str, version: str | None, out_content_type: str | None = None
) -> Flow[KeyVaultSecret]:
    """Read a secret, its newest version or an exact one."""
    query = "" if out_content_type is None else f"&outContentType={_out_content_type(vault, out_content_type)}"
    url = vault.url_of(_secret_path(name, version), query)
    request = Request("GET", url, check=vault.asked(name, version).check)
    return _responses.parse_secret((yield from send_authorized(request, vault.auth)))


def set_secret(vault: Vault, name: str, value: SecretValue | str, properties: PropertyChanges) -> Flow[KeyVaultSecret]:
    """Write a new version of a secret."""
    text = _validation.secret_value(value)
    fields = {"value": text, **properties.json_fields()}
    request = _json_request("PUT", vault.url_of(_secret_path(name)), fields, vault.asked(name))
    response = yield from send_authorized(request, vault.auth)
    if response.status >= 400:  # noqa: PLR2004 - the boundary that HTTP draws
        raise _responses.error_from(response, had_value=True)
    return _responses.parse_secret(response)


def update_secret_properties(
    vault: Vault, name: str, version: str | None, changes: PropertyChanges
) -> Flow[SecretProperties]:
    """Change properties of a version.

    The path of the newest ends with a slash: it is that of an exact version, which the REST documentation requires,
    with an empty one. The vendor's clients send it.
    """
    path = _secret_path(name, version) if version is not None else f"{_secret_path(name)}/"
    request = _json_request("PATCH", vault.url_of(path), changes.json_fields(), vault.asked(name, version))
    return _responses.parse_properties((yield from send_authorized(request, vault.auth)))


def delete_secret(vault: Vault, name: str) -> Flow[DeletedSecret]:
    """Start the deletion of a secret with all its versions."""
    request = Request("DELETE", vault.url_of(_secret_path(name)), check=vault.asked(name, deleted=True).check)
    return _responses.parse_deleted_secret((yield from send_authorized(request, vault.auth)))


def get_deleted_secret(vault: Vault, name: str) -> Flow[DeletedSecret]:
    """Read a deleted secret, without its value."""
    request = Request("GET", vault.url_of(_deleted_path(name)), check=vault.asked(name, deleted=True).check)
    return _responses.parse_deleted_secret((yield from send_authorized(request, vault.auth)))


def recover_deleted_secret(vault: Vault, name: str) -> Flow[SecretProperties]:
    """Start the recovery of a deleted secret."""
    request = Request("POST", vault.url_of(f"{_deleted_path(name)}/recover"), check=vault.asked(name).check)
    return _responses.parse_properties((yield from send_authorized(request, vault.auth, repeatable=False)))


def purge_deleted_secret(vault: Vault, name: str) -> Flow[ResponseInfo]:
    """Permanently delete a deleted secret."""
    request = Request("DELETE", vault.url_of(_deleted_path(name)))
    return _responses.check_success((yield from send_authorized(request, vault.auth)))


def backup_secret(vault: Vault, name: str) -> Flow[SecretBackup]:
    """Read an encrypted backup of all versions."""
    request = Request("POST", vault.url_of(f"{_secret_path(name)}/backup"))
    return _responses.parse_backup((yield from send_authorized(request, vault.auth, max_bytes=MAX_BACKUP_BYTES)))


def restore_secret_backup(vault: Vault, backup: bytes) -> Flow[SecretProperties]:
    """Restore all versions from a backup."""
    _validation.check_type("backup", backup, bytes, bytearray)
    text = base64.urlsafe_b64encode(backup).rstrip(b"=").decode("ascii")
    request = _json_request("POST", vault.url_of("secrets/restore"), {"value": text}, vault.asked())
    response = yield from send_authorized(request, vault.auth, repeatable=False)
    if response.status >= 400:  # noqa: PLR2004 - the boundary that HTTP draws
        raise _responses.error_from(response, had_value=True)
    return _responses.parse_properties(response)


def list_page(vault: Vault, listing: Listing[T], continuation_token: str | None, size: int | None) -> Flow[Page[T]]:
    """Read one page: the first, or the one of a continuation token.

    Raises:
        ValueError: The continuation token is not from this list of this vault.
        UnexpectedAnswer: The page links to itself or to a URL outside of the list.
    """
    if continuation_token is not None:
        _validation.check_type("continuation_token", continuation_token, str)
        if not is_page_link(vault, listing, continuation_token):
            raise ValueError(f"continuation_token: it is not from this list of {vault.url}")
    query = "" if size is None else f"&maxresults={_validation.page_size(size)}"
    url = continuation_token or vault.url_of(listing.path, query)
    asked = vault.asked(listing.name, deleted=listing.path == DELETED_SECRETS.path)
    response = yield from send_authorized(Request("GET", url, check=asked.check_page), vault.auth)
    items, next_link = listing.parse(response)
    if next_link is not None and not vault.auth.verify_resource:
        next_link = _on_vault(vault, next_link)
    if next_link is not None and (next_link == continuation_token or not is_page_link(vault, listing, next_link)):
        raise _responses.unexpected_response(response, "the link to its next page does not continue the list")
    return Page(items, next_link, _responses.response_info(response))


def is_page_link(vault: Vault, listing: Listing[T], url: str) -> bool:
    """Whether a URL is in the vault and in the collection of a list: secrets, or deleted secrets.

    Key Vault's own links contain port 443; others may not.
    """
    match = _PAGE_LINK.fullmatch(url)
    if match is None or match[1].lower().removesuffix(":443") != vault.url.removeprefix("https://"):
        return False
    return match[2].lower() == listing.path.partition("/")[0]


def _on_vault(vault: Vault, url: str) -> str:
    """Return the same URL on the vault's host. A vault behind a domain of its own links to its other name."""
    match = _PAGE_LINK.fullmatch(url)
    return url if match is None else vault.url + url[match.end(1) :]


def _secret_path(name: str, version: str | None = None) -> str:
    path = f"secrets/{_validation.secret_name(name)}"
    return path if version is None else f"{path}/{_validation.secret_version(version)}"


def _out_content_type(vault: Vault, content_type: str) -> str:
    """Return a content type for a query; an API version that would ignore it is an error, not another format."""
    if _OLDER_API_VERSION.match(vault.api_version):
        raise ValueError(
            f"out_content_type: API version {vault.api_version} does not know it; "
            f"create the client with api_version={CONVERTING_API_VERSION!r} or a later one"
        )
    return quote(_validation.content_type(content_type))


def _deleted_path(name: str) -> str:
    return f"deletedsecrets/{_validation.secret_name(name)}"


def _json_request(method: str, url: str, fields: Mapping[str, Any], asked: Asked) -> Request:
    body = json.dumps(fields, separators=(",", ":")).encode("ascii")
    return Request(method, url, {"content-type": "application/json"}, body, asked.check)
