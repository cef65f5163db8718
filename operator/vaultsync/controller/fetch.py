"""Reads secrets of one vault concurrently; decides nothing about what was returned."""

import asyncio
from collections.abc import Sequence

from vaultsync.api.v1alpha1 import OnSourceDeleted, VaultSecretSpec
from vaultsync.errors import Reason, SecretNotFound, SyncError
from vaultsync.interfaces import VaultClients
from vaultsync.policy.changes import last_read
from vaultsync.state.requests import SecretRequest
from vaultsync.state.secrets import MissingReading, Reading, SecretRef
from vaultsync.state.vaults import VaultStore


async def read_secrets(
    vaults: VaultClients,
    store: VaultStore,
    spec: VaultSecretSpec,
    requests: Sequence[SecretRequest],
    *,
    since: float | None = None,
) -> dict[SecretRef, Reading | MissingReading]:
    """Read secrets concurrently, and record in the store what was read.

    With `since`, each read begins later than that, on the monotonic clock, those known to be missing included.

    Returns:
        The readings by identity; MissingReading for a missing secret whose key may be deleted. None of a found secret
        that is disabled by now: its key is removed.

    Raises:
        SyncError: A secret cannot be read. Of several failures, that of the first request is raised.
    """
    reads = (_read(vaults, store, spec, one, since=since) for one in requests)
    results = await asyncio.gather(*reads, return_exceptions=True)
    readings: dict[SecretRef, Reading | MissingReading] = {}
    for one, result in zip(requests, results, strict=True):
        if one.unlisted and isinstance(result, SyncError) and result.reason is Reason.SECRET_DISABLED:
            continue
        if isinstance(result, BaseException):
            raise result
        readings[one.ref.identity] = result
    return readings


async def _read(
    vaults: VaultClients, store: VaultStore, spec: VaultSecretSpec, request: SecretRequest, *, since: float | None
) -> Reading | MissingReading:
    requested = vaults.moment()
    reading: Reading | MissingReading
    try:
        reading = await vaults.get(spec.vault_url, request.ref, since=since)
    except SecretNotFound as error:
        reading = MissingReading(read_at=error.observed_at, error=error)
    if request.ref.version is None:
        name = request.ref.read_as
        store.record_read(spec.vault_url, name, last_read(store.view(spec.vault_url), name, reading, requested))
    if isinstance(reading, Reading) or request.optional or spec.on_source_deleted is OnSourceDeleted.DELETE:
        return reading
    raise reading.error
