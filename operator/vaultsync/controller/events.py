"""Creates events behind all other work: one after the other, at a limited rate; decides nothing about their content.

What waits is bounded, and namespaces take turns: one with thousands of events neither delays nor displaces those of
others.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecretMeta
from vaultsync.interfaces import KubeApi
from vaultsync.status.events import Event

logger = logging.getLogger(__name__)

RATE: Final = 20
"""Events that are created per second, after the first `BURST`: a first sync of thousands is not slowed by theirs."""

BURST: Final = 50

MAX_WAITING: Final = 1000
"""Events of a namespace that wait. Others are dropped."""

DRAIN_TIME: Final = 0.5
"""Seconds in which the creation of waiting events is begun when their shard is given up."""

DRAIN_TIMEOUT: Final = 1.5
"""Seconds after which the last of them is cut off: then it is not known whether it was created."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An event that is to be created; it keeps no VaultSecret in memory."""

    key: ObjectKey
    uid: str
    event: Event
    at: datetime


@dataclass(slots=True)
class _Backlog:
    """The events of a namespace that wait, and how many were dropped since the last time that none waited."""

    waiting: deque[_Waiting] = field(default_factory=deque)
    dropped: int = 0


class EventWriter:
    """Creates events while it runs. What is dropped, or cannot be created, is logged and not created later."""

    def __init__(self, kube: KubeApi, *, now: Callable[[], datetime]) -> None:
        """`now` is the clock whose time events carry."""
        self._kube = kube
        self._now = now
        self._backlogs: dict[str, _Backlog] = {}
        """By namespace, in the order of their turns."""
        self._has_some = asyncio.Event()
        self._free_at = 0.0
        """When the rate of all events so far is used up, by the time of the event loop."""

    def add(self, vault_secret: VaultSecretMeta, events: Iterable[Event]) -> None:
        """Have events about a VaultSecret created soon."""
        key, at = vault_secret.key, self._now()
        for event in events:
            backlog = self._backlogs.setdefault(key.namespace, _Backlog())
            if len(backlog.waiting) < MAX_WAITING:
                backlog.waiting.append(_Waiting(key, vault_secret.metadata.uid, event, at))
                self._has_some.set()
            else:
                backlog.dropped += 1

    async def run(self) -> None:
        """Create events until cancelled."""
        while True:
            await self._has_some.wait()
            await self._wait_for_turn()
            if self._backlogs:
                await self._create_next(next(iter(self._backlogs)))

    async def drain(self, namespaces: Callable[[str], bool] = lambda _: True) -> None:
        """Create what waits for some namespaces, as far as there is time."""
        end = asyncio.get_running_loop().time() + DRAIN_TIME
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_TIMEOUT):
                while (namespace := next(filter(namespaces, self._backlogs), None)) is not None:
                    await self._create_next(namespace)
                    if asyncio.get_running_loop().time() >= end:
                        break
        self.drop(namespaces)

    def drop(self, namespaces: Callable[[str], bool]) -> None:
        """Drop what waits for some namespaces: another replica serves them."""
        for namespace in list(filter(namespaces, self._backlogs)):
            backlog = self._backlogs.pop(namespace)
            _log_dropped(namespace, backlog.dropped + len(backlog.waiting))
        if not self._backlogs:
            self._has_some.clear()

    async def _wait_for_turn(self) -> None:
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now - BURST / RATE) + 1 / RATE
        if self._free_at > now:
            await asyncio.sleep(self._free_at - now)

    async def _create_next(self, namespace: str) -> None:
        """Create the first event of a namespace; the other namespaces are before it then."""
        backlog = self._backlogs.pop(namespace)
        one = backlog.waiting.popleft()
        if backlog.waiting:
            self._backlogs[namespace] = backlog
        elif backlog.dropped:
            _log_dropped(namespace, backlog.dropped)
        if not self._backlogs:
            self._has_some.clear()
        await self._kube.create_event(one.key, one.event, uid=one.uid, at=one.at)


def _log_dropped(namespace: str, count: int) -> None:
    logger.warning("events dropped", extra={"namespace": namespace, "count": count})
