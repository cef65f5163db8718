"""The story of one VaultSecret, top to bottom: look at the target, decide, read, write, tell.

It never sees *what* changed, only how things are, so that every trigger may call it at any time. What it needs of the
world it names here as Protocols; the adapters fit them by shape.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret, VaultSecretHead, VaultSecretStatus
from vaultsync.inventory import Inventory
from vaultsync.rules.access import check_target, check_type, check_vault
from vaultsync.rules.applied import applied_keys
from vaultsync.rules.changes import Seen
from vaultsync.rules.desired import Desired, desired_secret, strange_keys
from vaultsync.rules.events import Event, event_for
from vaultsync.rules.observed import Observed
from vaultsync.rules.outcome import (
    Change,
    Failed,
    GoingAway,
    NotThere,
    NotYet,
    Outcome,
    Reason,
    SecretRef,
    Suspended,
    Synced,
    SyncError,
    failed,
)
from vaultsync.rules.plan import Plan, change_for, detail_of, must_remember, plan_for
from vaultsync.rules.readings import Absent, Reading
from vaultsync.rules.schedule import Jitter, Next, next_look, recheck_interval
from vaultsync.rules.status import status_after, status_of_untouched
from vaultsync.rules.wanted import Wanted, check_listing, check_search, left_out


class Vaults(Protocol):
    """Where values come from."""

    async def read(self, vault_url: str, ref: SecretRef) -> Reading:
        """Read one secret; the answer is newer than what polls have seen of it by now. Raises `SyncError`."""
        ...


class Cluster(Protocol):
    """Where targets live, and where we tell what came of it."""

    async def observe(self, key: ObjectKey) -> Observed | None:
        """Look at a Secret's metadata; None if there is none."""
        ...

    async def apply(self, key: ObjectKey, manifest: Mapping[str, Any], *, onto: Observed | None) -> Observed:
        """Apply a manifest by force to that very Secret; None makes a new one, and refuses to meet another."""
        ...

    async def discard(self, key: ObjectKey, *, observed: Observed) -> None:
        """Delete that very Secret; fine if it is gone."""
        ...

    async def drop_keys(self, key: ObjectKey, names: Iterable[str], *, observed: Observed) -> Observed:
        """Remove keys that others own."""
        ...

    async def confirm(self, vault_secret: VaultSecretHead) -> None:
        """Make sure that it is still there, and there to stay; raises `GoingAway` if not."""
        ...

    async def find_vault_secret(self, namespace: str, *, uid: str) -> VaultSecretHead | None:
        """Look for a VaultSecret by its uid; None if there is none."""
        ...

    async def write_status(self, vault_secret: VaultSecretHead, status: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Write the status; the object as it is now, or None if it is gone or was changed in the same moment."""
        ...

    async def post_event(
        self, vault_secret: VaultSecretHead, *, kind: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        """Post an event about a VaultSecret."""
        ...


class Targets(Protocol):
    """What the watch of our targets last saw."""

    def get(self, key: ObjectKey) -> Observed | None:
        """The target as last seen; None if it is not there, or not ours."""
        ...

    def remember(self, key: ObjectKey, observed: Observed) -> None:
        """Take what we wrote ourselves as seen."""
        ...


class Record(Protocol):
    """Where outcomes are counted and logged."""

    def outcome(
        self, vault_secret: VaultSecretHead, outcome: Outcome, *, after: VaultSecretStatus, seconds: float
    ) -> None:
        """Count and log how a reconcile ended; `after` is the status that comes of it."""
        ...

    def bug(self, vault_secret: VaultSecret, error: Exception) -> None:
        """Log an unforeseen error."""
        ...

    def untold(self, vault_secret: VaultSecretHead, error: SyncError) -> None:
        """Log that status or event could not be written."""
        ...


LISTED_WITHIN = 30.0
"""Seconds after which a search that waits for a listing looks again, should nobody tell it before."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator's settings say about every VaultSecret."""

    dns_suffixes: tuple[str, ...]
    recheck: timedelta


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Makes targets what their VaultSecrets ask for.

    `seen` tells what polls know of a vault; `answered` tells them that it has given a value; `list_now` asks for a
    listing, since somebody searches. `forget` is called with a VaultSecret that turns out to be going, since there may
    be no other word of it.
    """

    inventory: Inventory
    vaults: Vaults
    cluster: Cluster
    targets: Targets
    seen: Callable[[str], Seen]
    answered: Callable[[str], None]
    forget: Callable[[VaultSecretHead], None]
    list_now: Callable[[str], None]
    record: Record
    limits: Limits
    now: Callable[[], datetime]
    jitter: Jitter

    async def work(self, key: ObjectKey, failures: int) -> Next:
        """Reconcile the VaultSecret of that key, after so many failures in a row; tell when to come back."""
        vault_secret = self.inventory.get(key)
        if vault_secret is None:
            return Next(None)
        try:
            outcome = await self.reconcile(vault_secret)
        except GoingAway:
            self.forget(vault_secret)
            return Next(None)
        except NotYet:
            self.list_now(vault_secret.spec.vault_url)
            return Next(LISTED_WITHIN)
        return next_look(
            vault_secret,
            outcome,
            failures=failures + 1,
            now=self.now(),
            recheck=self._recheck(vault_secret),
            jitter=self.jitter,
        )

    async def reconcile(self, vault_secret: VaultSecret) -> Outcome:
        """Make the target what the VaultSecret asks for, or say why not; a failure leaves the target as it was.

        Raises `GoingAway` when there is nothing left to be done for it, `NotYet` while a search waits for a listing.
        """
        started = self.now()
        try:
            outcome: Outcome = Suspended() if vault_secret.spec.suspend else await self._sync(vault_secret)
        except (GoingAway, NotYet):
            raise
        except SyncError as error:
            outcome = failed(error)
        except Exception as error:  # noqa: BLE001  whatever breaks for one VaultSecret must not stop the others
            self.record.bug(vault_secret, error)
            outcome = Failed(Reason.INTERNAL_ERROR, Reason.INTERNAL_ERROR.sentence)
        status = status_after(vault_secret, outcome, now=self.now())
        seconds = (self.now() - started).total_seconds()
        self.record.outcome(vault_secret, outcome, after=status, seconds=seconds)
        untold = await self._tell(vault_secret, status, event_for(vault_secret.status, outcome))
        return untold or outcome

    async def refuse(self, head: VaultSecretHead, why: str) -> None:
        """Tell people that a VaultSecret cannot be read, and why; its target stays as it is."""
        outcome = Failed(Reason.INVALID_SPEC, f"This version of vaultsync does not accept it: {why}.")
        status = status_of_untouched(head, outcome, now=self.now())
        self.record.outcome(head, outcome, after=status, seconds=0.0)
        with suppress(GoingAway):
            await self._tell(head, status, event_for(head.status, outcome))

    def is_due(self, key: ObjectKey) -> bool:
        """Tell, from what watches and polls know already, whether a reconcile would read or write."""
        vault_secret = self.inventory.get(key)
        if vault_secret is None or vault_secret.spec.suspend:
            return False
        observed, seen = self.targets.get(vault_secret.target_key), self.seen(vault_secret.spec.vault_url)
        return self._plan(vault_secret, observed, seen).why_read is not None

    async def _sync(self, vault_secret: VaultSecret) -> Synced:
        spec, target = vault_secret.spec, vault_secret.target_key
        check_vault(spec.vault_url, self.limits.dns_suffixes)
        check_type(vault_secret)
        observed = self.targets.get(target) or await self.cluster.observe(target)
        check_target(vault_secret, observed, await self._rivals(vault_secret, observed))
        seen = self.seen(spec.vault_url)
        check_search(spec, seen)
        plan = self._plan(vault_secret, observed, seen)
        if plan.why_read is None and observed is not None:
            return self._in_place(vault_secret, observed, plan, seen)
        check_listing(spec, seen)
        if observed is None and vault_secret.status.target is not None:
            # The garbage collector may be quicker than our watch of VaultSecrets: what it took must not come back.
            await self.cluster.confirm(vault_secret)
        readings = await self._read(spec.vault_url, plan)
        if readings:
            self.answered(spec.vault_url)
        desired = desired_secret(vault_secret, readings, seen)
        change = change_for(vault_secret, observed, plan, desired)
        if change is not Change.NONE or must_remember(plan, desired):
            self.targets.remember(target, await self._write(vault_secret, observed, desired))
        detail = detail_of(change, observed, plan, desired)
        return Synced(desired.secrets, desired.keys, change, detail, left_out(spec, seen))

    async def _rivals(self, vault_secret: VaultSecret, observed: Observed | None) -> list[VaultSecretHead]:
        """Everybody else who wants the target, and who has it without our having heard of them, as after a restart."""
        rivals: list[VaultSecretHead] = [*self.inventory.rivals(vault_secret)]
        holder = None if observed is None else observed.owner_uid
        if holder is None or holder == vault_secret.metadata.uid or self.inventory.has_uid(holder):
            return rivals
        unheard = await self.cluster.find_vault_secret(vault_secret.key.namespace, uid=holder)
        return rivals if unheard is None else [*rivals, unheard]

    def _plan(self, vault_secret: VaultSecret, observed: Observed | None, seen: Seen) -> Plan:
        return plan_for(vault_secret, observed, seen, now=self.now(), recheck=self._recheck(vault_secret))

    def _recheck(self, vault_secret: VaultSecret) -> timedelta:
        return recheck_interval(vault_secret.metadata.uid, self.limits.recheck)

    def _in_place(self, vault_secret: VaultSecret, observed: Observed, plan: Plan, seen: Seen) -> Synced:
        """Nothing to do, as far as we know: while the vault can't be asked, that is a failure too."""
        if seen.failure is not None:
            raise seen.failure.anew()
        assert observed.applied is not None
        is_listed = seen.catalog is not None
        omitted = left_out(vault_secret.spec, seen) if is_listed else vault_secret.status.left_out or 0
        return Synced(tuple(plan.known.values()), applied_keys(vault_secret, observed.applied), left_out=omitted)

    async def _read(self, vault_url: str, plan: Plan) -> dict[SecretRef, Reading | Absent]:
        """Read every secret, those that are due before the others, which are not read in vain if one of them fails."""
        first, then = plan.steps
        readings = await self._read_all(vault_url, first) | await self._read_all(vault_url, then)
        return {one.ref.identity: readings[one.ref.identity] for one in plan.wanted}

    async def _read_all(self, vault_url: str, wanted: Sequence[Wanted]) -> dict[SecretRef, Reading | Absent]:
        """Read some secrets at once; of several failures the first one's is told, so that it is always the same."""
        answers = await asyncio.gather(*(self._read_one(vault_url, one) for one in wanted), return_exceptions=True)
        readings: dict[SecretRef, Reading | Absent] = {}
        for one, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            readings[one.ref.identity] = answer
        return readings

    async def _read_one(self, vault_url: str, wanted: Wanted) -> Reading | Absent:
        try:
            return await self.vaults.read(vault_url, wanted.ref)
        except NotThere as error:
            if wanted.optional:
                return Absent(read_at=error.looked_at)
            raise

    async def _write(self, vault_secret: VaultSecret, observed: Observed | None, desired: Desired) -> Observed:
        target = vault_secret.target_key
        try:
            written = await self.cluster.apply(target, desired.manifest, onto=observed)
        except SyncError as error:
            replaces = vault_secret.spec.target.replace_immutable
            if error.reason is not Reason.TARGET_IMMUTABLE or observed is None or not replaces:
                raise
            await self.cluster.discard(target, observed=observed)
            written = await self.cluster.apply(target, desired.manifest, onto=None)
        strangers = strange_keys(written, desired)
        return await self.cluster.drop_keys(target, strangers, observed=written) if strangers else written

    async def _tell(
        self, vault_secret: VaultSecretHead, status: VaultSecretStatus, event: Event | None
    ) -> Failed | None:
        """Write status and event, each only if it says something new; a failure makes us come back soon to tell it."""
        try:
            if status != vault_secret.status:
                await self._write_status(vault_secret, status)
            if event is not None:
                await self.cluster.post_event(vault_secret, kind=event.kind, reason=event.reason, message=event.message)
        except GoingAway:
            raise
        except SyncError as error:
            self.record.untold(vault_secret, error)
            return failed(error)
        return None

    async def _write_status(self, vault_secret: VaultSecretHead, status: VaultSecretStatus) -> None:
        body = await self.cluster.write_status(vault_secret, status.to_wire())
        if body is None:
            await self.cluster.confirm(vault_secret)
            raise SyncError(Reason.CLUSTER_UNAVAILABLE, f"VaultSecret {vault_secret.key} changed in the same moment.")
        self._remember(VaultSecretHead.parse(body))

    def _remember(self, written: VaultSecretHead) -> None:
        """Take our own status as known at once; a spec that changed meanwhile comes by the watch."""
        known = self.inventory.get(written.key)
        if known is None or known.metadata.uid != written.metadata.uid:
            return
        news: dict[str, object] = {"status": written.status}
        if known.metadata.generation == written.metadata.generation:
            news["metadata"] = written.metadata
        self.inventory.put(known.model_copy(update=news))
