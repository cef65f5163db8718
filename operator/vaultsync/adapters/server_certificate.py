"""Loads the server's certificate from files, and reloads it when they change; serves nothing."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

logger = logging.getLogger(__name__)

RELOAD_INTERVAL = 60.0
"""Seconds between two checks of the files; they are renewed days before the old certificate expires."""


class ServerCertificate:
    """A TLS context for a server whose certificate is reloaded from its files.

    New connections get the new certificate; open ones keep theirs.
    """

    def __init__(self, cert_file: Path, key_file: Path) -> None:
        """Load the certificate with its chain, and its key, both as PEM.

        Raises:
            OSError: A file cannot be read, or they are not a certificate and its key.
        """
        self._cert_file = cert_file
        self._key_file = key_file
        self._loaded = self._content()
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._load()

    async def follow(self, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Reload changed files until cancelled; files that cannot be used are logged, and the old certificate stays."""
        while True:
            await sleep(RELOAD_INTERVAL)
            try:
                self.reload()
            except OSError as error:
                logger.warning("certificate not reloaded", extra={"detail": str(error)})

    def reload(self) -> None:
        """Load the files if they have changed.

        Raises:
            OSError: They cannot be used, such as while they are being written.
        """
        content = self._content()
        if content != self._loaded:
            self._load()
            self._loaded = content
            logger.info("certificate reloaded", extra={"file": str(self._cert_file)})

    def _content(self) -> tuple[bytes, bytes]:
        return self._cert_file.read_bytes(), self._key_file.read_bytes()

    def _load(self) -> None:
        self.context.load_cert_chain(self._cert_file, self._key_file)
