"""Reads secrets of a vault together, and tells an absence from a failure; decides nothing about what came."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from vaultsync.api.v1alpha1 import OnSourceDeleted, VaultSecretSpec
from vaultsync.errors import SecretNotFound
from vaultsync.state.requests import SecretRequest
from vaultsync.state.secrets import MissingReading, Reading, SecretRef


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

    async def some(self, wanted: Sequence[SecretRequest]) -> dict[SecretRef, Reading | MissingReading]:
        """Read some secrets at once.

        Raises:
            SyncError: One cannot be read; of several failures the first one's is told, so that it is always the same.
        """
        answers = await asyncio.gather(*map(self._one, wanted), return_exceptions=True)
        readings: dict[SecretRef, Reading | MissingReading] = {}
        for one, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            readings[one.ref.identity] = answer
        return readings

    async def _one(self, wanted: SecretRequest) -> Reading | MissingReading:
        try:
            return await self.vaults.read(self.spec.vault_url, wanted.ref)
        except SecretNotFound as error:
            if wanted.optional or self.spec.on_source_deleted is OnSourceDeleted.DELETE:
                return MissingReading(read_at=error.polled_at, why=error)
            raise
