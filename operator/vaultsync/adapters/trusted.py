"""The TLS context of all connections to vaults and to authorities: whose certificates are trusted."""

import ssl

import httpx


def client_tls(ca_file: str = "") -> ssl.SSLContext:
    """Return the context of connections as a client.

    It trusts the public certificate authorities, or those of `SSL_CERT_FILE`, and those of one more file, in PEM.

    Raises:
        OSError: The file cannot be read, or has no certificate.
    """
    context = httpx.create_ssl_context()
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
    return context
