"""Reports whether the vault of each VaultGrant answers its identity, and who uses it; grants nothing itself."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from vaultsync.api.grants import GrantUsage, GrantVault, VaultGrant, VaultGrantStatus
from vaultsync.api.status import Condition
from vaultsync.controller.queue import is_cancelled
from vaultsync.errors import Reason, SyncError, error_fields
from vaultsync.interfaces import KubeApi, VaultClients
from vaultsync.policy.grants import identity_of
from vaultsync.policy.known_vaults import KnownVaults
from vaultsync.state.access import Access, TokenClaims
from vaultsync.state.globs import is_literal
from vaultsync.state.stores import State
from vaultsync.status.conditions import READY, progress

logger = logging.getLogger(__name__)

ROUND: Final = 5.0
"""Seconds between two rounds: a new grant is checked within them."""

CHECK_AFTER: Final = 600.0
RETRY_AFTER: Final = 60.0
"""Seconds from a check to the next, after a success and after a failure."""

MAX_CONCURRENT: Final = 8
"""Checks at once: vaults that do not respond must not delay the others much."""

MAX_USAGE: Final = 10
"""The namespaces in the status."""

REACHABLE: Final = "Reachable"
UNUSED: Final = "Unused"


@dataclass(frozen=True, slots=True)
class _Check:
    """The result of a check of one grant at one generation."""

    uid: str
    generation: int
    at: float
    """By the monotonic clock."""
    ready: tuple[str, str, str]
    """Status, reason and message of the condition."""
    vault: GrantVault | None
    is_final: bool = False
    """Whether another check has the same result, until the grant changes."""


class GrantStatus:
    """Checks all grants while it runs, and writes their statuses."""

    def __init__(
        self,
        kube: KubeApi,
        vaults: VaultClients,
        state: State,
        *,
        known_vaults: KnownVaults,
        now: Callable[[], datetime],
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._kube = kube
        self._vaults = vaults
        self._state = state
        self._known_vaults = known_vaults
        self._now = now
        self._clock = clock
        self._sleep = sleep
        self._checks: dict[str, _Check] = {}
        self._written: dict[str, VaultGrantStatus] = {}
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)

    async def run(self) -> None:
        """Check and report until cancelled; an unexpected failure is logged, and the next round tries again."""
        while True:
            try:
                await self.report()
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and is_cancelled():
                    raise
                logger.error("grant status error", extra=error_fields(error))  # noqa: TRY400  without its text
            await self._sleep(ROUND)

    async def report(self) -> None:
        """Check the grants that are due, each on its own, and write the statuses that differ.

        They are written by the replica that serves the cluster's shard.
        """
        if not self._state.may_begin(None):
            self._checks.clear()
            self._written.clear()
            return
        grants = self._state.grants.view.grants
        for known in (self._checks, self._written):
            for name in known.keys() - grants.keys():
                del known[name]
        await asyncio.gather(*map(self._report, tuple(grants.values())))

    async def _report(self, grant: VaultGrant) -> None:
        async with self._slots:
            check = self._checks.get(grant.metadata.name)
            if check is None or self._is_due(check, grant):
                check = self._checks[grant.metadata.name] = await self._check(grant, check)
        status = self._status(grant, check)
        if not self._state.may_begin(None):
            return
        if status == self._written.get(grant.metadata.name, grant.status):
            return
        try:
            await self._kube.patch_grant_status(grant.metadata, status.to_wire())
        except SyncError as error:
            fields = {"vaultgrant": grant.metadata.name, "detail": error.message}
            logger.warning("grant status update failed", extra=fields)
            return
        self._written[grant.metadata.name] = status

    def _is_due(self, check: _Check, grant: VaultGrant) -> bool:
        if (check.uid, check.generation) != (grant.metadata.uid, grant.metadata.generation):
            return True
        if check.is_final:
            return False
        is_well = check.vault is not None and check.vault.reachable
        return self._clock() - check.at >= (CHECK_AFTER if is_well else RETRY_AFTER)

    async def _check(self, grant: VaultGrant, before: _Check | None) -> _Check:
        """Make one call to the vault with the grant's identity, if it may be called."""
        metadata, vault_url = grant.metadata, grant.spec.vault_url
        made = (metadata.uid, metadata.generation, self._clock())
        problem = self._known_vaults.problem(vault_url)
        if problem is not None:
            return _Check(*made, ("False", Reason.INVALID_SPEC, problem), None, is_final=True)
        namespace = self._namespace(grant)
        if namespace is None:
            text = "No VaultSecret uses the grant yet: the vault is called once there is a ServiceAccount to log in as."
            return _Check(*made, ("True", UNUSED, text), None)
        access = Access(metadata.name, vault_url, identity_of(grant.spec.identity, namespace))
        last = None if before is None or before.vault is None else before.vault.last_success_time
        try:
            claims = await self._vaults.probe(access)
        except SyncError as error:
            vault = GrantVault(reachable=False, last_success_time=last, last_failure=error.message)
            return _Check(*made, _not_ready(error), vault)
        finally:
            if access not in self._state.vaultsecrets.accesses():
                await self._vaults.close_vault(access)
        return _Check(*made, ("True", REACHABLE, "The vault answers this identity."), self._vault_of(claims))

    def _vault_of(self, claims: TokenClaims) -> GrantVault:
        return GrantVault(
            reachable=True, client_id=claims.client_id, object_id=claims.object_id, last_success_time=self._now()
        )

    def _namespace(self, grant: VaultGrant) -> str | None:
        """Return a namespace whose VaultSecrets use the grant; any, if the identity is the same for all."""
        identity = grant.spec.identity
        if identity is None or identity.workload_identity is None:
            return ""
        used = self._counts(grant)
        named = [name for name in grant.spec.namespaces.names if is_literal(name)]
        return next(iter([*sorted(used), *named]), None)

    def _counts(self, grant: VaultGrant) -> Mapping[str, int]:
        return self._state.count(grant.metadata.name)

    def _status(self, grant: VaultGrant, check: _Check) -> VaultGrantStatus:
        counts = self._counts(grant)
        most = sorted(counts, key=lambda namespace: (-counts[namespace], namespace))[:MAX_USAGE]
        return VaultGrantStatus(
            observed_generation=check.generation,
            conditions=self._conditions(grant, check),
            vault=check.vault,
            vault_secrets=sum(counts.values()),
            usage=tuple(GrantUsage(namespace=name, vault_secrets=counts[name]) for name in most),
        )

    def _conditions(self, grant: VaultGrant, check: _Check) -> tuple[Condition, ...]:
        status, reason, message = check.ready
        known, now = self._written.get(grant.metadata.name, grant.status).conditions, self._now()
        before = next((one for one in known if one.type == READY), None)
        ready = Condition(
            type=READY,
            status=status,
            reason=reason,
            message=message,
            last_transition_time=before.last_transition_time if before is not None and before.status == status else now,
            observed_generation=check.generation,
        )
        return (ready, *progress(ready, known, now=now))


def _not_ready(error: SyncError) -> tuple[str, str, str]:
    """Return the condition for a failed call. An identity that may only read secrets by name is denied the list."""
    if error.reason is not Reason.ACCESS_DENIED:
        return "False", error.reason, error.message
    return "Unknown", error.reason, f"{error.message} Whether it may read secrets by name is not known."
