"""Reads from the vault what a plan wants, what is due before the rest; decides nothing about what came."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from vaultsync.api.v1alpha1 import OnSourceDeleted, VaultSecretSpec
from vaultsync.rules.outcome import NotThere, SecretRef
from vaultsync.rules.plan import Plan
from vaultsync.rules.readings import Absent, Reading, Readings
from vaultsync.rules.wanted import Wanted


class Vaults(Protocol):
    """Where values come from."""

    async def read(self, vault_url: str, ref: SecretRef) -> Reading:
        """Read one secret; the answer is newer than what polls have seen of it by now. Raises `SyncError`."""
        ...


@dataclass(frozen=True, slots=True)
class Fetch:
    """Reads the secrets of one spec."""

    vaults: Vaults
    spec: VaultSecretSpec

    async def all(self, plan: Plan) -> Readings:
        """Read every secret, those that are due before the others, which are not read in vain if one of them fails.

        Raises:
            SyncError: One cannot be read; of several failures always the same is told.
        """
        first, then = plan.steps
        readings = await self._some(first) | await self._some(then)
        return {one.ref.identity: readings[one.ref.identity] for one in plan.wanted}

    async def _some(self, wanted: Sequence[Wanted]) -> dict[SecretRef, Reading | Absent]:
        """Read some secrets at once; the first one's failure is told."""
        answers = await asyncio.gather(*map(self._one, wanted), return_exceptions=True)
        readings: dict[SecretRef, Reading | Absent] = {}
        for one, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            readings[one.ref.identity] = answer
        return readings

    async def _one(self, wanted: Wanted) -> Reading | Absent:
        try:
            return await self.vaults.read(self.spec.vault_url, wanted.ref)
        except NotThere as error:
            if wanted.optional or self.spec.on_source_deleted is OnSourceDeleted.DELETE:
                return Absent(read_at=error.looked_at, why=error)
            raise
