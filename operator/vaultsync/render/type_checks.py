"""What the content of a Secret must be for its type, before it is written; the keys themselves are checked in the API.

Kubernetes looks at little more than the keys, and whoever uses the Secret fails later, in another place.
https://kubernetes.io/docs/concepts/configuration/secret/#secret-types
"""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

from vaultsync.errors import Reason, SyncError
from vaultsync.render.private_keys import Block, Unusable, belong_together, blocks_of, certificates_in, private_key_in

_OPENSSH: Final = b"OPENSSH PRIVATE KEY"

Material = TypeVar("Material")


class _Wrong(Exception):
    """The key, and what is wrong with its content: a text that continues a sentence and holds nothing of it."""

    def __init__(self, key: str, trouble: str) -> None:
        super().__init__(trouble)
        self.key = key


def check_contents(secret_type: str, contents: Mapping[str, bytes], *, target: str) -> None:
    """Look at what the Secret would hold; keys that are missing, and types without rules, are not looked at.

    Raises:
        SyncError: TargetInvalid, with a message that names `target`, which is namespace and name of the Secret, and the
            key.
    """
    check = _CHECKS.get(secret_type)
    if check is None:
        return
    try:
        check(contents)
    except _Wrong as error:
        trouble = f"Key {error.key} {error}"
    else:
        return
    # Not inside the handler: the parsers' errors would come along as context, and they know the content.
    raise SyncError(
        Reason.TARGET_INVALID, f"{trouble}, so that Secret {target} of type {secret_type} would be of no use."
    )


def _check_tls(contents: Mapping[str, bytes]) -> None:
    certificates = _material("tls.crt", contents, certificates_in)
    key = _material("tls.key", contents, private_key_in)
    if not certificates:
        raise _Wrong("tls.crt", "holds no certificate in PEM")
    if belong_together(key, certificates[0]):
        return
    if any(belong_together(key, certificate) for certificate in certificates):
        raise _Wrong("tls.crt", "does not begin with the certificate that tls.key belongs to")
    raise _Wrong("tls.crt", "holds no certificate that tls.key belongs to")


def _material(key: str, contents: Mapping[str, bytes], read: Callable[[tuple[Block, ...]], Material]) -> Material:
    try:
        return read(_blocks(key, contents))
    except Unusable as error:
        raise _Wrong(key, str(error)) from None


def _blocks(key: str, contents: Mapping[str, bytes]) -> tuple[Block, ...]:
    blocks = blocks_of(contents.get(key, b""))
    if any(b"\n" not in block.text for block in blocks):
        raise _Wrong(key, "is PEM that has lost its line ends; set it anew in the vault, from a file")
    return blocks


def _check_docker_config(contents: Mapping[str, bytes]) -> None:
    key = ".dockerconfigjson"
    document = _json(key, contents)
    if not isinstance(document, dict) or "auths" not in document:
        raise _Wrong(key, "is no JSON object with a field auths")
    _check_logins(key, document["auths"])


def _check_old_docker_config(contents: Mapping[str, bytes]) -> None:
    _check_logins(".dockercfg", _json(".dockercfg", contents))


def _json(key: str, contents: Mapping[str, bytes]) -> Any:  # noqa: ANN401  a JSON document is anything
    try:
        return json.loads(contents.get(key, b"").decode())
    except (ValueError, RecursionError):
        raise _Wrong(key, "is not valid JSON") from None


def _check_logins(key: str, logins: object) -> None:
    """Each registry has a login: user name and password, or both joined by a colon in base64, or a token."""
    if not isinstance(logins, dict):
        raise _Wrong(key, "holds no JSON object of registries and their logins")
    for place, login in enumerate(logins.values(), start=1):
        if not isinstance(login, dict):
            raise _Wrong(key, f"has no JSON object for its registry number {place}")
        auth = login.get("auth")
        if auth and not (isinstance(auth, str) and _is_login(auth)):
            raise _Wrong(key, f"has an auth that is no base64 of user:password for its registry number {place}")


def _is_login(auth: str) -> bool:
    try:
        return b":" in base64.b64decode(auth, validate=True)
    except ValueError:
        return False


def _check_basic_auth(contents: Mapping[str, bytes]) -> None:
    """A colon ends a user name: https://www.rfc-editor.org/rfc/rfc7617#section-2."""
    if b":" in contents.get("username", b""):
        raise _Wrong("username", "holds a colon, which basic authentication does not allow")


def _check_ssh_auth(contents: Mapping[str, bytes]) -> None:
    key = "ssh-privatekey"
    blocks = _material(key, contents, tuple)
    if len(blocks) != 1 or not blocks[0].label.endswith(b"PRIVATE KEY"):
        raise _Wrong(key, "holds no private key, or more than one")
    load = load_ssh_private_key if blocks[0].label == _OPENSSH else load_pem_private_key
    try:
        load(blocks[0].text, None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, UnsupportedAlgorithm):
        raise _Wrong(key, "holds a private key that cannot be read") from None
    except TypeError:
        return  # protected by a passphrase, which whoever uses it has


_CHECKS: Final[Mapping[str, Callable[[Mapping[str, bytes]], None]]] = {
    "kubernetes.io/tls": _check_tls,
    "kubernetes.io/dockerconfigjson": _check_docker_config,
    "kubernetes.io/dockercfg": _check_old_docker_config,
    "kubernetes.io/basic-auth": _check_basic_auth,
    "kubernetes.io/ssh-auth": _check_ssh_auth,
}
