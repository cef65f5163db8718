"""Reads secrets of a vault together, and tells an absence from a failure; decides nothing about what came."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from vaultsync.api.v1alpha1 import OnSourceDeleted, VaultSecretSpec
from vaultsync.rules.outcome import NotThere, SecretRef
from vaultsync.rules.readings import Absent, Reading
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

    async def some(self, wanted: Sequence[Wanted]) -> dict[SecretRef, Reading | Absent]:
        """Read some secrets at once.

        Raises:
            SyncError: One cannot be read; of several failures the first one's is told, so that it is always the same.
        """
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
