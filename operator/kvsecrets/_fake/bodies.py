"""Reads what a caller sends to set or update a secret; refuses what the service refuses, changes nothing itself.

Limits: https://learn.microsoft.com/azure/key-vault/secrets/about-secrets
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from kvsecrets._fake import refusals
from kvsecrets._fake.rows import SecretVersion

_MAX_VALUE = 25_600
_MAX_CONTENT_TYPE = 255
_MAX_TAGS = 15
_MAX_TAG_TEXT = 256

_FIELDS = {"enabled": "enabled", "nbf": "not_before", "exp": "expires"}


@dataclass(frozen=True, slots=True)
class Changes:
    """The fields of a version that a request names, by the names that `SecretVersion` gives them.

    A field that is not there stays as it is. One that is there as None is cleared. [?] Whether the service clears on
    a JSON null or ignores it is not recorded.
    """

    fields: Mapping[str, object]

    def applied_to(self, version: SecretVersion) -> SecretVersion:
        """Make the version that comes of it."""
        return replace(version, **self.fields)  # type: ignore[arg-type]  # the reader below checked every type


def read_object(body: bytes) -> dict[str, object]:
    """Read a JSON object."""
    try:
        document = json.loads(body)
        json.dumps(document, ensure_ascii=False).encode()  # a text with lone surrogates could not be answered
    except (ValueError, RecursionError):
        raise refusals.bad_property() from None
    if not isinstance(document, dict):
        raise refusals.bad_property()
    return document


def read_value(document: Mapping[str, object]) -> str:
    """Read the value to set; an empty one is a value."""
    value = document.get("value")
    if not isinstance(value, str):
        raise refusals.bad_property()
    if len(value) > _MAX_VALUE:
        raise refusals.value_too_large()
    return value


def read_changes(document: Mapping[str, object]) -> Changes:
    """Read attributes, content type and tags, as far as the request names them."""
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
        raise refusals.bad_property()
    fields: dict[str, object] = {}
    for wire_name, name in _FIELDS.items():
        if wire_name not in attributes:
            continue
        given = attributes[wire_name]
        wanted = bool if wire_name == "enabled" else int
        if type(given) is wanted:
            fields[name] = given
        elif given is not None:
            raise refusals.bad_property()
        elif wanted is int:
            fields[name] = None
    return fields


def _content_type(given: object) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str) or len(given) > _MAX_CONTENT_TYPE:
        raise refusals.bad_property()
    return given or None  # [?] an empty text may come back as it is


def _tags(given: object) -> dict[str, str] | None:
    """[?] The service's words for too many or too long tags are not recorded."""
    if given is None:
        return None
    if not isinstance(given, dict) or len(given) > _MAX_TAGS:
        raise refusals.bad_property()
    for name, text in given.items():
        if not isinstance(text, str) or len(text) > _MAX_TAG_TEXT or len(name) > _MAX_TAG_TEXT:
            raise refusals.bad_property()
    return given or None
