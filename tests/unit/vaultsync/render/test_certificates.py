"""Certificates of a vault: leaf first, chain in order, a key that matches; or an error that says what is wrong."""

import asyncio
import base64
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.vaultsync.render.attempts import MARK, attempt, visible_text
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
from vaultsync.render.certificates import CertifiedKey, load_certified_key
from vaultsync.render.private_keys import PrivateKey

ORIGIN: Final = "Secret shop-tls of vault v"
PASSWORD: Final = MARK

PKCS12: Final = "PKCS#12"
PEM: Final = "PEM"
"""The containers in which a vault keeps certificates."""

OTHERS: Final = [a_party("other root"), a_party("other leaf", by=a_party("other root"))]
"""Certificates of another chain."""


def in_container(kind: str, key: PrivateKey, certificates: list[x509.Certificate], password: str | None = None) -> str:
    """A key and certificates as a vault keeps them."""
    if kind == PKCS12:
        return in_pkcs12(key, certificates, password)
    return key_in_pem(key, password) + in_pem(certificates)


def certificates_of(parties: list[Party]) -> list[x509.Certificate]:
    return [party.certificate for party in parties]


@pytest.mark.slow
@settings(max_examples=60)
@given(
    container=st.sampled_from([PKCS12, PEM]),
    kind=st.sampled_from(KINDS),
    between=st.integers(0, 3),
    with_root=st.booleans(),
    foreign=st.lists(st.sampled_from(OTHERS), unique_by=id),
    password=st.sampled_from([None, PASSWORD]),
    data=st.data(),
)
def test_any_container_gives_the_leaf_first_and_its_chain_in_order(
    *,
    container: str,
    kind: str,
    between: int,
    with_root: bool,
    foreign: list[Party],
    password: str | None,
    data: st.DataObject,
) -> None:
    line = a_line(kind, between=between)
    included = [*(line if with_root else line[:-1]), *foreign]
    shuffled = data.draw(st.permutations(certificates_of(included)))
    text = in_container(container, line[0].key, shuffled, password)

    certified = load_certified_key(text, origin=ORIGIN, password=password)

    assert list(certified.chain) == certificates_of(line[:-1])
    assert certified.root == (line[-1].certificate if with_root else None)
    assert x509.load_pem_x509_certificates(certified.tls_crt) == certificates_of(line[:-1])
    assert load_pem_private_key(certified.tls_key, None).public_key() == line[0].certificate.public_key()
    assert certified.tls_key.startswith(b"-----BEGIN PRIVATE KEY-----\n")


@pytest.mark.slow
@settings(max_examples=30)
@given(container=st.sampled_from([PKCS12, PEM]), kind=st.sampled_from(KINDS), count=st.integers(0, 3))
def test_a_key_of_another_certificate_is_an_error(container: str, kind: str, count: int) -> None:
    text = in_container(container, the_key(kind, "another owner"), certificates_of(a_line(between=2))[:count])

    error = attempt(lambda: load_certified_key(text, origin=ORIGIN))

    assert isinstance(error, SyncError)
    assert error.reason is Reason.CERTIFICATE_INVALID


_line = a_line("rsa")
_stores = [base64.b64decode(in_pkcs12(_line[0].key, certificates_of(_line), secret)) for secret in (None, PASSWORD)]
_pems = [(key_in_pem(_line[0].key, secret) + in_pem(certificates_of(_line))).encode() for secret in (None, MARK)]


@pytest.mark.slow
@settings(max_examples=300)
@given(
    content=st.sampled_from(_stores + _pems),
    place=st.floats(0, 1, exclude_max=True),
    damaged=st.binary(max_size=3),
    password=st.sampled_from([None, PASSWORD, "wrong"]),
)
def test_any_damaged_content_gives_a_pair_or_certificate_invalid(
    content: bytes, place: float, damaged: bytes, password: str | None
) -> None:
    at = int(place * len(content))
    content = content[:at] + damaged + content[at + 2 :]
    text = content.decode("latin-1") if content.startswith(b"-----") else base64.b64encode(content).decode()

    result = attempt(lambda: load_certified_key(text, origin=ORIGIN, password=password))

    assert isinstance(result, CertifiedKey) or result.reason is Reason.CERTIFICATE_INVALID


@given(text=st.text(alphabet=st.characters()))
def test_any_text_is_certificate_invalid(text: str) -> None:
    error = attempt(lambda: load_certified_key(text, origin=ORIGIN))

    assert isinstance(error, SyncError)
    assert error.reason is Reason.CERTIFICATE_INVALID


def test_a_self_signed_certificate_is_its_own_chain_and_root() -> None:
    leaf = a_party("leaf")

    certified = load_certified_key(in_container(PEM, leaf.key, [leaf.certificate]), origin=ORIGIN)

    assert certified.chain == (leaf.certificate,)
    assert certified.root == leaf.certificate


def test_the_newest_of_several_certificates_for_the_key_is_the_leaf() -> None:
    root = a_party("root")
    old = a_party("leaf", by=root, begin=BEGIN)
    new = a_party("leaf", by=root, begin=BEGIN + timedelta(days=365))

    certified = load_certified_key(
        in_container(PEM, old.key, [old.certificate, root.certificate, new.certificate]), origin=ORIGIN
    )

    assert certified.chain == (new.certificate,)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_root_is_preferred_to_a_cross_signed_certificate(swapped: bool) -> None:
    elder, younger = a_party("elder root"), a_party("younger root")
    cross_signed = a_party("younger root", by=elder, key=younger.key, end=END + timedelta(days=365))
    leaf = a_party("leaf", by=younger)
    issuers = certificates_of([younger, cross_signed, elder])

    certified = load_certified_key(
        in_container(PEM, leaf.key, [*(issuers[::-1] if swapped else issuers), leaf.certificate]), origin=ORIGIN
    )

    assert (certified.chain, certified.root) == ((leaf.certificate,), younger.certificate)


def test_a_cycle_of_issuers_ends() -> None:
    one, other = a_party("one"), a_party("other")
    one_by_other, other_by_one = a_party("one", by=other, key=one.key), a_party("other", by=one, key=other.key)
    leaf = a_party("leaf", by=one)
    circle = certificates_of([leaf, one_by_other, other_by_one])

    certified = load_certified_key(in_container(PEM, leaf.key, circle), origin=ORIGIN)

    assert certified.chain == tuple(circle)
    assert certified.root is None


def test_an_issuer_of_the_right_name_with_the_wrong_key_is_left_out() -> None:
    root, impostor = a_party("root"), a_party("root", key=the_key("ec", "impostor"))
    leaf = a_party("leaf", by=root)

    certified = load_certified_key(in_container(PEM, leaf.key, certificates_of([leaf, impostor])), origin=ORIGIN)

    assert certified.chain == (leaf.certificate,)
    assert certified.root is None


@pytest.mark.parametrize(
    ("included", "lacks_issuers"),
    [
        ([0], True),
        ([0, 1], True),
        ([0, 1, 3], True),
        ([0, 3], True),
        ([0, 1, 2], False),
        ([0, 1, 2, 3], False),
    ],
    ids=[
        "the leaf alone",
        "no end, and others",
        "a gap before the root",
        "a root that did not issue the leaf",
        "no root",
        "all",
    ],
)
def test_a_chain_that_may_lack_an_intermediate_is_noticed(included: list[int], *, lacks_issuers: bool) -> None:
    line = a_line(between=2)
    others = OTHERS if included == [0, 1] else []
    certificates = certificates_of([*(line[place] for place in included), *others])

    certified = load_certified_key(in_container(PEM, line[0].key, certificates), origin=ORIGIN)

    assert certified.lacks_issuers is lacks_issuers


def test_an_older_certificate_for_the_key_is_no_sign_of_a_gap() -> None:
    root, key = a_party("root"), the_key("ec", "leaf")
    between = a_party("between", by=root)
    leaves = [a_party("leaf", by=between, key=key, begin=BEGIN + timedelta(days=days)) for days in (0, 9)]

    certified = load_certified_key(in_container(PEM, key, certificates_of([*leaves, between])), origin=ORIGIN)

    assert not certified.lacks_issuers


def test_not_valid_after_is_that_of_the_leaf() -> None:
    end = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    leaf = a_party("leaf", by=a_party("root"), end=end)

    certified = load_certified_key(in_container(PKCS12, leaf.key, [leaf.certificate]), origin=ORIGIN)

    assert certified.not_valid_after == end


def test_ca_crt_is_the_root() -> None:
    line = a_line()

    certified = load_certified_key(in_container(PEM, line[0].key, certificates_of(line)), origin=ORIGIN)

    assert certified.ca_crt == in_pem([line[-1].certificate]).encode()


def test_ca_crt_without_a_root_is_an_error() -> None:
    line = a_line()
    certified = load_certified_key(in_container(PEM, line[0].key, certificates_of(line[:-1])), origin=ORIGIN)

    with pytest.raises(SyncError, match="holds no root certificate at the end of its chain") as raised:
        _ = certified.ca_crt

    assert raised.value.reason is Reason.CERTIFICATE_INVALID


def test_the_same_content_gives_the_same_bytes() -> None:
    line = a_line("rsa", between=2)
    text = in_container(PKCS12, line[0].key, certificates_of(line), PASSWORD)

    first, second = (load_certified_key(text, origin=ORIGIN, password=PASSWORD) for _ in range(2))

    assert (first.tls_crt, first.tls_key) == (second.tls_crt, second.tls_key)


_EXPORT = (
    "holds no private key; the policy of a certificate in the vault must make its key exportable, and the certificate "
    "needs a new version then."
)


def _errors() -> dict[str, tuple[str, str | None, str]]:
    """Texts, passwords and their errors, by what is wrong."""
    leaf, root = a_line(between=0)
    alone = key_in_pem(leaf.key)
    store = in_pkcs12(leaf.key, [leaf.certificate], MARK)
    der = leaf.certificate.public_bytes(Encoding.DER)
    return {
        "no certificate": (alone, None, "holds no certificate."),
        "no certificate in PKCS#12": (in_pkcs12(leaf.key, []), None, "holds no certificate."),
        "the certificate of another key": (
            alone + in_pem([root.certificate]),
            None,
            "does not fit together: its certificate is not for its private key.",
        ),
        "certificates of other keys": (
            alone + in_pem([root.certificate, OTHERS[0].certificate]),
            None,
            "does not fit together: none of its 2 certificates is for its private key.",
        ),
        "no key": (in_pem([leaf.certificate]), None, _EXPORT),
        "no key in PKCS#12": (in_pkcs12(None, [leaf.certificate]), None, _EXPORT),
        "a certificate that is not exportable": (base64.b64encode(der).decode(), None, _EXPORT),
        "a password": (MARK, None, "is neither PEM nor the base64 of PKCS#12."),
        "a wrong password": (
            store,
            "m4rked",
            "cannot be opened as PKCS#12: the password given does not open it, or it is damaged.",
        ),
        "no password": (
            store,
            None,
            "cannot be opened as PKCS#12: it needs a password, by passwordKey, or it is damaged.",
        ),
    }


ERRORS: Final = _errors()


@pytest.mark.parametrize("problem", ERRORS)
def test_load_certified_key_fails_for(problem: str) -> None:
    text, password, message = ERRORS[problem]

    with pytest.raises(SyncError) as raised:
        load_certified_key(text, origin=ORIGIN, password=password)

    assert raised.value.reason is Reason.CERTIFICATE_INVALID
    assert raised.value.message == f"{ORIGIN} {message}"
    assert visible_text(raised.value).count(MARK[:6]) == 0


def test_base64_may_have_line_ends() -> None:
    leaf = a_party("leaf")
    text = in_container(PKCS12, leaf.key, [leaf.certificate])
    lines = "\r\n".join(text[at : at + 64] for at in range(0, len(text), 64))

    assert load_certified_key(lines, origin=ORIGIN).chain == (leaf.certificate,)


@pytest.mark.parametrize(
    "change",
    [
        lambda pem: base64.encodebytes(pem.encode()).decode(),
        lambda pem: "\ufeff" + base64.b64encode(b"\xef\xbb\xbf" + pem.encode()).decode(),
        lambda pem: pem.replace("\n", r"\n"),
        lambda pem: pem.replace("\n", r"\r\n"),
        lambda pem: pem.replace("\n", " "),
        lambda pem: "\ufeff" + pem.replace("\n", "\r\n  "),
    ],
    ids=["base64", "base64 with marks", "escapes", "escapes of Windows", "no line ends", "a mark and indentation"],
)
def test_pem_is_read_with(change: Callable[[str], str]) -> None:
    line = a_line()
    text = change(key_in_pem(line[0].key) + in_pem(certificates_of(line)))

    certified = load_certified_key(text, origin=ORIGIN)

    assert certified.tls_crt == in_pem(certificates_of(line[:-1])).encode()


def test_the_repr_hides_the_key() -> None:
    leaf = a_party("leaf")

    certified = load_certified_key(in_container(PEM, leaf.key, [leaf.certificate]), origin=ORIGIN)

    assert "PrivateKey" not in repr(certified)


async def greeting_of(certified: CertifiedKey, directory: Path, *, strict: bool) -> bytes:
    """Start a TLS server with the certificate, and read its greeting as a client that trusts only the root."""
    crt, key = directory / "tls.crt", directory / "tls.key"
    crt.write_bytes(certified.tls_crt)
    key.write_bytes(certified.tls_key)
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(crt, key)
    trusting = ssl.create_default_context(cadata=certified.ca_crt.decode())
    trusting.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if strict:
        trusting.verify_flags |= ssl.VERIFY_X509_STRICT

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, HOST, 0, ssl=serving) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(HOST, port, ssl=trusting, server_hostname=HOST)
        greeting = await reader.read()
        writer.close()
        await writer.wait_closed()
    return greeting


@pytest.mark.parametrize("container", [PKCS12, PEM])
@pytest.mark.parametrize("kind", ["rsa", "ec", "ed25519"])
async def test_a_strict_client_that_trusts_only_the_root_reaches_a_server_with_it(
    kind: str, container: str, tmp_path: Path
) -> None:
    line = a_line(kind, between=2)
    text = in_container(container, line[0].key, certificates_of(line)[::-1])

    certified = load_certified_key(text, origin=ORIGIN)

    assert await greeting_of(certified, tmp_path, strict=True) == b"hello"


async def test_certificates_that_strict_clients_reject_are_written_as_they_are(tmp_path: Path) -> None:
    line = a_line(between=1, strict=False)
    text = in_container(PEM, line[0].key, certificates_of(line)[::-1])

    certified = load_certified_key(text, origin=ORIGIN)

    assert certified.tls_crt == in_pem(certificates_of(line[:-1])).encode()
    assert certified.ca_crt == in_pem([line[-1].certificate]).encode()
    assert await greeting_of(certified, tmp_path, strict=False) == b"hello"
    with pytest.raises(ssl.SSLCertVerificationError):
        await greeting_of(certified, tmp_path, strict=True)
