"""Leases in memory, with resource versions, as several replicas read and write them."""

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from vaultsync.adapters.kube import Conflict
from vaultsync.errors import Reason
from vaultsync.policy.leases import Installation, Lease
from vaultsync.state.positions import Position


async def at_once() -> None:
    """A request that takes no time."""


@dataclass
class LeaseStore:
    """The Leases that exist, by name."""

    leases: dict[str, Lease] = field(default_factory=dict)
    versions: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def put(self, lease: Lease) -> Lease:
        """Store a Lease in its next version."""
        self.leases[lease.name] = replace(lease, resource_version=str(next(self.versions)))
        return self.leases[lease.name]


@dataclass
class FakeLeases:
    """The Leases, as one replica sees them; `step` is awaited on the way to the API server and on the way back."""

    store: LeaseStore
    installation: Installation
    identity: str
    step: Callable[[], Awaitable[None]] = at_once

    async def list(self) -> list[Lease]:
        await self.step()
        leases = list(self.store.leases.values())
        await self.step()
        return leases

    async def get(self, name: str) -> Lease | None:
        await self.step()
        lease = self.store.leases.get(name)
        await self.step()
        return lease

    async def check_rights(self, name: str) -> None:
        await self.step()

    async def acquire(self, name: str, present: Lease | None, *, at: datetime) -> Lease:
        lease = Lease(
            name=name,
            uid=f"uid-{next(self.store.versions)}" if present is None else present.uid,
            resource_version="",
            holder=self.identity,
            renewed=str(at),
            transitions=0 if present is None else present.transitions + 1,
            installation=self.installation.name,
            shards=self.installation.shards,
            namespaces=self.installation.namespaces,
        )
        return await self._write(present, lease)

    async def renew(self, lease: Lease, *, at: datetime) -> Lease:
        return await self._write(lease, replace(lease, holder=self.identity, renewed=str(at)))

    async def release(self, lease: Lease, *, at: datetime, position: Position | None = None) -> None:
        await self._write(lease, replace(lease, holder=None, renewed=str(at), position=position))

    async def delete(self, lease: Lease) -> None:
        await self.step()
        self._check(lease.name, lease)
        del self.store.leases[lease.name]
        await self.step()

    async def _write(self, present: Lease | None, lease: Lease) -> Lease:
        await self.step()
        self._check(lease.name, present)
        stored = self.store.put(lease)
        await self.step()
        return stored

    def _check(self, name: str, present: Lease | None) -> None:
        current = self.store.leases.get(name)
        versions = [None if one is None else (one.uid, one.resource_version) for one in (current, present)]
        if versions[0] != versions[1]:
            raise Conflict(Reason.CLUSTER_UNAVAILABLE, f"Lease {name} was changed at the same time.")
