"""The election: holds Leases for shards, so that each namespace is served by one replica; reconciles nothing.

Every replica looks for free shards until it holds its share, and renews what it holds. `policy.leases` decides which to
take, `Shards` keeps until when they are held, and a `ShardServer` serves them. Each request about a Lease names the
state that it changes. So of two replicas that take the same Lease, one fails, and one that was stopped in between too.

A Lease is acquired first, and served only if no other installation conflicts then: of two that start together at least
one sees the other.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from vaultsync.adapters.kube import Conflict, Forbidden
from vaultsync.errors import SyncError, error_fields
from vaultsync.interfaces import Leases, ShardServer
from vaultsync.policy.leases import (
    JITTER,
    LOOK_PERIOD,
    RENEW_DEADLINE,
    RETRY_PERIOD,
    Installation,
    Lease,
    Observations,
    conflicting,
    observe,
    share,
)
from vaultsync.policy.requeue import Jitter
from vaultsync.sources.members import Members, Timestamps
from vaultsync.state.positions import Position, farthest
from vaultsync.state.shards import Shards

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

DEADLINE_CHECK = 1.0
"""Seconds between two looks at the deadlines, at most."""

RIGHTS = "grant what the chart's roles for Leases grant; until then this replica serves nothing"
"""What to do about missing permissions."""

CONFLICT = "end one, let them watch different namespaces, or set the same VAULTSYNC_INSTALLATION if they are replicas"
"""What to do about two installations."""

LEFTOVER = "waits for the Lease to run out; delete it if that installation does not exist any more"
"""What is done, and can be done, about a Lease that may be all that is left of an installation."""

ANSWER_TIMEOUT = 1.0
"""Seconds to wait for the responses to writes before a Lease is released."""

ANSWER_CHECK = 0.01

RIGHTS_PERIOD = 60.0
"""Seconds from a check that a replica that holds nothing may take a Lease to the next; one that fails is repeated."""

REBALANCE_PAUSE = 60.0
"""Seconds for which no shard is given up after the last one that was came back."""


def boot_time() -> float:
    """Return seconds on a clock that goes on while the process, or the machine, is stopped.

    https://man7.org/linux/man-pages/man2/clock_gettime.2.html (CLOCK_BOOTTIME); macOS' monotonic clock goes on as well.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True, slots=True)
class _Taken:
    """A Lease that was acquired."""

    lease: Lease
    deadline: float
    position: Position | None
    """How far its last holder had observed the API server."""


class Election:
    """Takes, renews and releases the Leases of this replica."""

    def __init__(
        self,
        ours: Installation,
        identity: str,
        shards: Shards,
        server: ShardServer,
        leases: Leases,
        members: Leases,
        *,
        now: Callable[[], datetime],
        clock: Callable[[], float],
        jitter: Jitter,
    ) -> None:
        """Hold nothing yet.

        Args:
            ours: The installation.
            identity: The name of this replica, which no other has, nor this one after a restart.
            shards: Where the shards are kept that are held; only the election writes them.
            server: Serves the shards.
            leases: The Leases of shards.
            members: The Leases of the replicas; they are used if there is more than one shard.
            now: The time that Leases show.
            clock: The clock of `shards`.
            jitter: Spreads the requests.
        """
        self._ours = ours
        self._identity = identity
        self._shards = shards
        self._server = server
        self._leases = leases
        self._members = Members(ours, identity, members, now=now, clock=clock)
        self._timestamps = Timestamps(now)
        self._clock = clock
        self._jitter = jitter
        self._held_leases: dict[int, Lease] = {}
        """The Leases of the shards that we hold."""
        self._observations: Observations = {}
        self._is_resigning = False
        self._looking: asyncio.Task[int | None] | None = None
        self._giving: asyncio.Task[None] | None = None
        self._given: int | None = None
        """The shard that was given up last to another replica."""
        self._no_giving_before = -math.inf
        self._rights_checked = -math.inf
        self._failures: dict[int | None, str] = {None: ""}
        """What has failed, or has not begun: the renewals of shards, and the look for them (None)."""
        self._has_failed = False
        """Whether a request has failed since the begin of the last look."""
        self._reported = ""
        """What was logged last about what this replica waits for."""
        self.conflict: Lease | None = None
        """The Lease of another installation, or of another number of shards, that keeps this replica from serving."""

    @property
    def is_up(self) -> bool:
        """Whether the last requests about Leases were answered, and allowed."""
        return not self._failures

    async def run(self) -> None:
        """Take part in the election until cancelled; failures are retried, and none ends it."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_renewing())
            tasks.create_task(self._keep_looking(tasks))
            tasks.create_task(self._keep_to_deadlines())

    async def resign(self) -> None:
        """Take no more shards, finish what runs for those that are held, and release their Leases for others."""
        self._is_resigning = True
        # A look that has just acquired a Lease releases it again.
        if running := {task for task in (self._looking, self._giving) if task is not None}:
            await asyncio.wait(running)
        # First: otherwise others leave what is released to this replica, which takes nothing any more.
        await self._members.leave()
        await self.give_up(self._shards.held)

    async def look(self) -> int | None:
        """Read the Leases, and take the shards that are to be taken; return the shard that is to be given up, if any.

        Raises:
            SyncError: The Leases cannot be read.
        """
        self._has_failed = False
        await self._observe()
        members = () if self._ours.shards == 1 or self._is_resigning else await self._members.live()
        now = self._clock()
        self.conflict = conflicting(self._ours, self._observations, now=now)
        if self.conflict is not None or self._is_resigning:
            await self._end_look()
            return None
        held = frozenset(self._held_leases)
        decision = share(self._ours, self._observations, identity=self._identity, held=held, members=members, now=now)
        if taken := await self._take(decision.take):
            await self._serve(taken)
        await self._end_look()
        return decision.give if now >= self._no_giving_before else None

    async def _end_look(self) -> None:
        """Check whether this replica could lead, and log what it waits for."""
        is_idle = not self._held_leases and not self._is_resigning and not self._has_failed
        if is_idle and self._clock() >= self._rights_checked + RIGHTS_PERIOD:
            try:
                await self._leases.check_rights(self._ours.lease_name(self._ours.shards - 1))
            except SyncError as error:
                self._look_failed(error)
            else:
                self._rights_checked = self._clock()
        self._report()

    async def _observe(self) -> None:
        """Read the Leases of all shards of all installations."""
        leases = await self._leases.list()
        names = map(self._ours.lease_name, range(self._ours.shards))
        self._observations = observe(self._observations, leases, expected=names, now=self._clock())

    async def _take(self, shards: Iterable[int]) -> dict[int, _Taken]:
        """Acquire the Leases of shards; return those that are ours now."""
        taken: dict[int, _Taken] = {}
        for shard in shards:
            name, begun = self._ours.lease_name(shard), self._clock()
            released = self._observations[name].lease
            try:
                lease = await self._leases.acquire(name, released, at=self._timestamps.next())
            except Conflict:
                continue  # another replica was faster
            except SyncError as error:
                self._look_failed(error)
                break
            taken[shard] = _Taken(lease, begun + RENEW_DEADLINE, self._position_of(released))
        return taken

    def _position_of(self, released: Lease | None) -> Position | None:
        """Return how far the holder before had observed; None if the Lease was that of other namespaces."""
        if released is None or (released.shards, released.namespaces) != (self._ours.shards, self._ours.namespaces):
            return None
        return released.position

    async def _serve(self, taken: dict[int, _Taken]) -> None:
        """Serve shards whose Leases were acquired, unless another installation conflicts."""
        try:
            await self._observe()
        except SyncError:
            await self._release(one.lease for one in taken.values())
            raise
        self.conflict = conflicting(self._ours, self._observations, now=self._clock())
        if self.conflict is not None or self._is_resigning:
            await self._release(one.lease for one in taken.values())
            return
        if self._given in taken:
            # The replica that it was meant for does not take it.
            self._given, self._no_giving_before = None, self._clock() + REBALANCE_PAUSE
        for shard, one in taken.items():
            # It may have passed already, if the process was stopped: then the shard expires at once.
            self._held_leases[shard] = one.lease
            self._shards.hold(shard, until=one.deadline)
        logger.info("serving shards", extra={"shards": _listed(taken), "of": self._ours.shards})
        self._server.gained(frozenset(taken), farthest(one.position for one in taken.values()))

    async def renew(self, shard: int) -> None:
        """Renew the Lease of a shard that is held; a failure is retried at the next time, up to the deadline."""
        lease, begun = self._held_leases.get(shard), self._clock()
        if lease is None:
            return
        try:
            renewed = await self._renewed(lease)
        except SyncError as error:
            if self._held_leases.get(shard) is not None:
                self._failed(shard, error)
            return
        if self._held_leases.get(shard) is not lease:
            return  # it was given up or lost meanwhile
        if renewed is None:
            self._lose({shard}, "its Lease was taken, or deleted")
            return
        self._failures.pop(shard, None)
        self._held_leases[shard] = renewed
        self._shards.renew(shard, until=begun + RENEW_DEADLINE)

    async def _renewed(self, lease: Lease) -> Lease | None:
        """Renew a Lease; return None if it is not ours any more."""
        try:
            return await self._leases.renew(lease, at=self._timestamps.next())
        except Conflict:
            current = await self._leases.get(lease.name)
        if current is None or current.holder != self._identity:
            return None
        # It was changed by a client that did not take it, or by a renewal whose response was lost.
        try:
            return await self._leases.renew(current, at=self._timestamps.next())
        except Conflict:
            return lease  # the next renewal finds out

    def expire(self) -> None:
        """Lose the shards whose deadline has passed."""
        if expired := self._shards.expired:
            why = next(filter(None, map(self._failures.get, sorted(expired))), "the process was stopped")
            self._lose(expired, why)

    def _lose(self, shards: AbstractSet[int], why: str) -> None:
        for shard in shards:
            self._shards.drop(shard)
            self._held_leases.pop(shard, None)
            if failure := self._failures.pop(shard, ""):
                self._failures.setdefault(None, failure)  # until the next look
        logger.warning("shards lost", extra={"shards": _listed(shards), "of": self._ours.shards, "detail": why})
        self._server.lost(frozenset(shards))

    async def give_up(self, shards: AbstractSet[int]) -> None:
        """Finish what runs for shards, and release their Leases."""
        if not shards:
            return
        for shard in shards:
            self._shards.leave(shard)
        position = await self._server.drain(shards)
        leases = {shard: self._held_leases.pop(shard) for shard in shards if shard in self._held_leases}
        for shard in shards:
            self._shards.drop(shard)
            self._failures.pop(shard, None)
        logger.info("shards released", extra={"shards": _listed(shards), "of": self._ours.shards})
        for shard in await self._unanswered(leases):
            # Another replica must not write before the API server has carried out ours.
            logger.warning("lease not released", extra={"lease": leases.pop(shard).name, "detail": "a write runs"})
        await self._release(leases.values(), position)

    async def _unanswered(self, shards: Collection[int]) -> Collection[int]:
        """Wait until no write for shards is without a response, and return those for which one is after some time."""
        left = list(filter(self._shards.is_written, shards))
        for _ in range(round(ANSWER_TIMEOUT / ANSWER_CHECK)):
            if not left:
                break
            await asyncio.sleep(ANSWER_CHECK)
            left = list(filter(self._shards.is_written, shards))
        return left

    async def _release(self, leases: Iterable[Lease], position: Position | None = None) -> None:
        """Release Leases for other replicas; one that cannot be released runs out."""
        for lease in leases:
            try:
                await self._attempt_release(lease, position)
            except SyncError as error:
                logger.warning("lease not released", extra={"lease": lease.name, "detail": error.message})

    async def _attempt_release(self, lease: Lease, position: Position | None) -> None:
        try:
            await self._leases.release(lease, at=self._timestamps.next(), position=position)
        except Conflict:
            current = await self._leases.get(lease.name)
            if current is not None and current.holder == self._identity:
                await self._leases.release(current, at=self._timestamps.next(), position=position)

    def _look_failed(self, error: SyncError) -> None:
        self._has_failed = True
        self._failed(None, error)

    def _failed(self, what: int | None, error: SyncError) -> None:
        """Report a failure, once for as long as it is the same."""
        if error.message == self._failures.get(what):
            return
        self._failures[what] = error.message
        if isinstance(error, Forbidden):
            logger.error("election request denied", extra={"detail": error.message, "hint": RIGHTS})
        else:
            logger.warning("election request failed", extra={"detail": error.message})

    def _report(self) -> None:
        """Log what this replica waits for, once for as long as it is the same."""
        if not self._has_failed:
            self._failures.pop(None, None)
        if self.conflict is not None:
            is_renewed = self._observations[self.conflict.name].is_renewed
            fields = self._conflict_fields(self.conflict, is_renewed=is_renewed)
            if self._reported != (report := f"conflict {fields}"):
                if is_renewed:
                    logger.error("another installation serves the same namespaces", extra=fields)
                else:
                    logger.info("another installation may serve the same namespaces", extra=fields)
        elif self._held_leases or self._is_resigning:
            report = ""
        else:
            leaders = _listed(self._leaders()) or "none yet"
            if self._reported != (report := f"behind {leaders}"):
                logger.info("standing by", extra={"leaders": leaders})
        self._reported = report

    def _leaders(self) -> set[str]:
        names = map(self._ours.lease_name, range(self._ours.shards))
        leases = (self._observations[name].lease for name in names)
        return {lease.holder for lease in leases if lease is not None and lease.holder is not None}

    def _conflict_fields(self, lease: Lease, *, is_renewed: bool) -> dict[str, str | int]:
        fields: dict[str, str | int] = {
            "installation": lease.installation,
            "holder": str(lease.holder),
            "lease": lease.name,
        }
        if lease.installation == self._ours.name:
            return fields | {"shards": str(lease.shards), "ours": self._ours.shards}
        return fields | {"hint": CONFLICT if is_renewed else LEFTOVER}

    async def _keep_renewing(self) -> None:
        while True:
            await asyncio.sleep(RETRY_PERIOD * self._jitter(1.0, JITTER))
            self.expire()
            # Each by itself: one that hangs does not delay the others.
            await asyncio.gather(*(self._attempt(self.renew(shard)) for shard in list(self._held_leases)))

    async def _keep_to_deadlines(self) -> None:
        while True:
            await asyncio.sleep(min(DEADLINE_CHECK, self._shards.seconds_to_deadline()))
            self.expire()

    async def _keep_looking(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            shard = None
            if self._ours.shards > 1 or not self._held_leases:
                self._looking = tasks.create_task(self._attempt(self.look()))
                shard = await self._looking
            if shard is not None and not self._is_resigning and (self._giving is None or self._giving.done()):
                self._given = shard
                self._giving = tasks.create_task(self._attempt(self.give_up({shard})))
            await asyncio.sleep(self._until_next_look())

    async def _attempt(self, work: Awaitable[_Result]) -> _Result | None:
        """Await work whose failure ends nothing, not even an unexpected response."""
        try:
            return await work
        except SyncError as error:
            self._look_failed(error)
        except Exception as error:  # noqa: BLE001  it is logged, without its text
            logger.error("election error", extra=error_fields(error))  # noqa: TRY400  the same
        return None

    def _until_next_look(self) -> float:
        """Return the seconds until the next look: soon after the next Lease runs out.

        Two installations that have just seen each other look again at different times.
        """
        if self.conflict is not None:
            return LOOK_PERIOD * self._jitter(0.5, 2.0)
        now = self._clock()
        ends = (one.free_at - now for one in self._observations.values() if one.is_live(now))
        return min(
            LOOK_PERIOD * self._jitter(1.0, JITTER), max(min(ends, default=math.inf), 0.0) + self._jitter(0.0, 0.1)
        )


def _listed(names: Iterable[object]) -> str:
    return ", ".join(sorted(map(str, names)))
