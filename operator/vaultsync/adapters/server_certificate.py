"""Our own certificate, from files that somebody renews; serves nothing."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

logger = logging.getLogger(__name__)

LOOK_EVERY = 60.0
"""Seconds between two looks at the files. Whoever renews them does so days before the old certificate ends."""


class ServerCertificate:
    """A TLS context for a server, whose certificate follows its files.

    New connections get the new certificate; those that are open keep theirs.
    """

    def __init__(self, cert_file: Path, key_file: Path) -> None:
        """Load the files: the certificate with its chain, and its key, both as PEM.

        Raises:
            OSError: One cannot be read, or they are no certificate and its key.
        """
        self._cert_file = cert_file
        self._key_file = key_file
        self._seen = self._content()
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._load()

    async def follow(self, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Look at the files again and again, until cancelled; what cannot be used is logged, and the old one stays."""
        while True:
            await sleep(LOOK_EVERY)
            try:
                self.renew()
            except OSError as error:
                logger.warning("certificate not renewed", extra={"detail": str(error)})

    def renew(self) -> None:
        """Load the files if they have changed. Raises `OSError` if they cannot be used, as they are in the middle."""
        content = self._content()
        if content != self._seen:
            self._load()
            self._seen = content
            logger.info("certificate renewed", extra={"file": str(self._cert_file)})

    def _content(self) -> tuple[bytes, bytes]:
        return self._cert_file.read_bytes(), self._key_file.read_bytes()

    def _load(self) -> None:
        self.context.load_cert_chain(self._cert_file, self._key_file)
