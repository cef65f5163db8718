"""Loads files again when their content changes; knows nothing of what they hold."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

logger = logging.getLogger(__name__)

RELOAD_INTERVAL = 10.0
"""Seconds between two looks at files. Kubernetes takes up to a minute to update those of a mounted Secret."""


class FollowedFiles:
    """Files with certificates: what was loaded last stays in use until other content can be."""

    def __init__(self, files: Sequence[Path], load: Callable[[], None]) -> None:
        """Load the files.

        Args:
            files: All of them are loaded again if one has changed.
            load: Reads the files and uses their content; raises `OSError` and changes nothing if that cannot be used.

        Raises:
            OSError: They cannot be used.
        """
        self._files = files
        self._load = load
        self._loaded = self._content()
        self._load()

    async def follow(self, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Load changed files until cancelled; those that cannot be used are logged."""
        while True:
            await sleep(RELOAD_INTERVAL)
            try:
                self.reload()
            except OSError as error:
                logger.warning("certificate not reloaded", extra={"file": self._name, "detail": str(error)})

    def reload(self) -> None:
        """Load the files if they have changed.

        Raises:
            OSError: They cannot be used, such as while they are being written.
        """
        content = self._content()
        if content != self._loaded:
            self._load()
            self._loaded = content
            logger.info("certificate reloaded", extra={"file": self._name})

    @property
    def _name(self) -> str:
        return ", ".join(map(str, self._files))

    def _content(self) -> list[bytes]:
        return [file.read_bytes() for file in self._files]
