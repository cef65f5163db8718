"""Whose certificates are trusted: the same rules for every connection that the operator opens."""

import ssl
from pathlib import Path
from typing import Self

import httpx

from vaultsync.followed_files import FollowedFiles


def without_strict_x509(context: ssl.SSLContext) -> ssl.SSLContext:
    """Have a context verify certificates as OpenSSL, Go and curl do; return it.

    Signatures, dates, purposes and host names are verified. Since 3.13 Python also rejects a chain whose extensions are
    not those of RFC 5280: many authorities of clusters, and of proxies that inspect TLS, have no key identifiers, or
    Basic Constraints that are not critical. Every authority that is named is trusted, also one that another has issued,
    as Python does since 3.13.
    """
    context.verify_flags = context.verify_flags & ~ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def client_tls(ca_file: str = "") -> ssl.SSLContext:
    """Return a context for connections to vaults, login hosts and collectors of traces.

    It trusts the public certificate authorities, or those of `SSL_CERT_FILE`, and those of one more file, in PEM.

    Raises:
        OSError: The file cannot be read, or has no certificate.
    """
    context = without_strict_x509(httpx.create_ssl_context())
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
    return context


class FollowedTrust(ssl.SSLContext):
    """A context as `client_tls` makes it, whose file of authorities may change: a handshake uses those of its time.

    A context cannot stop to trust an authority. So this one has none of its own: another context does its handshakes,
    which is replaced. Only connections of asyncio are made with it; for sockets it trusts no authority.
    """

    def __new__(cls, ca_file: str) -> Self:  # noqa: ARG004  that of the initializer
        """Make a context that trusts no authority."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, ca_file: str) -> None:
        """Load the file, in PEM.

        Raises:
            OSError: It cannot be read, or has no certificate.
        """
        self._ca_file = ca_file
        self.files = FollowedFiles([Path(ca_file)], self._load)

    def _load(self) -> None:
        self._current = client_tls(self._ca_file)

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002  the signature is that of ssl
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Return the TLS of a new connection."""
        return self._current.wrap_bio(incoming, outgoing, server_side, server_hostname, session)
