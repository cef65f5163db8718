"""Writes secrets as the service writes them in JSON: which fields, in which order; reads nothing.

A field that is not set is left out; only `nextLink` appears as null.
"""

import base64
import binascii
import json
from collections.abc import Iterable
from urllib.parse import quote

from kvsecrets._fake import refusals
from kvsecrets._fake.profile import Profile
from kvsecrets._fake.rows import SecretVersion, StoredSecret

Json = dict[str, object]

_WITHOUT_RECOVERABLE_DAYS = ("7.0", "2016-10-01")
_MARKER_PREFIX = "secret/"


class Answers:
    """The shapes of one vault's answers in one API version."""

    def __init__(self, profile: Profile, api_version: str) -> None:
        self._profile = profile
        self._api_version = api_version

    def secret(self, secret: StoredSecret, version: SecretVersion) -> Json:
        """The answer to set and get: the one with the value."""
        answer: Json = {"value": version.value}
        answer |= self.properties(secret, version)
        if version.managed:
            answer["kid"] = f"{self._profile.url}/keys/{secret.name}/{version.id}"
        return answer

    def properties(self, secret: StoredSecret, version: SecretVersion, *, with_version: bool = True) -> Json:
        """The answer to update, recover and restore, and an item of a list."""
        identifier = f"{self._profile.url}/secrets/{secret.name}"
        answer: Json = {}
        if version.content_type is not None:
            answer["contentType"] = version.content_type
        answer["id"] = f"{identifier}/{version.id}" if with_version else identifier
        if version.managed:
            answer["managed"] = True
        answer["attributes"] = self._attributes(version)
        if version.tags is not None:
            answer["tags"] = version.tags
        return answer

    def deleted(self, secret: StoredSecret, *, with_version: bool = True) -> Json:
        """The answer to delete and get deleted, and an item of the deleted list."""
        answer: Json = {}
        if self._profile.soft_delete:
            answer["recoveryId"] = f"{self._profile.url}/deletedsecrets/{secret.name}"
            answer["deletedDate"] = secret.deleted_on
            answer["scheduledPurgeDate"] = secret.purge_on
        return answer | self.properties(secret, secret.newest, with_version=with_version)

    def page(self, path: str, items: Iterable[Json], marker: str | None, max_results: int | None) -> Json:
        """One page of a list, with the absolute link to the next one."""
        link = None
        if marker is not None:
            link = f"{self._profile.paging_url}{path}?api-version={quote(self._api_version)}"
            link += f"&$skiptoken={write_marker(marker)}"
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
        attributes["recoveryLevel"] = self._profile.recovery_level
        if self._api_version not in _WITHOUT_RECOVERABLE_DAYS:
            attributes["recoverableDays"] = self._profile.recoverable_days
        return attributes


def dump(answer: Json) -> bytes:
    """Write JSON as compactly as the service does."""
    return json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode()


def write_marker(marker: str) -> str:
    """Pack the next row's place into the text that clients must not read."""
    token = dump({"NextMarker": f"{_MARKER_PREFIX}{marker}", "TargetLocation": 0})
    return base64.urlsafe_b64encode(token).rstrip(b"=").decode()


def read_marker(token: str) -> str:
    """Unpack `write_marker`'s text.

    Raises:
        VaultRefused: the token is not one of ours.
    """
    try:
        document = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        marker = document["NextMarker"]
    except (ValueError, binascii.Error, TypeError, KeyError):
        raise refusals.bad_paging("$skiptoken") from None
    if not isinstance(marker, str) or not marker.startswith(_MARKER_PREFIX):
        raise refusals.bad_paging("$skiptoken")
    return marker.removeprefix(_MARKER_PREFIX)
