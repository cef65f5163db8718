"""The server's certificate follows its files; TLS handshakes are made in memory."""

import asyncio
import logging
import ssl
from pathlib import Path

import pytest
import trustme

from tests.clocks import settle
from vaultsync.adapters.server_certificate import ServerCertificate


class Files:
    """The files of a certificate that is renewed."""

    def __init__(self, folder: Path) -> None:
        self.cert = folder / "tls.crt"
        self.key = folder / "tls.key"
        self.authority = trustme.CA()

    def renew(self) -> bytes:
        """Write a new certificate and its key; returns the certificate."""
        issued = self.authority.issue_cert("vaultsync.test")
        (certificate, *_) = issued.cert_chain_pems
        certificate.write_to_path(self.cert)
        issued.private_key_pem.write_to_path(self.key)
        return ssl.PEM_cert_to_DER_cert(certificate.bytes().decode())


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def served_by(server: ssl.SSLContext, authority: trustme.CA) -> bytes | None:
    """The certificate that a server sends to a new client."""
    client = ssl.create_default_context()
    authority.configure_trust(client)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname="vaultsync.test")
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for each in (ours, theirs, ours):
        try:
            each.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return ours.getpeercert(binary_form=True)


def test_the_certificate_of_the_files_is_served(files: Files) -> None:
    issued = files.renew()

    certificate = ServerCertificate(files.cert, files.key)

    assert served_by(certificate.context, files.authority) == issued


def test_a_renewed_certificate_is_served_to_new_clients(files: Files) -> None:
    files.renew()
    certificate = ServerCertificate(files.cert, files.key)
    renewed = files.renew()

    certificate.files.reload()

    assert served_by(certificate.context, files.authority) == renewed


def test_unchanged_files_are_not_reloaded(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    files.renew()
    certificate = ServerCertificate(files.cert, files.key)

    certificate.files.reload()

    assert caplog.records == []


@pytest.mark.parametrize("broken", ["cert", "key"])
def test_files_that_cannot_be_used_are_an_os_error(files: Files, broken: str) -> None:
    files.renew()
    getattr(files, broken).write_text("no PEM")

    with pytest.raises(OSError, match=r".+"):
        ServerCertificate(files.cert, files.key)


async def test_after_a_failed_reload_the_old_certificate_stays_until_the_next_renewal(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    old = files.renew()
    certificate = ServerCertificate(files.cert, files.key)
    moments: asyncio.Queue[None] = asyncio.Queue()

    async def sleep(_: float) -> None:
        await moments.get()

    task = asyncio.create_task(certificate.files.follow(sleep=sleep))
    files.cert.write_text("half a file")
    moments.put_nowait(None)
    await settle()
    assert served_by(certificate.context, files.authority) == old
    assert [record.getMessage() for record in caplog.records] == ["certificate not reloaded"]

    renewed = files.renew()
    moments.put_nowait(None)
    await settle()
    task.cancel()

    assert served_by(certificate.context, files.authority) == renewed
