"""Reads secrets of one vault concurrently; decides nothing about what was returned."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from vaultsync.api.v1alpha1 import OnSourceDeleted, VaultSecretSpec
from vaultsync.errors import Reason, SecretNotFound, SyncError
from vaultsync.interfaces import VaultClients
from vaultsync.policy.changes import last_read
from vaultsync.render.manifest import MAX_BYTES
from vaultsync.state.access import Access
from vaultsync.state.requests import SecretRequest, named_secrets
from vaultsync.state.secrets import (
    FoundTooMuch,
    InactiveReading,
    MissingReading,
    Reading,
    SecretRef,
    SecretsUnread,
    VaultReading,
    state_of,
)
from vaultsync.state.vaults import VaultStore

_Result = TypeVar("_Result")

MAX_CONCURRENT: Final = 32
"""Concurrent reads of one VaultSecret: one with hundreds of entries leaves connections to others."""


async def read_secrets(
    vaults: VaultClients,
    store: VaultStore,
    access: Access,
    spec: VaultSecretSpec,
    requests: Sequence[SecretRequest],
    *,
    namespace: str = "",
    since: float | None = None,
) -> dict[SecretRef, VaultReading | MissingReading]:
    """Read secrets concurrently, for a VaultSecret of that namespace, and record in the store what was read.

    With `since`, each read begins later than that, on the monotonic clock, those known to be missing included.

    Returns:
        The readings by identity; InactiveReading for a secret without an active version, MissingReading for a missing
        one whose key may be deleted. None of a secret that a search does not find any more since it is disabled.

    Raises:
        SecretsUnread: Some secrets cannot be read, with the reason of the first.
        FoundTooMuch: Those that searches find do not fit into a Secret; the rest was not read.
    """
    named, slots, found = {one.ref.identity for one in named_secrets(spec)}, asyncio.Semaphore(MAX_CONCURRENT), _Found()

    async def read(one: SecretRequest) -> VaultReading | MissingReading | None:
        async with slots:
            if found.bytes > MAX_BYTES:
                return None
            reading = await _read(vaults, store, access, spec, one, namespace=namespace, since=since)
        if isinstance(reading, Reading) and one.ref.identity not in named:
            found.bytes += len(reading.value.reveal())
        return reading

    results = await _results([read(one) for one in requests])
    readings = {
        one.ref.identity: result
        for one, result in zip(requests, results, strict=True)
        if isinstance(result, Reading | InactiveReading | MissingReading)
    }
    if found.bytes > MAX_BYTES:
        raise _found_too_much(spec, readings)
    failures: dict[SecretRef, SyncError] = {}
    for one, result in zip(requests, results, strict=True):
        if isinstance(result, SyncError):
            if not (one.unlisted and result.reason is Reason.SECRET_DISABLED):
                failures[one.ref.identity] = result
        elif isinstance(result, BaseException):
            raise result
    if failures:
        disabled = frozenset(ref for ref, error in failures.items() if error.reason is Reason.SECRET_DISABLED)
        raise SecretsUnread(next(iter(failures.values())), frozenset(failures), disabled)
    return readings


async def _results(reads: Sequence[Coroutine[Any, Any, _Result]]) -> list[_Result | BaseException]:
    """Return results and exceptions; a single read needs no task of its own."""
    if len(reads) != 1:
        results: list[_Result | BaseException] = await asyncio.gather(*reads, return_exceptions=True)
        return results
    try:
        return [await reads[0]]
    except Exception as error:  # noqa: BLE001  as above
        return [error]


@dataclass(slots=True)
class _Found:
    """How much has been read of what searches have found, in characters, of which a value has at most its bytes."""

    bytes: int = 0


def _found_too_much(spec: VaultSecretSpec, readings: Mapping[SecretRef, VaultReading | MissingReading]) -> FoundTooMuch:
    text = (
        f"The secrets that find in dataFrom selects in vault {spec.vault_url} have more than the {MAX_BYTES} bytes "
        "that Kubernetes allows for a Secret; select fewer, or split them over several VaultSecrets."
    )
    return FoundTooMuch(text, {ref: state_of(ref, reading) for ref, reading in readings.items()})


async def _read(
    vaults: VaultClients,
    store: VaultStore,
    access: Access,
    spec: VaultSecretSpec,
    request: SecretRequest,
    *,
    namespace: str,
    since: float | None,
) -> VaultReading | MissingReading:
    requested = vaults.moment()
    reading: VaultReading | MissingReading
    try:
        reading = await vaults.get(access, request.ref, namespace=namespace, since=since)
    except SecretNotFound as error:
        reading = MissingReading(read_at=error.observed_at, error=error)
    if request.ref.version is None:
        name = request.ref.read_as
        store.record_read(access, name, last_read(store.view(access), name, reading, requested))
    if not isinstance(reading, MissingReading) or request.optional or spec.on_source_deleted is OnSourceDeleted.DELETE:
        return reading
    raise reading.error
