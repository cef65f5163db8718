"""Certificates out of a vault: leaf first, chain in order, a key that fits; or a sentence that says what is wrong."""

import asyncio
import base64
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsecrets import SecretValue
from tests.unit.vaultsync.render.attempts import MARK, attempt, told_by
from tests.unit.vaultsync.render.authorities import (
    BEGIN,
    END,
    HOST,
    KINDS,
    Party,
    a_line,
    a_party,
    in_pem,
    in_pkcs12,
    key_in_pem,
    the_key,
)
from vaultsync.errors import Reason, SyncError
from vaultsync.render.certificates import PEM_TYPE, PKCS12_TYPE, CertifiedKey, certified_key
from vaultsync.render.private_keys import PrivateKey

ORIGIN: Final = "Secret shop-tls of vault v"
PASSWORD: Final = SecretValue(MARK)

STRANGERS: Final = [a_party("stranger"), a_party("strange leaf", by=a_party("stranger"))]
"""Their certificates belong to no chain of ours."""


def in_container(
    kind: str, key: PrivateKey, certificates: list[x509.Certificate], password: SecretValue | None = None
) -> str:
    """A key and certificates as a vault keeps them."""
    secret = password.reveal() if password is not None else None
    if kind == PKCS12_TYPE:
        return in_pkcs12(key, certificates, secret)
    return key_in_pem(key, secret) + in_pem(certificates)


def certificates_of(parties: list[Party]) -> list[x509.Certificate]:
    return [party.certificate for party in parties]


@settings(max_examples=60)
@given(
    container=st.sampled_from([PKCS12_TYPE, PEM_TYPE]),
    tells_type=st.booleans(),
    kind=st.sampled_from(KINDS),
    between=st.integers(0, 3),
    with_root=st.booleans(),
    foreign=st.lists(st.sampled_from(STRANGERS), unique_by=id),
    password=st.sampled_from([None, PASSWORD]),
    data=st.data(),
)
def test_any_container_gives_the_leaf_first_and_its_chain_in_order(
    *,
    container: str,
    tells_type: bool,
    kind: str,
    between: int,
    with_root: bool,
    foreign: list[Party],
    password: SecretValue | None,
    data: st.DataObject,
) -> None:
    line = a_line(kind, between=between)
    latched = [*(line if with_root else line[:-1]), *foreign]
    shuffled = data.draw(st.permutations(certificates_of(latched)))
    text = in_container(container, line[0].key, shuffled, password)

    certified = certified_key(text, origin=ORIGIN, content_type=container if tells_type else None, password=password)

    assert list(certified.chain) == certificates_of(line[:-1])
    assert certified.root == (line[-1].certificate if with_root else None)
    assert x509.load_pem_x509_certificates(certified.tls_crt) == certificates_of(line[:-1])
    assert load_pem_private_key(certified.tls_key, None).public_key() == line[0].certificate.public_key()
    assert certified.tls_key.startswith(b"-----BEGIN PRIVATE KEY-----\n")


@settings(max_examples=30)
@given(container=st.sampled_from([PKCS12_TYPE, PEM_TYPE]), kind=st.sampled_from(KINDS), count=st.integers(0, 3))
def test_a_foreign_key_never_comes_out_as_a_pair(container: str, kind: str, count: int) -> None:
    text = in_container(container, the_key(kind, "somebody else"), certificates_of(a_line(between=2))[:count])

    refusal = attempt(lambda: certified_key(text, origin=ORIGIN))

    assert isinstance(refusal, SyncError)
    assert refusal.reason is Reason.CERTIFICATE_INVALID


_line = a_line("rsa")
_stores = [
    base64.b64decode(in_pkcs12(_line[0].key, certificates_of(_line), secret)) for secret in (None, PASSWORD.reveal())
]
_pems = [(key_in_pem(_line[0].key, secret) + in_pem(certificates_of(_line))).encode() for secret in (None, MARK)]


@settings(max_examples=300)
@given(
    content=st.sampled_from(_stores + _pems),
    place=st.floats(0, 1, exclude_max=True),
    spoiled=st.binary(max_size=3),
    content_type=st.sampled_from([PKCS12_TYPE, PEM_TYPE, None]),
    password=st.sampled_from([None, PASSWORD, SecretValue("wrong")]),
)
def test_any_spoiled_content_gives_a_pair_or_certificate_invalid(
    content: bytes, place: float, spoiled: bytes, content_type: str | None, password: SecretValue | None
) -> None:
    at = int(place * len(content))
    content = content[:at] + spoiled + content[at + 2 :]
    text = content.decode("latin-1") if content.startswith(b"-----") else base64.b64encode(content).decode()

    result = attempt(lambda: certified_key(text, origin=ORIGIN, content_type=content_type, password=password))

    assert isinstance(result, CertifiedKey) or result.reason is Reason.CERTIFICATE_INVALID


@given(text=st.text(alphabet=st.characters()), content_type=st.sampled_from([PKCS12_TYPE, PEM_TYPE, "text/plain"]))
def test_any_text_is_refused(text: str, content_type: str) -> None:
    refusal = attempt(lambda: certified_key(text, origin=ORIGIN, content_type=content_type))

    assert isinstance(refusal, SyncError)
    assert refusal.reason is Reason.CERTIFICATE_INVALID


def test_a_self_signed_certificate_is_its_own_chain_and_root() -> None:
    leaf = a_party("leaf")

    certified = certified_key(in_container(PEM_TYPE, leaf.key, [leaf.certificate]), origin=ORIGIN)

    assert certified.chain == (leaf.certificate,)
    assert certified.root == leaf.certificate


def test_the_newest_of_several_certificates_about_the_key_is_the_leaf() -> None:
    root = a_party("root")
    old = a_party("leaf", by=root, begin=BEGIN)
    new = a_party("leaf", by=root, begin=BEGIN + timedelta(days=365))

    certified = certified_key(
        in_container(PEM_TYPE, old.key, [old.certificate, root.certificate, new.certificate]), origin=ORIGIN
    )

    assert certified.chain == (new.certificate,)


@pytest.mark.parametrize("swapped", [False, True])
def test_of_two_certificates_of_an_issuer_the_one_that_is_a_root_ends_the_chain(swapped: bool) -> None:
    elder, younger = a_party("elder root"), a_party("younger root")
    cross_signed = a_party("younger root", by=elder, key=younger.key, end=END + timedelta(days=365))
    leaf = a_party("leaf", by=younger)
    issuers = certificates_of([younger, cross_signed, elder])

    certified = certified_key(
        in_container(PEM_TYPE, leaf.key, [*(issuers[::-1] if swapped else issuers), leaf.certificate]), origin=ORIGIN
    )

    assert (certified.chain, certified.root) == ((leaf.certificate,), younger.certificate)


def test_a_circle_of_certificates_that_vouch_for_each_other_ends() -> None:
    one, other = a_party("one"), a_party("other")
    one_by_other, other_by_one = a_party("one", by=other, key=one.key), a_party("other", by=one, key=other.key)
    leaf = a_party("leaf", by=one)
    circle = certificates_of([leaf, one_by_other, other_by_one])

    certified = certified_key(in_container(PEM_TYPE, leaf.key, circle), origin=ORIGIN)

    assert certified.chain == tuple(circle)
    assert certified.root is None


def test_an_issuer_of_the_right_name_with_the_wrong_key_is_left_out() -> None:
    root, impostor = a_party("root"), a_party("root", key=the_key("ec", "impostor"))
    leaf = a_party("leaf", by=root)

    certified = certified_key(in_container(PEM_TYPE, leaf.key, certificates_of([leaf, impostor])), origin=ORIGIN)

    assert certified.chain == (leaf.certificate,)
    assert certified.root is None


def test_until_when_it_is_valid_is_what_the_leaf_says() -> None:
    end = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    leaf = a_party("leaf", by=a_party("root"), end=end)

    certified = certified_key(in_container(PKCS12_TYPE, leaf.key, [leaf.certificate]), origin=ORIGIN)

    assert certified.not_valid_after == end


def test_the_root_is_there_for_whoever_asks_for_it() -> None:
    line = a_line()

    certified = certified_key(in_container(PEM_TYPE, line[0].key, certificates_of(line)), origin=ORIGIN)

    assert certified.ca_crt == in_pem([line[-1].certificate]).encode()


def test_who_asks_for_a_root_that_is_not_there_is_told() -> None:
    line = a_line()
    certified = certified_key(in_container(PEM_TYPE, line[0].key, certificates_of(line[:-1])), origin=ORIGIN)

    with pytest.raises(SyncError, match="holds no root certificate at the end of its chain") as refused:
        _ = certified.ca_crt

    assert refused.value.reason is Reason.CERTIFICATE_INVALID


def test_the_same_content_gives_the_same_bytes() -> None:
    line = a_line("rsa", between=2)
    text = in_container(PKCS12_TYPE, line[0].key, certificates_of(line), PASSWORD)

    first, second = (certified_key(text, origin=ORIGIN, password=PASSWORD) for _ in range(2))

    assert (first.tls_crt, first.tls_key) == (second.tls_crt, second.tls_key)


def _refused() -> dict[str, tuple[str, str | None, SecretValue | None, str]]:
    """What is wrong, with a text of that kind, its content type, a password, and what is said."""
    leaf, root = a_line(between=0)
    alone = key_in_pem(leaf.key)
    store = in_pkcs12(leaf.key, [leaf.certificate], MARK)
    return {
        "no certificate": (alone, PEM_TYPE, None, "holds no certificate."),
        "no certificate in PKCS#12": (in_pkcs12(leaf.key, []), PKCS12_TYPE, None, "holds no certificate."),
        "another's certificate": (
            alone + in_pem([root.certificate]),
            None,
            None,
            "does not fit together: its certificate is not about its private key.",
        ),
        "others' certificates": (
            alone + in_pem([root.certificate, STRANGERS[0].certificate]),
            None,
            None,
            "does not fit together: none of its 2 certificates is about its private key.",
        ),
        "no key": (in_pem([leaf.certificate]), None, None, "holds no private key."),
        "a password": (MARK, None, None, "is neither PEM nor the base64 of PKCS#12."),
        "a password called PEM": (MARK, PEM_TYPE, None, "holds no private key."),
        "PEM called PKCS#12": (alone, PKCS12_TYPE, None, "is neither PEM nor the base64 of PKCS#12."),
        "PKCS#12 called PEM": (store, PEM_TYPE, None, "holds no private key."),
        "a wrong password": (
            store,
            None,
            SecretValue("m4rked"),
            "cannot be opened as PKCS#12: the password given does not open it, or it is damaged.",
        ),
        "no password": (store, None, None, "cannot be opened as PKCS#12: it needs a password, or it is damaged."),
    }


REFUSED: Final = _refused()


@pytest.mark.parametrize("trouble", REFUSED)
def test_it_is_refused_for(trouble: str) -> None:
    text, content_type, password, told = REFUSED[trouble]

    with pytest.raises(SyncError) as refused:
        certified_key(text, origin=ORIGIN, content_type=content_type, password=password)

    assert refused.value.reason is Reason.CERTIFICATE_INVALID
    assert refused.value.message == f"{ORIGIN} {told}"
    assert told_by(refused.value).count(MARK[:6]) == 0


def test_base64_may_have_line_ends() -> None:
    leaf = a_party("leaf")
    text = in_container(PKCS12_TYPE, leaf.key, [leaf.certificate])
    lines = "\r\n".join(text[at : at + 64] for at in range(0, len(text), 64))

    assert certified_key(lines, origin=ORIGIN).chain == (leaf.certificate,)


def test_its_text_form_does_not_show_the_key() -> None:
    leaf = a_party("leaf")

    certified = certified_key(in_container(PEM_TYPE, leaf.key, [leaf.certificate]), origin=ORIGIN)

    assert "PrivateKey" not in repr(certified)


@pytest.mark.parametrize("container", [PKCS12_TYPE, PEM_TYPE])
@pytest.mark.parametrize("kind", ["rsa", "ec", "ed25519"])
async def test_a_server_started_from_it_is_reached_by_a_client_that_trusts_only_the_root(
    kind: str, container: str, tmp_path: Path
) -> None:
    line = a_line(kind, between=2)
    text = in_container(container, line[0].key, certificates_of(line)[::-1])
    certified = certified_key(text, origin=ORIGIN, content_type=container)
    crt, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    crt.write_bytes(certified.tls_crt)
    key.write_bytes(certified.tls_key)
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(crt, key)

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, HOST, 0, ssl=serving) as server:
        port = server.sockets[0].getsockname()[1]
        trusting = ssl.create_default_context(cadata=certified.ca_crt.decode())
        reader, writer = await asyncio.open_connection(HOST, port, ssl=trusting, server_hostname=HOST)
        greeting = await reader.read()
        writer.close()
        await writer.wait_closed()

    assert greeting == b"hello"
