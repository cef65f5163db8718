"""Checks the data of a Secret against its type, before it is written; that keys exist is checked in the API.

Kubernetes checks little more than the keys; without these checks, the workloads that use the Secret would fail later.
https://kubernetes.io/docs/concepts/configuration/secret/#secret-types
"""

import base64
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from cryptography.exceptions import InternalError, UnsupportedAlgorithm

from vaultsync import bounded_json
from vaultsync.errors import Reason, SyncError
from vaultsync.render.private_keys import (
    KeyDataError,
    PemBlock,
    key_matches,
    load_certificates,
    load_private_key,
    pem_blocks,
)

KEY_TYPES: Final = frozenset({"kubernetes.io/tls", "kubernetes.io/ssh-auth"})
"""The types whose data are keys: their check is the work of another process, see `adapters.certificates`."""

Loaded = TypeVar("Loaded")


class _InvalidKey(Exception):
    """A key of the Secret, and what is wrong with its content: the text continues a sentence and holds no content."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(problem)
        self.key = key


def check_data(secret_type: str, data: Mapping[str, bytes], *, target: str) -> None:
    """Check the data of a Secret against its type; types without rules are not checked.

    Args:
        secret_type: The Secret's `type`.
        data: Contents by key.
        target: Namespace and name of the Secret, for the message.

    Raises:
        SyncError: TargetInvalid, with a message that names `target` and the key, and holds no content.
    """
    check = _CHECKS.get(secret_type)
    if check is None:
        return
    try:
        check(data)
    except _InvalidKey as error:
        problem = f"Key {error.key} {error}"
    else:
        return
    # Not inside the handler: the parsers' errors would be the context, and they may hold the content.
    raise SyncError(Reason.TARGET_INVALID, f"{problem}. Secret {target} of type {secret_type} would be unusable.")


def _check_tls(data: Mapping[str, bytes]) -> None:
    certificates = _load("tls.crt", data, load_certificates)
    key = _load("tls.key", data, load_private_key)
    if not certificates:
        raise _InvalidKey("tls.crt", "holds no certificate in PEM")
    if key_matches(key, certificates[0]):
        return
    if any(key_matches(key, certificate) for certificate in certificates):
        raise _InvalidKey("tls.crt", "does not begin with the certificate for tls.key")
    raise _InvalidKey("tls.crt", "holds no certificate for tls.key")


def _load(key: str, data: Mapping[str, bytes], load: Callable[[tuple[PemBlock, ...]], Loaded]) -> Loaded:
    try:
        return load(_blocks(key, data))
    except KeyDataError as error:
        raise _InvalidKey(key, str(error)) from None


def _blocks(key: str, data: Mapping[str, bytes]) -> tuple[PemBlock, ...]:
    blocks = pem_blocks(data.get(key, b""))
    if any(b"\n" not in block.text for block in blocks):
        raise _InvalidKey(key, "is PEM that has lost its line ends; set it again in the vault, from a file")
    return blocks


def _check_docker_config(data: Mapping[str, bytes]) -> None:
    key = ".dockerconfigjson"
    document = _json(key, data)
    if not isinstance(document, dict) or "auths" not in document:
        raise _InvalidKey(key, "is not a JSON object with a field auths")
    _check_logins(key, document["auths"])


def _check_old_docker_config(data: Mapping[str, bytes]) -> None:
    _check_logins(".dockercfg", _json(".dockercfg", data))


def _json(key: str, data: Mapping[str, bytes]) -> Any:  # noqa: ANN401  a JSON document is anything
    try:
        return bounded_json.parse(data.get(key, b""))
    except bounded_json.TooDeepError as error:
        raise _InvalidKey(key, f"is JSON that {error}; remove what does not belong to a Docker configuration") from None
    except ValueError:
        raise _InvalidKey(key, "is not valid JSON") from None


def _check_logins(key: str, logins: object) -> None:
    """Each registry has a login: user name and password, or both joined by a colon in base64, or a token."""
    if not isinstance(logins, dict):
        raise _InvalidKey(key, "holds no JSON object of registries and their logins")
    for place, login in enumerate(logins.values(), start=1):
        if not isinstance(login, dict):
            raise _InvalidKey(key, f"has no JSON object for its registry number {place}")
        auth = login.get("auth")
        if auth and not (isinstance(auth, str) and _is_login(auth)):
            raise _InvalidKey(key, f"has an auth that is not base64 of user:password for its registry number {place}")


def _is_login(auth: str) -> bool:
    try:
        return b":" in base64.b64decode(auth, validate=True)
    except ValueError:
        return False


def _check_basic_auth(data: Mapping[str, bytes]) -> None:
    """A colon ends a user name: https://www.rfc-editor.org/rfc/rfc7617#section-2."""
    if b":" in data.get("username", b""):
        raise _InvalidKey("username", "holds a colon, which basic authentication does not allow")


def _check_ssh_auth(data: Mapping[str, bytes]) -> None:
    key = "ssh-privatekey"
    blocks = _load(key, data, tuple)
    if len(blocks) != 1 or not blocks[0].label.endswith(b"PRIVATE KEY"):
        raise _InvalidKey(key, "holds no private key, or more than one")
    _load(key, data, lambda found: found[0].check_depth("private key"))
    try:
        blocks[0].load_key(None)
    except KeyDataError as error:
        raise _InvalidKey(key, str(error)) from None
    except (ValueError, UnsupportedAlgorithm, InternalError):
        raise _InvalidKey(key, "holds a private key that cannot be read") from None
    except TypeError:
        return  # protected by a passphrase, which only the workload needs


_CHECKS: Final[Mapping[str, Callable[[Mapping[str, bytes]], None]]] = {
    "kubernetes.io/tls": _check_tls,
    "kubernetes.io/dockerconfigjson": _check_docker_config,
    "kubernetes.io/dockercfg": _check_old_docker_config,
    "kubernetes.io/basic-auth": _check_basic_auth,
    "kubernetes.io/ssh-auth": _check_ssh_auth,
}
