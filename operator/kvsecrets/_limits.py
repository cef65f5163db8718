"""What Key Vault accepts, checked before any request: each function returns its input or says which rule it breaks.

Only rules that the vendor documents are checked, and types: a `None` or `bytes` that slipped in is told by the name of
its place. A value is never part of an error.
https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates and
https://learn.microsoft.com/azure/key-vault/secrets/about-secrets
"""

import re
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlsplit

from kvsecrets.models import SURROGATE, SecretValue

VALUE_CHARACTERS = 25_600
CONTENT_TYPE_CHARACTERS = 255
TAGS = 15
TAG_CHARACTERS = 256
PAGE_SIZE = 25
LONGEST_TIMEOUT = 86_400
_HOST = re.compile(r"[0-9a-z._-]{1,253}|[0-9a-f:.]{2,45}", re.ASCII)
_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}", re.ASCII)
_VERSION = re.compile(r"[0-9a-fA-F]{32}", re.ASCII)
_API_VERSION = re.compile(r"[0-9a-zA-Z.-]{1,64}", re.ASCII)


def kind(what: str, given: object, *kinds: type) -> None:
    """Raise a `TypeError` unless what was given is of one of these types; it says the types and not what was given."""
    if not isinstance(given, kinds):
        wanted = " or ".join(each.__name__ for each in kinds)
        raise TypeError(f"{what}: it must be of type {wanted}, not {type(given).__name__}")


def vault_url(url: str) -> str:
    """Return the vault's URL as `https://host[:port]`; http is refused, since a token goes along with each request."""
    kind("vault URL", url, str)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"vault URL {url!r}: it is no URL") from None
    if not host or not _HOST.fullmatch(host) or parts.scheme.lower() != "https":
        raise ValueError(f"vault URL {url!r}: it must be https://, a host and nothing more")
    if "@" in parts.netloc or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"vault URL of host {host!r}: no user, path, query or fragment may be in it")
    if ":" in host:
        host = f"[{host}]"
    return f"https://{host}" if port in (None, 443) else f"https://{host}:{port}"


def name(text: str) -> str:
    """Return the name of a secret."""
    kind("secret name", text, str)
    if not _NAME.fullmatch(text):
        raise ValueError(f"secret name {text!r}: it must be 1 to 127 characters, of 0-9, a-z, A-Z and '-'")
    return text


def version(text: str | None) -> str | None:
    """Return the version, or None for the newest."""
    if text is None:
        return None
    kind("secret version", text, str)
    if not _VERSION.fullmatch(text):
        raise ValueError(f"secret version {text!r}: it must be 32 hexadecimal digits, or None for the newest")
    return text


def value(given: SecretValue | str) -> str:
    """Return the value as text; the vault counts characters, and an empty value is one."""
    text = (given if isinstance(given, SecretValue) else SecretValue(given)).reveal()
    if len(text) > VALUE_CHARACTERS:
        raise ValueError(f"secret value of {len(text)} characters: it must be at most {VALUE_CHARACTERS}")
    return text


def content_type(text: str) -> str:
    """Return the content type."""
    _text("content type", text)
    if len(text) > CONTENT_TYPE_CHARACTERS:
        raise ValueError(f"content type of {len(text)} characters: it must be at most {CONTENT_TYPE_CHARACTERS}")
    return text


def tags(pairs: Mapping[str, str]) -> dict[str, str]:
    """Return the tags."""
    kind("tags", pairs, Mapping)
    if len(pairs) > TAGS:
        raise ValueError(f"{len(pairs)} tags: a secret has at most {TAGS}")
    for key, text in pairs.items():
        _text("name of a tag", key)
        _text("value of a tag", text)
        if not 1 <= len(key) <= TAG_CHARACTERS or len(text) > TAG_CHARACTERS:
            raise ValueError(
                f"tag {key[:40]!r}: names are 1 to {TAG_CHARACTERS}, values at most {TAG_CHARACTERS} characters"
            )
    return dict(pairs)


def moment(what: str, when: datetime) -> int:
    """Return a time as the vault has it, in whole seconds since 1970."""
    kind(what, when, datetime)
    if when.tzinfo is None:
        raise ValueError(f"{what} {when.isoformat()}: it must have a time zone, such as datetime.UTC")
    seconds = int(when.timestamp())
    if seconds < 0:
        raise ValueError(f"{what} {when.isoformat()}: it must not lie before 1970")
    return seconds


def enabled(flag: bool) -> bool:  # noqa: FBT001 - it is the thing itself, not an option
    """Return whether a secret is enabled."""
    kind("enabled", flag, bool)
    return flag


def timeout(seconds: float) -> float:
    """Return the timeout in seconds."""
    kind("timeout", seconds, float, int)
    if not 0 < seconds <= LONGEST_TIMEOUT:
        raise ValueError(f"timeout {seconds}: it must be above 0 and at most {LONGEST_TIMEOUT} seconds")
    return seconds


def page_size(count: int | None) -> int | None:
    """Return the page size, or None for the vault's own choice."""
    if count is None:
        return None
    kind("max_page_size", count, int)
    if not 1 <= count <= PAGE_SIZE:
        raise ValueError(f"max_page_size {count}: it must be 1 to {PAGE_SIZE}")
    return count


def api_version(text: str) -> str:
    """Return the API version; the vault decides whether it knows it."""
    kind("api_version", text, str)
    if not _API_VERSION.fullmatch(text):
        raise ValueError(f"api_version {text!r}: it must look like 7.4 or 2025-07-01")
    return text


def _text(what: str, text: str) -> None:
    kind(what, text, str)
    if SURROGATE.search(text):
        raise ValueError(f"{what}: it must be Unicode text, without lone surrogates")
