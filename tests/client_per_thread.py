"""HTTP clients that threads do not share, under one name."""

import threading
from collections.abc import Callable

import httpx


class ClientPerThread:
    """Gives each thread an httpx client of its own.

    In a client that threads share, one of them may close a connection as expired that another has just taken: httpcore
    chooses connections and closes them under a lock, but marks them as in use outside of it.
    """

    def __init__(self, new_client: Callable[[], httpx.Client]) -> None:
        self._new_client = new_client
        self._made: list[httpx.Client] = []
        self._of_thread = threading.local()

    def get(self) -> httpx.Client:
        """The client of the thread that asks."""
        client: httpx.Client | None = getattr(self._of_thread, "client", None)
        if client is None:
            client = self._of_thread.client = self._new_client()
            self._made.append(client)
        return client

    def close(self) -> None:
        """Close all connections; no thread uses a client any more."""
        while self._made:
            self._made.pop().close()
