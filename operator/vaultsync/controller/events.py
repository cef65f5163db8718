"""Creates events behind all other work: one after the other, at a limited rate; decides nothing about their content.

What waits is bounded, and namespaces take turns: one with thousands of events neither delays nor displaces those of
others.
"""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from vaultsync.adapters.kube import Forbidden
from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecretMeta
from vaultsync.errors import NotServed, Reason, SyncError
from vaultsync.interfaces import KubeApi
from vaultsync.status.events import Event

logger = logging.getLogger(__name__)

RATE: Final = 20
"""Events that are created per second, after the first `BURST`: a first sync of thousands is not slowed by theirs."""

BURST: Final = 50

MAX_WAITING: Final = 1000
"""Events of a namespace that wait. Others are dropped."""

ATTEMPTS: Final = 5
"""How often the creation of an event is attempted, if the API server does not answer or fails."""

RETRY: Final = 1.0
"""Seconds from the first failure to the next attempt, and twice as many from each further one; all events wait."""

MAX_RETRY: Final = 30.0
"""The same at most, also if the API server names a longer time."""

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
    event_id: str
    """The same for each attempt: an attempt whose answer was lost may have created it."""
    failures: int = 0


@dataclass(slots=True)
class _Backlog:
    """The events of a namespace that wait, and how many were dropped since the last time that none waited."""

    waiting: deque[_Waiting] = field(default_factory=deque)
    dropped: int = 0


class EventWriter:
    """Creates events while it runs. What is dropped, or could not be created, is logged and not created later."""

    def __init__(self, kube: KubeApi, *, now: Callable[[], datetime]) -> None:
        """`now` is the clock whose time events carry."""
        self._kube = kube
        self._now = now
        self._backlogs: dict[str, _Backlog] = {}
        """By namespace, in the order of their turns."""
        self._has_some = asyncio.Event()
        self._free_at = 0.0
        """When the rate of all events so far is used up, by the time of the event loop."""
        self._resumes_at = 0.0
        """When the pause after a failure ends, likewise."""

    def add(self, vault_secret: VaultSecretMeta, events: Iterable[Event]) -> None:
        """Have events about a VaultSecret created soon."""
        key, at = vault_secret.key, self._now()
        for event in events:
            backlog = self._backlogs.setdefault(key.namespace, _Backlog())
            if len(backlog.waiting) < MAX_WAITING:
                backlog.waiting.append(_Waiting(key, vault_secret.metadata.uid, event, at, uuid.uuid4().hex[:16]))
                self._has_some.set()
            else:
                backlog.dropped += 1

    async def run(self) -> None:
        """Create events until cancelled."""
        while True:
            await self._has_some.wait()
            await self._wait_for_turn()
            if self._backlogs:
                await self._create_next(next(iter(self._backlogs)), attempts=ATTEMPTS)

    async def drain(self, namespaces: Callable[[str], bool] = lambda _: True) -> None:
        """Create what waits for some namespaces, as far as there is time."""
        end = asyncio.get_running_loop().time() + DRAIN_TIME
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_TIMEOUT):
                while (namespace := next(filter(namespaces, self._backlogs), None)) is not None:
                    await self._create_next(namespace, attempts=1)
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
        begin = max(self._free_at, self._resumes_at)
        if begin > now:
            await asyncio.sleep(begin - now)

    async def _create_next(self, namespace: str, *, attempts: int) -> None:
        """Create the first event of a namespace; the other namespaces are before it then."""
        backlog = self._backlogs.pop(namespace)
        one = backlog.waiting.popleft()
        if backlog.waiting:
            self._backlogs[namespace] = backlog
        elif backlog.dropped:
            _log_dropped(namespace, backlog.dropped)
        if not self._backlogs:
            self._has_some.clear()
        try:
            await self._kube.create_event(one.key, one.event, event_id=one.event_id, uid=one.uid, at=one.at)
        except SyncError as error:
            if one.failures + 1 < attempts and _may_pass(error):
                self._retry(one, error)
            else:
                logger.warning("event not created", extra={"vaultsecret": str(one.key), "detail": error.message})

    def _retry(self, one: _Waiting, error: SyncError) -> None:
        """Have an event created before the others of its namespace, after a pause."""
        pause = min(max(RETRY * 2**one.failures, error.retry_after or 0.0), MAX_RETRY)
        self._resumes_at = asyncio.get_running_loop().time() + pause
        backlog = self._backlogs.setdefault(one.key.namespace, _Backlog())
        backlog.waiting.appendleft(replace(one, failures=one.failures + 1))
        self._has_some.set()


def _may_pass(error: SyncError) -> bool:
    """Return whether another attempt may succeed: what is refused is refused again."""
    return error.reason is Reason.CLUSTER_UNAVAILABLE and not isinstance(error, Forbidden | NotServed)


def _log_dropped(namespace: str, count: int) -> None:
    logger.warning("events dropped", extra={"namespace": namespace, "count": count})
