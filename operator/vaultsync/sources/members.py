"""The replicas of an installation: each keeps a Lease, by which the others count it; decides nothing about shards.

They are used if there is more than one shard: how many a replica takes depends on how many others can take some.
"""

import logging
import math
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta

from vaultsync.adapters.kube import Conflict
from vaultsync.errors import SyncError
from vaultsync.interfaces import Leases
from vaultsync.policy.leases import (
    LEASE_DURATION,
    MEMBER_DURATION,
    RETRY_PERIOD,
    Installation,
    Lease,
    Observations,
    observe,
)

logger = logging.getLogger(__name__)


class Timestamps:
    """The times that are written into Leases: each is later than the one before, so that each renewal is a change."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._last = datetime.min.replace(tzinfo=UTC)

    def next(self) -> datetime:
        """Return the time to write."""
        self._last = max(self._now(), self._last + timedelta(microseconds=1))
        return self._last


class Members:
    """The Leases by which the replicas of an installation count each other, and that of this one among them."""

    def __init__(
        self,
        ours: Installation,
        identity: str,
        leases: Leases,
        *,
        now: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        """Be no member yet; the parameters are those of the election."""
        self._ours = ours
        self._identity = identity
        self._leases = leases
        self._clock = clock
        self._timestamps = Timestamps(now)
        self._own: Lease | None = None
        self._renewed = -math.inf
        self._observations: Observations = {}

    async def live(self) -> Collection[str]:
        """Renew our own Lease, delete those of members that have ended, and return the others that can take shards.

        Returns:
            Their identities.

        Raises:
            SyncError: The Leases cannot be read, or ours cannot be written.
        """
        await self._renew()
        leases = [one for one in await self._leases.list() if one.installation == self._ours.name]
        now = self._clock()
        self._observations = observe(self._observations, leases, expected=(), now=now)
        live: set[str] = set()
        for lease in leases:
            since = self._observations[lease.name].since
            if lease.holder in {None, self._identity}:
                continue
            if now >= since + LEASE_DURATION:
                await self._attempt_delete(lease)
            # Those of another number of shards wait until we have ended.
            elif now < since + MEMBER_DURATION and lease.shards == self._ours.shards:
                live.add(lease.holder or "")
        return live

    async def leave(self) -> None:
        """Delete our own Lease: the others do not count this replica any more."""
        if self._own is not None:
            await self._attempt_delete(self._own)
            self._own = None

    async def _renew(self) -> None:
        """Renew our own Lease, unless that was done just before."""
        name, begun = f"{self._ours.name}-{self._identity}", self._clock()
        if self._own is not None and begun < self._renewed + RETRY_PERIOD:
            return
        try:
            if self._own is None:
                self._own = await self._leases.acquire(name, None, at=self._timestamps.next())
            else:
                self._own = await self._leases.renew(self._own, at=self._timestamps.next())
            self._renewed = begun
        except Conflict:
            self._own = await self._leases.get(name)

    async def _attempt_delete(self, lease: Lease) -> None:
        """Delete the Lease of a replica that has ended; one that cannot be deleted is no harm."""
        try:
            await self._leases.delete(lease)
        except SyncError as error:
            logger.debug("lease not deleted", extra={"lease": lease.name, "detail": error.message})
