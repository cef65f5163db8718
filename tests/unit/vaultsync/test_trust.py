"""Whose certificates are trusted; TLS handshakes are made in memory, with contexts as Python 3.13 makes them."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.authorities import Authority
from tests.clocks import settle
from vaultsync.trust import FollowedTrust, client_tls, without_strict_x509

HOST = "vault.test"
STRICT = Authority.make(has_key_ids=True, critical=True)


@pytest.fixture(autouse=True)
def _as_python_3_13(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the flags that Python sets by itself since 3.13."""
    make = ssl.create_default_context

    def strict(*arguments: object, **options: object) -> ssl.SSLContext:
        context = make(*arguments, **options)  # type: ignore[arg-type]  # they are passed on as they are
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, host: str = HOST) -> None:
    """Open a connection; raises `ssl.SSLCertVerificationError` if the client does not trust the server."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=host)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for each in (ours, theirs, ours):
        try:
            each.do_handshake()
        except ssl.SSLWantReadError:
            continue


def only(file: str) -> ssl.SSLContext:
    """A context for one authority, as the client of the API server makes it."""
    return without_strict_x509(ssl.create_default_context(cafile=file))


Trusting = Callable[[str], ssl.SSLContext]
every_way = pytest.mark.parametrize("trusting", [only, client_tls, FollowedTrust])


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    return tmp_path / "ca.crt"


@every_way
@pytest.mark.parametrize("has_key_ids", [True, False], ids=["key identifiers", "no key identifiers"])
@pytest.mark.parametrize("critical", [True, False], ids=["critical constraints", "constraints that are not critical"])
def test_an_authority_is_trusted_that_go_and_openssl_trust(
    trusting: Trusting, ca_file: Path, has_key_ids: bool, critical: bool
) -> None:
    authority = Authority.make(has_key_ids=has_key_ids, critical=critical)
    ca_file.write_text(authority.pem)

    shake_hands(trusting(str(ca_file)), authority.server_tls(HOST))


@every_way
def test_an_authority_that_another_has_issued_is_trusted_by_itself(trusting: Trusting, ca_file: Path) -> None:
    intermediate = STRICT.issue_authority("an intermediate")
    ca_file.write_text(intermediate.pem)

    shake_hands(trusting(str(ca_file)), intermediate.server_tls(HOST))


@every_way
@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (STRICT.server_tls("other.test"), "Hostname mismatch"),
        (STRICT.server_tls(HOST, days=-1), "certificate has expired"),
        (Authority.make(has_key_ids=False, critical=True).server_tls(HOST), "certificate signature failure"),
        (
            Authority.make(has_key_ids=True, critical=True, name="another").server_tls(HOST),
            "unable to get local issuer",
        ),
    ],
    ids=["another host", "expired", "a forged authority", "another authority"],
)
def test_what_matters_is_still_verified(trusting: Trusting, ca_file: Path, server: ssl.SSLContext, reason: str) -> None:
    ca_file.write_text(STRICT.pem)

    with pytest.raises(ssl.SSLCertVerificationError, match=reason):
        shake_hands(trusting(str(ca_file)), server)


def test_without_a_file_the_public_authorities_are_trusted() -> None:
    assert client_tls().cert_store_stats()["x509_ca"] > 100


@pytest.mark.parametrize("content", ["", "no PEM", "-----BEGIN CERTIFICATE-----\nMIIB"])
def test_a_file_without_a_certificate_is_an_os_error(ca_file: Path, content: str) -> None:
    ca_file.write_text(content)

    with pytest.raises(OSError, match=r".+"):
        FollowedTrust(str(ca_file))


def trusts(client: ssl.SSLContext, authority: Authority) -> bool:
    try:
        shake_hands(client, authority.server_tls(HOST))
    except ssl.SSLCertVerificationError:
        return False
    return True


def test_a_changed_file_counts_for_new_connections_and_what_left_it_is_trusted_no_more(ca_file: Path) -> None:
    old, new = (Authority.make(has_key_ids=False, critical=False, name=name) for name in ("old", "new"))
    ca_file.write_text(old.pem)
    trust = FollowedTrust(str(ca_file))
    ca_file.write_text(new.pem)
    before = (trusts(trust, old), trusts(trust, new))

    trust.files.reload()

    assert (before, (trusts(trust, old), trusts(trust, new))) == ((True, False), (False, True))


def put(file: Path, content: str | None) -> None:
    """Write a file, or delete it."""
    if content is None:
        file.unlink()
    else:
        file.write_text(content)


async def test_a_file_that_cannot_be_used_is_reported_and_leaves_what_was_trusted(
    ca_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    old, new = (Authority.make(has_key_ids=False, critical=False, name=name) for name in ("old", "new"))
    put(ca_file, old.pem)
    trust = FollowedTrust(str(ca_file))
    looks: asyncio.Queue[None] = asyncio.Queue()

    async def sleep(_: float) -> None:
        await looks.get()

    async def look() -> list[tuple[str, object]]:
        caplog.clear()
        looks.put_nowait(None)
        await settle()
        return [(record.getMessage(), vars(record)["file"]) for record in caplog.records]

    task = asyncio.create_task(trust.files.follow(sleep=sleep))
    reports = []
    for content in (old.pem, new.pem[:-40], None, both := f"{old.pem}{new.pem}", both):
        put(ca_file, content)
        reports.append(await look())
        assert trusts(trust, old)
    task.cancel()

    file = str(ca_file)
    assert reports == [
        [],
        [("certificate not reloaded", file)],
        [("certificate not reloaded", file)],
        [("certificate reloaded", file)],
        [],
    ]
    assert trusts(trust, new)
