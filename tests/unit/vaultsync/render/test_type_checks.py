"""What the data of a Secret must be for its type."""

import base64
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.serialization import PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vaultsync.render.attempts import MARK, attempt, needs, visible_text
from tests.unit.vaultsync.render.authorities import KINDS, a_bogus_rsa_key, a_line, a_party, in_pem, key_in_pem, the_key
from vaultsync.errors import Reason, SyncError
from vaultsync.render.type_checks import check_data

TLS: Final = "kubernetes.io/tls"
DOCKER: Final = "kubernetes.io/dockerconfigjson"
OLD_DOCKER: Final = "kubernetes.io/dockercfg"
BASIC: Final = "kubernetes.io/basic-auth"
SSH: Final = "kubernetes.io/ssh-auth"

LOGIN: Final = base64.b64encode(b"app:s3cret").decode()


def error_of(kind: str, contents: Mapping[str, bytes]) -> SyncError | None:
    """The error for this data, or None."""
    return attempt(lambda: check_data(kind, contents, target="shop/web"))


def pair(crt: str, key: str) -> dict[str, bytes]:
    return {"tls.crt": crt.encode(), "tls.key": key.encode()}


def config(document: object) -> dict[str, bytes]:
    return {".dockerconfigjson": json.dumps(document).encode()}


def ssh_key(text: str) -> dict[str, bytes]:
    return {"ssh-privatekey": text.encode()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_with_its_key_and_chain_is_valid(kind: str) -> None:
    line = a_line(kind, between=1)

    assert error_of(TLS, pair(in_pem(party.certificate for party in line), key_in_pem(line[0].key))) is None


def _pairs() -> dict[str, tuple[dict[str, bytes], str]]:
    """Pairs and their errors, by what is wrong."""
    leaf, root = a_line(between=0)
    crt, key = in_pem([leaf.certificate]), key_in_pem(leaf.key)
    return {
        "a chain that begins with the root": (
            pair(in_pem([root.certificate]) + crt, key),
            "Key tls.crt does not begin with the certificate for tls.key",
        ),
        "the certificate of another key": (
            pair(in_pem([root.certificate]), key),
            "Key tls.crt holds no certificate for tls.key",
        ),
        "no certificate": (pair(key, key), "Key tls.crt holds no certificate in PEM"),
        "certificate and key swapped": (pair(key, crt), "Key tls.key holds no private key"),
        "a password": (pair(MARK, MARK), "Key tls.key holds no private key"),
        "nothing": ({}, "Key tls.key holds no private key"),
        "a protected key": (
            pair(crt, key_in_pem(leaf.key, MARK)),
            "Key tls.key holds a private key that is protected by a password, and none is given",
        ),
        "half a certificate": (pair(crt[:100], key), "Key tls.crt holds a PEM block that does not end"),
        "lost line ends": (
            pair(crt.replace("\n", " "), key),
            "Key tls.crt is PEM that has lost its line ends; set it again in the vault, from a file",
        ),
    }


PAIRS: Final = _pairs()


@pytest.mark.parametrize("problem", PAIRS)
def test_a_pair_is_invalid_with(problem: str) -> None:
    contents, message = PAIRS[problem]

    error = error_of(TLS, contents)

    assert error is not None
    assert error.reason is Reason.TARGET_INVALID
    assert error.message == f"{message}. Secret shop/web of type kubernetes.io/tls would be unusable."


def test_the_length_of_a_key_is_not_checked() -> None:
    key = a_bogus_rsa_key(8192)

    error = error_of(TLS, pair(in_pem([a_party("leaf").certificate]), key_in_pem(key)))

    assert error is not None
    assert "tls.crt holds no certificate for tls.key" in error.message


@pytest.mark.parametrize(
    "document",
    [
        {"auths": {"r.example": {"auth": LOGIN}}},
        {"auths": {"r.example": {"username": "app", "password": "s3cret"}}},
        {"auths": {"r.example": {"auth": "", "identitytoken": "x"}}},
        {"auths": {}, "credHelpers": {"r.example": "ecr-login"}},
    ],
    ids=["a login in base64", "user name and password", "a token", "no login but a program for it"],
)
def test_a_docker_configuration_is_valid_with(document: object) -> None:
    assert error_of(DOCKER, config(document)) is None


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({".dockerconfigjson": MARK.encode()}, "is not valid JSON"),
        ({".dockerconfigjson": b"\xff"}, "is not valid JSON"),
        ({".dockerconfigjson": b"[" * 65 + b"]" * 65}, "is JSON that nests deeper than 64 levels"),
        ({}, "is not valid JSON"),
        (config([MARK]), "is not a JSON object with a field auths"),
        (config({"r.example": {"auth": LOGIN}}), "is not a JSON object with a field auths"),
        (config({"auths": [MARK]}), "holds no JSON object of registries and their logins"),
        (config({"auths": {"a": {}, MARK: MARK}}), "has no JSON object for its registry number 2"),
        (
            config({"auths": {MARK: {"auth": f"app:{MARK}"}}}),
            "has an auth that is not base64 of user:password for its registry number 1",
        ),
        (
            config({"auths": {MARK: {"auth": base64.b64encode(MARK.encode()).decode()}}}),
            "has an auth that is not base64 of user:password for its registry number 1",
        ),
        (config({"auths": {MARK: {"auth": 7}}}), "has an auth that is not base64 of user:password"),
    ],
    ids=[
        "text",
        "bytes",
        "deep nesting",
        "nothing",
        "a list",
        "the older layout",
        "a list of logins",
        "a login that is text",
        "a login that is not in base64",
        "a login without a colon",
        "a login that is a number",
    ],
)
def test_a_docker_configuration_is_invalid_with(contents: dict[str, bytes], message: str) -> None:
    error = error_of(DOCKER, contents)

    assert error is not None
    assert error.reason is Reason.TARGET_INVALID
    assert error.message.startswith(f"Key .dockerconfigjson {message}")
    assert MARK not in visible_text(error)


@pytest.mark.parametrize(
    ("text", "is_valid"),
    [
        (json.dumps({"r.example": {"auth": LOGIN}}), True),
        (json.dumps({"auths": {"r.example": {"auth": LOGIN}}}), True),
        (json.dumps({"r.example": LOGIN}), False),
        ("{}", True),
        ("[]", False),
    ],
    ids=["logins by registry", "a registry called auths", "a login that is text", "no login", "a list"],
)
def test_the_older_docker_configuration_is_checked(text: str, is_valid: bool) -> None:
    assert (error_of(OLD_DOCKER, {".dockercfg": text.encode()}) is None) == is_valid


@pytest.mark.parametrize(
    ("contents", "is_valid"),
    [
        ({"username": b"app", "password": b"s3:cret"}, True),
        ({"password": b"s3cret"}, True),
        ({"username": b"ap:p", "password": b"s3cret"}, False),
    ],
    ids=["a colon in the password", "a missing user name", "a colon in the user name"],
)
def test_a_login_for_basic_authentication_is_checked(contents: dict[str, bytes], is_valid: bool) -> None:
    assert (error_of(BASIC, contents) is None) == is_valid


@pytest.mark.parametrize("layout", [PrivateFormat.OpenSSH, PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_a_private_key_for_ssh_is_valid(layout: PrivateFormat, kind: str) -> None:
    assert error_of(SSH, ssh_key(key_in_pem(the_key(kind, "owner"), layout=layout))) is None


@pytest.mark.slow
@needs("ssh-keygen")
@pytest.mark.parametrize("arguments", [["-t", "ed25519"], ["-t", "rsa", "-m", "PEM"]], ids=["new", "old"])
def test_a_private_key_for_ssh_may_have_a_passphrase(arguments: list[str], tmp_path: Path) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", *arguments, "-N", "s3cret", "-f", str(path)], check=True)

    assert error_of(SSH, ssh_key(path.read_text())) is None


def _ssh_keys() -> dict[str, tuple[dict[str, bytes], str]]:
    """Keys and their errors, by what is wrong."""
    key = key_in_pem(the_key("ec", "owner"), layout=PrivateFormat.OpenSSH)
    lines = key.splitlines(keepends=True)
    return {
        "the public key": (ssh_key("ssh-ed25519 AAAA"), "holds no private key, or more than one"),
        "two keys": (ssh_key(key + key), "holds no private key, or more than one"),
        "nothing": ({}, "holds no private key, or more than one"),
        "a lost line": (ssh_key("".join(lines[:2] + lines[3:])), "holds a private key that cannot be read"),
        "lost line ends": (
            ssh_key(key.replace("\n", " ")),
            "is PEM that has lost its line ends; set it again in the vault, from a file",
        ),
        "a lost end": (ssh_key(key[:-20]), "holds a PEM block that does not end"),
    }


SSH_KEYS: Final = _ssh_keys()


@pytest.mark.parametrize("problem", SSH_KEYS)
def test_a_private_key_for_ssh_is_invalid_with(problem: str) -> None:
    contents, message = SSH_KEYS[problem]

    error = error_of(SSH, contents)

    assert error is not None
    assert error.message.startswith(f"Key ssh-privatekey {message}. Secret shop/web ")


@pytest.mark.parametrize("kind", ["Opaque", "example.com/own"])
def test_other_types_are_not_checked(kind: str) -> None:
    assert error_of(kind, {"anything": b"\xff", "tls.crt": b""}) is None


@given(
    kind=st.sampled_from([TLS, DOCKER, OLD_DOCKER, BASIC, SSH]),
    contents=st.dictionaries(
        st.sampled_from(["tls.crt", "tls.key", ".dockerconfigjson", ".dockercfg", "username", "ssh-privatekey"]),
        st.binary() | st.text().map(str.encode) | st.sampled_from([key_in_pem(the_key("ec", "owner")).encode()]),
    ),
)
def test_any_data_is_valid_or_an_error_that_names_the_key(kind: str, contents: dict[str, bytes]) -> None:
    error = error_of(kind, contents)

    assert error is None or (error.reason is Reason.TARGET_INVALID and error.message.startswith("Key "))
