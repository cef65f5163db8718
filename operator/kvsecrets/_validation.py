"""Checks arguments before any request: each function returns its input, or raises an error that names the rule.

Only types and rules that the vendor documents are checked. An error never contains a secret value.
https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates and
https://learn.microsoft.com/azure/key-vault/secrets/about-secrets
"""

import re
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlsplit

from kvsecrets.models import SURROGATE, SecretValue

MAX_VALUE_CHARACTERS = 25_600
MAX_CONTENT_TYPE_CHARACTERS = 255
MAX_TAGS = 15
MAX_TAG_CHARACTERS = 256
MAX_PAGE_SIZE = 25
MAX_TIMEOUT_SECONDS = 86_400
_HOST = re.compile(r"[0-9a-z._-]{1,253}|[0-9a-f:.]{2,45}", re.ASCII)
_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}", re.ASCII)
_VERSION = re.compile(r"[0-9a-fA-F]{32}", re.ASCII)
_API_VERSION = re.compile(r"[0-9a-zA-Z.-]{1,64}", re.ASCII)
_APPLICATION_ID = re.compile(r"[0-9a-zA-Z._/-]{1,24}", re.ASCII)


def check_type(argument: str, value: object, *types: type) -> None:
    """Raise a `TypeError` unless a value has one of these types. The error names the types, not the value."""
    if not isinstance(value, types):
        expected = " or ".join(each.__name__ for each in types)
        raise TypeError(f"{argument}: must be of type {expected}, not {type(value).__name__}")


def vault_url(url: str) -> str:
    """Return a vault's URL as `https://host[:port]`. http is rejected, since each request carries a token."""
    check_type("vault URL", url, str)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"vault URL {url!r}: not a valid URL") from None
    if not host or not _HOST.fullmatch(host) or parts.scheme.lower() != "https":
        raise ValueError(f"vault URL {url!r}: must be https:// and a host")
    if "@" in parts.netloc or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"vault URL of host {host!r}: must not contain a user, path, query or fragment")
    if ":" in host:
        host = f"[{host}]"
    return f"https://{host}" if port in (None, 443) else f"https://{host}:{port}"


def secret_name(name: str) -> str:
    """Return the name of a secret."""
    check_type("secret name", name, str)
    if not _NAME.fullmatch(name):
        raise ValueError(f"secret name {name!r}: must be 1 to 127 characters of 0-9, a-z, A-Z and '-'")
    return name


def secret_version(version: str | None) -> str | None:
    """Return the id of a version, or None for the newest."""
    if version is None:
        return None
    check_type("secret version", version, str)
    if not _VERSION.fullmatch(version):
        raise ValueError(f"secret version {version!r}: must be 32 hexadecimal digits, or None for the newest")
    return version


def application_id(text: str) -> str:
    """Return the name of an application, which is the beginning of the user agent.

    The vendor's clients have the same limit.
    https://learn.microsoft.com/dotnet/api/azure.core.diagnosticsoptions.applicationid
    """
    check_type("application_id", text, str)
    if not _APPLICATION_ID.fullmatch(text):
        raise ValueError(f"application_id {text!r}: must be 1 to 24 characters of 0-9, a-z, A-Z, '.', '_', '/' and '-'")
    return text


def secret_value(value: SecretValue | str) -> str:
    """Return a secret value as text. The service counts characters; an empty value is valid."""
    text = (value if isinstance(value, SecretValue) else SecretValue(value)).reveal()
    if len(text) > MAX_VALUE_CHARACTERS:
        raise ValueError(f"secret value of {len(text)} characters: must be at most {MAX_VALUE_CHARACTERS}")
    return text


def content_type(text: str) -> str:
    """Return the content type."""
    _check_text("content type", text)
    if len(text) > MAX_CONTENT_TYPE_CHARACTERS:
        raise ValueError(f"content type of {len(text)} characters: must be at most {MAX_CONTENT_TYPE_CHARACTERS}")
    return text


def tags(pairs: Mapping[str, str]) -> dict[str, str]:
    """Return the tags as a dictionary of their own."""
    check_type("tags", pairs, Mapping)
    if len(pairs) > MAX_TAGS:
        raise ValueError(f"{len(pairs)} tags: a secret has at most {MAX_TAGS}")
    for name, text in pairs.items():
        _check_text("name of a tag", name)
        _check_text("value of a tag", text)
        if not 1 <= len(name) <= MAX_TAG_CHARACTERS or len(text) > MAX_TAG_CHARACTERS:
            raise ValueError(
                f"tag {name[:40]!r}: names must be 1 to {MAX_TAG_CHARACTERS} characters, "
                f"values at most {MAX_TAG_CHARACTERS}"
            )
    return dict(pairs)


def timestamp(argument: str, moment: datetime) -> int:
    """Return an aware datetime as the service stores it: whole seconds since 1970."""
    check_type(argument, moment, datetime)
    if moment.tzinfo is None:
        raise ValueError(f"{argument} {moment.isoformat()}: must have a time zone, such as datetime.UTC")
    seconds = int(moment.timestamp())
    if seconds < 0:
        raise ValueError(f"{argument} {moment.isoformat()}: must not be before 1970")
    return seconds


def enabled(flag: bool) -> bool:  # noqa: FBT001 - the value that is checked, not an option
    """Return whether a secret is enabled."""
    check_type("enabled", flag, bool)
    return flag


def timeout(seconds: float) -> float:
    """Return a timeout in seconds."""
    check_type("timeout", seconds, float, int)
    if not 0 < seconds <= MAX_TIMEOUT_SECONDS:
        raise ValueError(f"timeout {seconds}: must be above 0 and at most {MAX_TIMEOUT_SECONDS} seconds")
    return seconds


def not_negative(argument: str, seconds: float) -> float:
    """Return seconds, of which 0 are enough."""
    check_type(argument, seconds, float, int)
    if not seconds >= 0:  # unlike `seconds < 0`, this is true of NaN
        raise ValueError(f"{argument} {seconds}: must be 0 or more seconds")
    return seconds


def page_size(count: int | None) -> int | None:
    """Return a page size in rows, or None for the service's default."""
    if count is None:
        return None
    check_type("max_page_size", count, int)
    if not 1 <= count <= MAX_PAGE_SIZE:
        raise ValueError(f"max_page_size {count}: must be 1 to {MAX_PAGE_SIZE}")
    return count


def api_version(version: str) -> str:
    """Return an API version; the service decides whether it supports it."""
    check_type("api_version", version, str)
    if not _API_VERSION.fullmatch(version):
        raise ValueError(f"api_version {version!r}: must look like 7.4 or 2025-07-01")
    return version


def _check_text(argument: str, text: str) -> None:
    check_type(argument, text, str)
    if SURROGATE.search(text):
        raise ValueError(f"{argument}: must be Unicode text without unpaired surrogates")
