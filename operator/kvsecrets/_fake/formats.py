"""The service's formats: JSON bodies and headers of responses, continuation tokens, backups; knows no rules.

A JSON field that is not set is left out; only `nextLink` is written as null.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from kvsecrets._fake import errors
from kvsecrets._fake.config import VaultConfig
from kvsecrets._fake.store import SecretVersion, StoredSecret
from kvsecrets._protocol import decode_json

Json = dict[str, object]

_WITHOUT_RECOVERABLE_DAYS = ("7.0", "2016-10-01")
_WITH_CERTIFICATES = ("2025-07-01", "2026-03-01-preview", "2026-04-01")
_PKCS12 = "application/x-pkcs12"
_PEM = "application/x-pem-file"
_MARKER_PREFIX = "secret/"
_BACKUP_PREFIX = b")AzureKeyVaultSecretBackupV1.microsoft.com"
_HEADERS = {
    "cache-control": "no-cache",
    "pragma": "no-cache",
    "expires": "-1",
    "x-ms-keyvault-region": "westus2",
    "x-ms-keyvault-service-version": "1.9.3070.1",
    "x-ms-keyvault-network-info": "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;",
    "x-content-type-options": "nosniff",
    "strict-transport-security": "max-age=31536000;includeSubDomains",
}
_RBAC_HEADERS = {
    "x-ms-keyvault-rbac-assignment-id": "00000000000000000000000000000000",
    "x-ms-keyvault-rbac-cache": "ra_age=0;da_age=0;rd_age=0;brd_age=0;ra_notif_age=0;dec_lev=0;",
}


class Bodies:
    """The JSON bodies of one vault's responses in one API version."""

    def __init__(self, config: VaultConfig, api_version: str) -> None:
        self._config = config
        self._api_version = api_version

    def secret(self, secret: StoredSecret, version: SecretVersion, out_content_type: str = "") -> Json:
        """Return the body of set and get, with the value; older API versions do not convert it."""
        is_converted = out_content_type and self._api_version in _WITH_CERTIFICATES
        body: Json = {"value": _converted(version, out_content_type) if is_converted else version.value}
        body |= self.properties(secret, version)
        if version.managed:
            body["kid"] = f"{self._config.url}/keys/{secret.name}/{version.id}"
        return body

    def properties(self, secret: StoredSecret, version: SecretVersion, *, with_version: bool = True) -> Json:
        """Return the body of update, recover and restore, and an item of a list."""
        identifier = f"{self._config.url}/secrets/{secret.name}"
        body: Json = {}
        if version.content_type is not None:
            body["contentType"] = version.content_type
        body["id"] = f"{identifier}/{version.id}" if with_version else identifier
        if version.managed:
            body["managed"] = True
            body |= self._previous(secret, version) if with_version else {}
        body["attributes"] = self._attributes(version)
        if version.tags is not None:
            body["tags"] = version.tags
        return body

    def _previous(self, secret: StoredSecret, version: SecretVersion) -> Json:
        """Return the version of the previous certificate, which newer API versions return."""
        ids = list(secret.versions)
        position = ids.index(version.id)
        known = self._api_version in _WITH_CERTIFICATES
        return {"previousVersion": ids[position - 1]} if known and position else {}

    def deleted(self, secret: StoredSecret, *, with_version: bool = True) -> Json:
        """Return the body of delete and get deleted, and an item of the deleted list."""
        body: Json = {}
        if self._config.soft_delete:
            body["recoveryId"] = f"{self._config.url}/deletedsecrets/{secret.name}"
            body["deletedDate"] = secret.deleted_on
            body["scheduledPurgeDate"] = secret.purge_on
        return body | self.properties(secret, secret.newest, with_version=with_version)

    def page(self, path: str, items: Iterable[Json], marker: str | None, max_results: int | None) -> Json:
        """Return one page of a list, with the absolute link to the next one."""
        link = None
        if marker is not None:
            link = f"{self._config.paging_url}{path}?api-version={quote(self._api_version)}"
            link += f"&$skiptoken={encode_marker(marker)}"
            if max_results is not None:
                link += f"&maxresults={max_results}"
        return {"value": list(items), "nextLink": link}

    def _attributes(self, version: SecretVersion) -> Json:
        attributes: Json = {"enabled": version.enabled}
        if version.not_before is not None:
            attributes["nbf"] = version.not_before
        if version.expires is not None:
            attributes["exp"] = version.expires
        attributes["created"] = version.created
        attributes["updated"] = version.updated
        attributes["recoveryLevel"] = self._config.recovery_level
        if self._api_version not in _WITHOUT_RECOVERABLE_DAYS:
            attributes["recoverableDays"] = self._config.recoverable_days
        return attributes


def encode_json(body: Json) -> bytes:
    """Write JSON without spaces, as the service does."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def response_headers(
    request_headers: Mapping[str, str], status: int, body: bytes, now: datetime, *, rbac: bool
) -> dict[str, str]:
    """Return the headers of a response; all names are in lower case."""
    headers = _HEADERS | {"x-ms-request-id": str(uuid4()), "date": format_datetime(now, usegmt=True)}
    if "x-ms-client-request-id" in request_headers:
        headers["x-ms-client-request-id"] = request_headers["x-ms-client-request-id"]
    if rbac and status != 401:  # noqa: PLR2004 - the recordings have these two on authorized requests only
        headers |= _RBAC_HEADERS
    if body:
        headers |= {"content-type": "application/json; charset=utf-8", "content-length": str(len(body))}
    return headers


def _converted(version: SecretVersion, out_content_type: str) -> str:
    """Return the value of a certificate's secret in another format.

    [?] Whether the service returns PEM for PEM, and which line ends its PEM has, is not recorded.
    """
    if (version.content_type, out_content_type) != (_PKCS12, _PEM):
        raise errors.not_convertible()
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - not needed by other fakes
    from cryptography.hazmat.primitives.serialization import pkcs12  # noqa: PLC0415

    try:
        content = pkcs12.load_pkcs12(base64.b64decode(version.value), None)
    except ValueError:
        raise errors.not_convertible() from None
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key = content.key.private_bytes(pem, pkcs8, serialization.NoEncryption()) if content.key else b""
    chain = [one.certificate for one in (content.cert, *content.additional_certs) if one is not None]
    return b"".join([key, *(one.public_bytes(pem) for one in chain)]).decode()


def encode_marker(marker: str) -> str:
    """Encode the position of the next row as an opaque continuation token."""
    token = encode_json({"NextMarker": f"{_MARKER_PREFIX}{marker}", "TargetLocation": 0})
    return base64.urlsafe_b64encode(token).rstrip(b"=").decode()


def decode_marker(token: str) -> str:
    """Decode the token of `encode_marker`.

    Raises:
        VaultRefused: The token is invalid.
    """
    try:
        document = decode_json(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except ValueError:
        raise errors.bad_paging("$skiptoken") from None
    marker = document.get("NextMarker") if isinstance(document, dict) else None
    if not isinstance(marker, str) or not marker.startswith(_MARKER_PREFIX):
        raise errors.bad_paging("$skiptoken")
    return marker.removeprefix(_MARKER_PREFIX)


def encode_backup(secret: StoredSecret) -> str:
    """Write a backup: base64url without padding, as the service does.

    The real backup is encrypted for the service. This one is for tests and protects nothing.
    """
    content = {"name": secret.name, "versions": [asdict(version) for version in secret.versions.values()]}
    return base64.urlsafe_b64encode(_BACKUP_PREFIX + json.dumps(content).encode()).rstrip(b"=").decode()


def decode_backup(blob: str) -> StoredSecret:
    """Read a backup of `encode_backup`.

    Raises:
        VaultRefused: It is malformed.
    """
    try:
        data = base64.urlsafe_b64decode(blob + "=" * (-len(blob) % 4))
    except ValueError:
        raise errors.malformed_backup("Backup blob is corrupt.") from None
    if not data.startswith(_BACKUP_PREFIX):
        raise errors.malformed_backup("Backup blob contains invalid or corrupt version.")
    try:
        content: Any = decode_json(data.removeprefix(_BACKUP_PREFIX))
        versions = [SecretVersion(**fields) for fields in content["versions"]]
        secret = StoredSecret(content["name"], {version.id: version for version in versions})
    except (ValueError, TypeError, KeyError):
        raise errors.malformed_backup("Backup blob is corrupt.") from None
    if not versions:
        raise errors.malformed_backup("Backup blob is corrupt.")
    return secret
