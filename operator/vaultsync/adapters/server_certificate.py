"""The server's certificate, which follows its files; serves nothing."""

import ssl
from pathlib import Path

from vaultsync.followed_files import FollowedFiles


class ServerCertificate:
    """A TLS context for a server whose certificate is reloaded from its files.

    New connections get the new certificate; open ones keep theirs.
    """

    def __init__(self, cert_file: Path, key_file: Path) -> None:
        """Load the certificate with its chain, and its key, both as PEM.

        Raises:
            OSError: A file cannot be read, or they are not a certificate and its key.
        """
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.files = FollowedFiles([cert_file, key_file], lambda: self.context.load_cert_chain(cert_file, key_file))
