"""Records when the API server has last answered the watch of each namespace; requests nothing."""

from collections.abc import Callable, Collection
from typing import Final

from vaultsync.adapters.kube.connection import WATCH_TIMEOUT
from vaultsync.sources.denials import Denials

MAX_GAP: Final = 2 * WATCH_TIMEOUT
"""Seconds without a new watch after which there is none: the server ends each after `WATCH_SECONDS`."""


class OpenWatches:
    """The watches of one resource, one for each namespace; None stands for all."""

    def __init__(self, namespaces: Collection[str | None], denials: Denials, *, clock: Callable[[], float]) -> None:
        self._namespaces = set(namespaces)
        self._denials = denials
        self._clock = clock
        self._opened: dict[str | None, float] = {}

    def add(self, namespace: str | None) -> None:
        """Record that the API server has answered a watch, without an error."""
        self._opened[namespace] = self._clock()

    @property
    def are_up(self) -> bool:
        """Whether every namespace is watched that is not denied, and at least one."""
        oldest = self._clock() - MAX_GAP
        up = {namespace for namespace, moment in self._opened.items() if moment > oldest}
        return bool(up) and up.union(self._denials.namespaces) >= self._namespaces
