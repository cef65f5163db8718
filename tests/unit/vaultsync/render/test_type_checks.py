"""What the content of a Secret must be for its type."""

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

from tests.unit.vaultsync.render.attempts import MARK, attempt, needs, told_by
from tests.unit.vaultsync.render.authorities import KINDS, a_bogus_rsa_key, a_line, a_party, in_pem, key_in_pem, the_key
from vaultsync.errors import Reason, SyncError
from vaultsync.render.type_checks import check_contents

TLS: Final = "kubernetes.io/tls"
DOCKER: Final = "kubernetes.io/dockerconfigjson"
OLD_DOCKER: Final = "kubernetes.io/dockercfg"
BASIC: Final = "kubernetes.io/basic-auth"
SSH: Final = "kubernetes.io/ssh-auth"

LOGIN: Final = base64.b64encode(b"app:s3cret").decode()


def refusal_of(kind: str, contents: Mapping[str, bytes]) -> SyncError | None:
    """What is said against the contents, if anything."""
    return attempt(lambda: check_contents(kind, contents, target="shop/web"))


def pair(crt: str, key: str) -> dict[str, bytes]:
    return {"tls.crt": crt.encode(), "tls.key": key.encode()}


def config(document: object) -> dict[str, bytes]:
    return {".dockerconfigjson": json.dumps(document).encode()}


def ssh_key(text: str) -> dict[str, bytes]:
    return {"ssh-privatekey": text.encode()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_with_its_key_and_chain_is_fine(kind: str) -> None:
    line = a_line(kind, between=1)

    assert refusal_of(TLS, pair(in_pem(party.certificate for party in line), key_in_pem(line[0].key))) is None


def _pairs() -> dict[str, tuple[dict[str, bytes], str]]:
    """What is wrong, with such a pair and what is said."""
    leaf, root = a_line(between=0)
    crt, key = in_pem([leaf.certificate]), key_in_pem(leaf.key)
    return {
        "a chain that begins with the root": (
            pair(in_pem([root.certificate]) + crt, key),
            "Key tls.crt does not begin with the certificate that tls.key belongs to",
        ),
        "another's certificate": (
            pair(in_pem([root.certificate]), key),
            "Key tls.crt holds no certificate that tls.key belongs to",
        ),
        "no certificate": (pair(key, key), "Key tls.crt holds no certificate in PEM"),
        "the wrong way round": (pair(key, crt), "Key tls.key holds no private key"),
        "a password": (pair(MARK, MARK), "Key tls.key holds no private key"),
        "nothing": ({}, "Key tls.key holds no private key"),
        "a protected key": (
            pair(crt, key_in_pem(leaf.key, MARK)),
            "Key tls.key holds a private key that is protected by a password, and none is given",
        ),
        "half a certificate": (pair(crt[:100], key), "Key tls.crt holds a PEM block that does not end"),
        "line ends that are lost": (
            pair(crt.replace("\n", " "), key),
            "Key tls.crt is PEM that has lost its line ends; set it anew in the vault, from a file",
        ),
    }


PAIRS: Final = _pairs()


@pytest.mark.parametrize("trouble", PAIRS)
def test_a_pair_is_refused_for(trouble: str) -> None:
    contents, told = PAIRS[trouble]

    refusal = refusal_of(TLS, contents)

    assert refusal is not None
    assert refusal.reason is Reason.TARGET_INVALID
    assert refusal.message == f"{told}, so that Secret shop/web of type kubernetes.io/tls would be of no use."


def test_a_long_key_of_a_server_is_nobodys_business_here() -> None:
    key = a_bogus_rsa_key(8192)

    refusal = refusal_of(TLS, pair(in_pem([a_party("leaf").certificate]), key_in_pem(key)))

    assert refusal is not None
    assert "tls.crt holds no certificate that tls.key belongs to" in refusal.message


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
def test_a_docker_configuration_is_fine_with(document: object) -> None:
    assert refusal_of(DOCKER, config(document)) is None


@pytest.mark.parametrize(
    ("contents", "told"),
    [
        ({".dockerconfigjson": MARK.encode()}, "is not valid JSON"),
        ({".dockerconfigjson": b"\xff"}, "is not valid JSON"),
        ({".dockerconfigjson": b"[" * 100_000}, "is not valid JSON"),
        ({}, "is not valid JSON"),
        (config([MARK]), "is no JSON object with a field auths"),
        (config({"r.example": {"auth": LOGIN}}), "is no JSON object with a field auths"),
        (config({"auths": [MARK]}), "holds no JSON object of registries and their logins"),
        (config({"auths": {"a": {}, MARK: MARK}}), "has no JSON object for its registry number 2"),
        (
            config({"auths": {MARK: {"auth": f"app:{MARK}"}}}),
            "has an auth that is no base64 of user:password for its registry number 1",
        ),
        (
            config({"auths": {MARK: {"auth": base64.b64encode(MARK.encode()).decode()}}}),
            "has an auth that is no base64 of user:password for its registry number 1",
        ),
        (config({"auths": {MARK: {"auth": 7}}}), "has an auth that is no base64 of user:password"),
    ],
    ids=[
        "text",
        "bytes",
        "endless nesting",
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
def test_a_docker_configuration_is_refused_for(contents: dict[str, bytes], told: str) -> None:
    refusal = refusal_of(DOCKER, contents)

    assert refusal is not None
    assert refusal.reason is Reason.TARGET_INVALID
    assert refusal.message.startswith(f"Key .dockerconfigjson {told}")
    assert MARK not in told_by(refusal)


@pytest.mark.parametrize(
    ("text", "is_fine"),
    [
        (json.dumps({"r.example": {"auth": LOGIN}}), True),
        (json.dumps({"auths": {"r.example": {"auth": LOGIN}}}), True),
        (json.dumps({"r.example": LOGIN}), False),
        ("{}", True),
        ("[]", False),
    ],
    ids=["logins by registry", "a registry called auths", "a login that is text", "no login", "a list"],
)
def test_the_older_docker_configuration(text: str, is_fine: bool) -> None:
    assert (refusal_of(OLD_DOCKER, {".dockercfg": text.encode()}) is None) == is_fine


@pytest.mark.parametrize(
    ("contents", "is_fine"),
    [
        ({"username": b"app", "password": b"s3:cret"}, True),
        ({"password": b"s3cret"}, True),
        ({"username": b"ap:p", "password": b"s3cret"}, False),
    ],
    ids=["a password may hold a colon", "a user name may be missing", "a user name must not hold a colon"],
)
def test_a_login_for_basic_authentication(contents: dict[str, bytes], is_fine: bool) -> None:
    assert (refusal_of(BASIC, contents) is None) == is_fine


@pytest.mark.parametrize("layout", [PrivateFormat.OpenSSH, PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_a_private_key_for_ssh_is_fine(layout: PrivateFormat, kind: str) -> None:
    assert refusal_of(SSH, ssh_key(key_in_pem(the_key(kind, "somebody"), layout=layout))) is None


@needs("ssh-keygen")
@pytest.mark.parametrize("arguments", [["-t", "ed25519"], ["-t", "rsa", "-m", "PEM"]], ids=["new", "old"])
def test_a_passphrase_is_the_business_of_whoever_uses_the_key(arguments: list[str], tmp_path: Path) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", *arguments, "-N", "s3cret", "-f", str(path)], check=True)

    assert refusal_of(SSH, ssh_key(path.read_text())) is None


def _ssh_keys() -> dict[str, tuple[dict[str, bytes], str]]:
    """What is wrong, with such a key and what is said."""
    key = key_in_pem(the_key("ec", "somebody"), layout=PrivateFormat.OpenSSH)
    lines = key.splitlines(keepends=True)
    return {
        "the public key": (ssh_key("ssh-ed25519 AAAA"), "holds no private key, or more than one"),
        "two keys": (ssh_key(key + key), "holds no private key, or more than one"),
        "nothing": ({}, "holds no private key, or more than one"),
        "a line that is lost": (ssh_key("".join(lines[:2] + lines[3:])), "holds a private key that cannot be read"),
        "line ends that are lost": (
            ssh_key(key.replace("\n", " ")),
            "is PEM that has lost its line ends; set it anew in the vault, from a file",
        ),
        "an end that is lost": (ssh_key(key[:-20]), "holds a PEM block that does not end"),
    }


SSH_KEYS: Final = _ssh_keys()


@pytest.mark.parametrize("trouble", SSH_KEYS)
def test_a_key_for_ssh_is_refused_for(trouble: str) -> None:
    contents, told = SSH_KEYS[trouble]

    refusal = refusal_of(SSH, contents)

    assert refusal is not None
    assert refusal.message.startswith(f"Key ssh-privatekey {told}, so that Secret shop/web ")


@pytest.mark.parametrize("kind", ["Opaque", "example.com/own"])
def test_other_types_hold_what_they_like(kind: str) -> None:
    assert refusal_of(kind, {"anything": b"\xff", "tls.crt": b""}) is None


@given(
    kind=st.sampled_from([TLS, DOCKER, OLD_DOCKER, BASIC, SSH]),
    contents=st.dictionaries(
        st.sampled_from(["tls.crt", "tls.key", ".dockerconfigjson", ".dockercfg", "username", "ssh-privatekey"]),
        st.binary() | st.text().map(str.encode) | st.sampled_from([key_in_pem(the_key("ec", "somebody")).encode()]),
    ),
)
def test_any_contents_are_fine_or_refused_by_key(kind: str, contents: dict[str, bytes]) -> None:
    refusal = refusal_of(kind, contents)

    assert refusal is None or (refusal.reason is Reason.TARGET_INVALID and refusal.message.startswith("Key "))
