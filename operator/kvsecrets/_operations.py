"""What can be asked of a vault, one flow for each operation: input checked, request made, answer read.

https://learn.microsoft.com/rest/api/keyvault/secrets/operation-groups
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeAlias, TypeVar
from urllib.parse import urlsplit

from kvsecrets import _answers, _limits
from kvsecrets._auth import Access, authorized
from kvsecrets._changes import Changes
from kvsecrets._failures import failure, odd
from kvsecrets._flow import Flow
from kvsecrets._retry import RetryPolicy
from kvsecrets._wire import Request, Response
from kvsecrets.models import DeletedSecret, KeyVaultSecret, ResponseInfo, SecretProperties, SecretValue

BACKUP_LIMIT = 64 * 1024 * 1024
"""Bytes of a backup that we are willing to read: 500 versions of 25 KB, encrypted and encoded, are some 25 MB."""


Item_co = TypeVar("Item_co", covariant=True)
T = TypeVar("T")
PageReader: TypeAlias = Callable[[Response], tuple[tuple[T, ...], str | None]]


_LINK = re.compile(r"https://([^/?#\\@]+)/([a-zA-Z]+)[/?][!-~]{1,8000}")


@dataclass(frozen=True, slots=True)
class Vault:
    """The vault that a client talks to, with everything that its flows need."""

    url: str
    api_version: str
    access: Access

    @classmethod
    def at(cls, url: str, api_version: str, retry: RetryPolicy | None, *, verify_resource: bool) -> Self:
        """Return the vault at a URL, after a look at what was given."""
        url = _limits.vault_url(url)
        retry = RetryPolicy() if retry is None else retry
        _limits.kind("retry", retry, RetryPolicy)
        access = Access(urlsplit(url).hostname or "", retry, verify_resource=verify_resource)
        return cls(url, _limits.api_version(api_version), access)

    def address(self, path: str, more: str = "") -> str:
        """Return the URL of a path in the vault."""
        return f"{self.url}/{path}?api-version={self.api_version}{more}"


@dataclass(frozen=True, slots=True)
class Page(Generic[Item_co]):
    """One page of a list. It may be short or empty although more pages follow: Key Vault counts rows that it skips."""

    items: tuple[Item_co, ...]
    continuation_token: str | None
    """Where the next page is; None after the last. Keep it to go on later, even with another client."""
    response: ResponseInfo


@dataclass(frozen=True, slots=True)
class Listing(Generic[Item_co]):
    """A list that can be read page by page: where it starts and how its pages are read."""

    path: str
    read: PageReader[Item_co]


def get_secret(vault: Vault, name: str, version: str | None) -> Flow[KeyVaultSecret]:
    """Read one secret."""
    request = Request("GET", vault.address(_secret_path(name, version)))
    return _answers.secret((yield from authorized(request, vault.access)))


def set_secret(vault: Vault, name: str, value: SecretValue | str, properties: Changes) -> Flow[KeyVaultSecret]:
    """Write a new version of a secret."""
    text = _limits.value(value)
    request = _json("PUT", vault.address(_secret_path(name)), {"value": text, **properties.fields()})
    response = yield from authorized(request, vault.access)
    if response.status >= 400:  # noqa: PLR2004 - the boundary that HTTP draws
        raise failure(response, secret_text=text)
    return _answers.secret(response)


def update_secret_properties(vault: Vault, name: str, version: str | None, changes: Changes) -> Flow[SecretProperties]:
    """Change the properties that are given."""
    request = _json("PATCH", vault.address(_secret_path(name, version)), changes.fields())
    return _answers.properties((yield from authorized(request, vault.access)))


def get_deleted_secret(vault: Vault, name: str) -> Flow[DeletedSecret]:
    """Read what is known of a deleted secret."""
    request = Request("GET", vault.address(_deleted_path(name)))
    return _answers.deleted((yield from authorized(request, vault.access)))


def delete_secret(vault: Vault, name: str) -> Flow[DeletedSecret]:
    """Start to delete a secret with all its versions."""
    request = Request("DELETE", vault.address(_secret_path(name)))
    return _answers.deleted((yield from authorized(request, vault.access)))


def recover_deleted_secret(vault: Vault, name: str) -> Flow[SecretProperties]:
    """Start to recover a deleted secret."""
    request = Request("POST", vault.address(f"{_deleted_path(name)}/recover"))
    return _answers.properties((yield from authorized(request, vault.access, repeatable=False)))


def purge_deleted_secret(vault: Vault, name: str) -> Flow[None]:
    """Destroy a deleted secret for good."""
    request = Request("DELETE", vault.address(_deleted_path(name)))
    _answers.nothing((yield from authorized(request, vault.access)))


def backup_secret(vault: Vault, name: str) -> Flow[bytes]:
    """Read a backup of all versions, encrypted for Key Vault."""
    request = Request("POST", vault.address(f"{_secret_path(name)}/backup"))
    return _answers.backup((yield from authorized(request, vault.access, limit=BACKUP_LIMIT)))


def restore_secret_backup(vault: Vault, backup: bytes) -> Flow[SecretProperties]:
    """Bring back all versions from a backup."""
    _limits.kind("backup", backup, bytes, bytearray)
    text = base64.urlsafe_b64encode(backup).rstrip(b"=").decode("ascii")
    request = _json("POST", vault.address("secrets/restore"), {"value": text})
    return _answers.properties((yield from authorized(request, vault.access, repeatable=False)))


def secrets_listing() -> Listing[SecretProperties]:
    """Return the list of all secrets."""
    return Listing("secrets", _answers.properties_page)


def versions_listing(name: str) -> Listing[SecretProperties]:
    """Return the list of a secret's versions."""
    return Listing(f"{_secret_path(name)}/versions", _answers.properties_page)


def deleted_listing() -> Listing[DeletedSecret]:
    """Return the list of deleted secrets."""
    return Listing("deletedsecrets", _answers.deleted_page)


def list_page(vault: Vault, listing: Listing[T], continuation_token: str | None, size: int | None) -> Flow[Page[T]]:
    """Read one page: the first, or the one that a continuation token names."""
    if continuation_token is not None:
        _limits.kind("continuation_token", continuation_token, str)
        if not listing_goes_on(vault, listing, continuation_token):
            raise ValueError(f"continuation_token: it does not come from this list of {vault.url}")
    url = continuation_token or vault.address(
        listing.path, f"&maxresults={_limits.page_size(size)}" if size is not None else ""
    )
    response = yield from authorized(Request("GET", url), vault.access)
    items, following = listing.read(response)
    if following is not None and (following == continuation_token or not listing_goes_on(vault, listing, following)):
        raise odd(response, "the link to its next page does not lead on within the list")
    return Page(items, following, _answers.info(response))


def listing_goes_on(vault: Vault, listing: Listing[T], url: str) -> bool:
    """Whether a URL lies in the vault and among what is listed: secrets, or deleted ones.

    Key Vault's own links name port 443, other URLs don't.
    """
    match = _LINK.fullmatch(url)
    if match is None or match[1].lower().removesuffix(":443") != vault.url.removeprefix("https://"):
        return False
    return match[2].lower() == listing.path.partition("/")[0]


def _secret_path(name: str, version: str | None = None) -> str:
    path = f"secrets/{_limits.name(name)}"
    return path if version is None else f"{path}/{_limits.version(version)}"


def _deleted_path(name: str) -> str:
    return f"deletedsecrets/{_limits.name(name)}"


def _json(method: str, url: str, fields: Mapping[str, Any]) -> Request:
    body = json.dumps(fields, separators=(",", ":")).encode("ascii")
    return Request(method, url, {"content-type": "application/json"}, body)
