"""Checks the configuration of image registries by the rules of the kubelet, which reads it.

A login of one registry that the kubelet cannot decode makes it fail for all of them, as do fields of a wrong type.
https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/credentialprovider/config.go
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from vaultsync import bounded_json
from vaultsync.render.strict_base64 import decode_base64
from vaultsync.render.values.documents import FormatError, Literal
from vaultsync.render.values.json_text import parse_json

_MARK: Final = b"\xef\xbb\xbf"
_TEXTS: Final = ("username", "password", "email", "auth")


class DockerConfigError(Exception):
    """What is wrong with a configuration: the text continues a sentence that names it, and holds nothing of it."""


def normalized_config(content: bytes) -> bytes:
    """Return the content of `.dockerconfigjson` without a byte order mark, which is no JSON.

    Raises:
        DockerConfigError: The kubelet could not decode it, or would find no login in it.
    """
    content = content.removeprefix(_MARK)
    document = _parsed(content)
    found = list(_fields(document, "auths"))
    for logins in found:
        _check_logins(logins)
    if not found and any(isinstance(value, dict) and value.get("auth") for value in document.values()):
        raise DockerConfigError(
            "holds logins without the field auths around them; put them there, or write them as .dockercfg of a Secret "
            "of type kubernetes.io/dockercfg"
        )
    for headers in _fields(document, "HttpHeaders"):
        if not (headers is None or (isinstance(headers, dict) and all(map(_is_text, headers.values())))):
            raise DockerConfigError("has HttpHeaders that are not texts; correct or remove them")
    return content


def normalized_old_config(content: bytes) -> bytes:
    """Return the content of `.dockercfg` likewise.

    Raises:
        DockerConfigError: As `normalized_config`.
    """
    content = content.removeprefix(_MARK)
    document = _parsed(content)
    _check_logins(document)
    inner = document.get("auths")
    if isinstance(inner, dict) and any(isinstance(login, dict) and login.get("auth") for login in inner.values()):
        raise DockerConfigError(
            "holds the field auths, which this type does not have; write it as .dockerconfigjson of a Secret of type "
            "kubernetes.io/dockerconfigjson"
        )
    return content


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        # As Go reads it, bytes that are no UTF-8 do not spoil the rest.
        document = parse_json(content.decode(errors="replace"))
    except bounded_json.TooDeepError as error:
        problem = f"is JSON that {error}; remove what does not belong to a Docker configuration"
        raise DockerConfigError(problem) from None
    except FormatError as error:
        encoded = "is the base64 of JSON; set encoding: Base64 on its entry"
        raise DockerConfigError(encoded if _is_encoded(content) else f"is not valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise DockerConfigError("is JSON, but no object")
    return document


def _is_encoded(content: bytes) -> bool:
    try:
        return decode_base64(content).lstrip().startswith(b"{")
    except ValueError:
        return False


def _fields(document: Mapping[str, Any], name: str) -> Iterator[Any]:
    """Yield the values that Go takes for a field: it ignores case."""
    return (value for field, value in document.items() if field.casefold() == name.casefold())


def _is_text(value: object) -> bool:
    return value is None or (isinstance(value, str) and not isinstance(value, Literal))


def _check_logins(logins: object) -> None:
    """Check logins by registry: user name and password, both joined by a colon in base64, or neither."""
    if logins is None:
        return
    if not isinstance(logins, dict):
        raise DockerConfigError("holds no JSON object of registries and their logins")
    for place, login in enumerate(logins.values(), start=1):
        problem = _login_problem(login)
        if problem is not None:
            raise DockerConfigError(f"has {problem} for its registry number {place}, so the kubelet reads none of them")


def _login_problem(login: object) -> str | None:
    if login is None:
        return None
    if not isinstance(login, dict):
        return "no JSON object"
    for name in _TEXTS:
        if not all(map(_is_text, _fields(login, name))):
            return f"a field {name} that is no text"
    if any(auth and not _is_login(auth) for auth in _fields(login, "auth")):
        return "an auth that is not base64 of user:password"
    return None


def _is_login(auth: str) -> bool:
    """Decode as Go does: line ends are skipped, other whitespace is not, and padding may be left out as a whole."""
    text = auth.replace("\r", "").replace("\n", "")
    if not auth.strip().endswith("="):
        text += "=" * (-len(text) % 4)
    try:
        return text.split() == [text] and b":" in decode_base64(text.encode())
    except ValueError:
        return False
