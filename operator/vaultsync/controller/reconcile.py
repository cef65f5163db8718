"""The story of one VaultSecret, top to bottom: look at the target, decide, read, write, tell.

It never sees *what* changed, only how things are, so that every trigger may call it at any time. What it needs of the
world it names here as Protocols; the adapters fit them by shape.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret, VaultSecretMeta, VaultSecretStatus
from vaultsync.controller.apply import Writer
from vaultsync.controller.fetch import Fetch, Vaults
from vaultsync.controller.report import Teller
from vaultsync.controller.rollout import Restarter
from vaultsync.errors import NotYet, ObjectGone, Reason, Retry, SyncError
from vaultsync.policy.access import check_type, check_vault
from vaultsync.policy.activation import check_active
from vaultsync.policy.deletion import check_brake, check_listing_agrees, confirmed_deletions, pruned
from vaultsync.policy.diff import change_for, content_changed, detail_of, must_remember
from vaultsync.policy.ownership import check_target
from vaultsync.policy.plan import Plan, plan_for, refresh_requested
from vaultsync.policy.requests import check_listing, check_search, left_out
from vaultsync.policy.requeue import Jitter, Result, moments_of, recheck_interval, result_for
from vaultsync.render.manifest import desired_secret
from vaultsync.state.applied import applied_keys
from vaultsync.state.observed import Observed
from vaultsync.state.requests import searches
from vaultsync.state.secrets import MissingReading, Readings
from vaultsync.state.vaults import VaultView
from vaultsync.state.vaultsecrets import VaultSecretCache
from vaultsync.status.events import events_for
from vaultsync.status.next_status import check_known_trouble, status_after, status_of_unreadable
from vaultsync.status.outcome import Change, Failed, Outcome, Pruned, Suspended, Synced, failed


class KubeApi(Protocol):
    """Where targets and VaultSecrets are seen."""

    async def observe(self, key: ObjectKey) -> Observed | None:
        """Look at a Secret's metadata; None if there is none."""
        ...

    async def ensure_current(self, vault_secret: VaultSecretMeta) -> None:
        """Make sure that it is still there, to stay, and as it was; raises `GoingAway` or `NotYet` if not."""
        ...

    async def find_vault_secret(self, namespace: str, *, uid: str) -> VaultSecretMeta | None:
        """Look for a VaultSecret by its uid; None if there is none."""
        ...


class Targets(Protocol):
    """What the watch of our targets last saw."""

    def get(self, key: ObjectKey) -> Observed | None:
        """The target as last seen; None if it is not there, or not ours."""
        ...


class Record(Protocol):
    """Where outcomes are counted and logged."""

    def outcome(
        self, vault_secret: VaultSecretMeta, outcome: Outcome, *, after: VaultSecretStatus, seconds: float
    ) -> None:
        """Count and log how a reconcile ended; `after` is the status that comes of it."""
        ...

    def bug(self, vault_secret: VaultSecret, error: Exception) -> None:
        """Log an unforeseen error."""
        ...


LISTED_WITHIN = 30.0
"""Seconds after which a search that waits for a listing looks again, should nobody tell it before."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator's settings say about every VaultSecret."""

    dns_suffixes: tuple[str, ...]
    recheck: timedelta
    notice: timedelta
    """How long before its date a secret counts as expiring."""


class _Ending(NamedTuple):
    """What came of a reconcile, the status that says so, and in how many seconds a restart is due."""

    outcome: Outcome
    status: VaultSecretStatus
    restart_in: float | None


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Makes targets what their VaultSecrets ask for.

    `seen` tells what polls know of a vault; `answered` tells them that it has given a value; `list_now` asks for a
    listing, since somebody searches. `forget` is called with a VaultSecret that turns out to be going, since there may
    be no other word of it.
    """

    vaultsecrets: VaultSecretCache
    vaults: Vaults
    cluster: KubeApi
    targets: Targets
    view: Callable[[str], VaultView]
    answered: Callable[[str], None]
    forget: Callable[[VaultSecretMeta], None]
    list_now: Callable[[str], None]
    writer: Writer
    teller: Teller
    restarter: Restarter
    record: Record
    limits: Limits
    now: Callable[[], datetime]
    jitter: Jitter

    async def work(self, key: ObjectKey, failures: int) -> Result:
        """Reconcile the VaultSecret of that key, after so many failures in a row; tell when to come back."""
        vault_secret = self.vaultsecrets.get(key)
        if vault_secret is None:
            return Result(None)
        try:
            ending = await self._end(vault_secret)
        except ObjectGone:
            self.forget(vault_secret)
            return Result(None)
        except NotYet:
            self.list_now(vault_secret.spec.vault_url)
            return Result(LISTED_WITHIN)
        now, notice = self.now(), self.limits.notice
        after = result_for(
            vault_secret,
            ending.outcome,
            failures=failures + 1,
            now=now,
            recheck=self._recheck(vault_secret),
            jitter=self.jitter,
            moments=moments_of(ending.status, vault_secret.spec.refresh_interval, now=now, notice=notice),
        )
        return after if ending.restart_in is None else after.at_most(ending.restart_in)

    async def _end(self, vault_secret: VaultSecret) -> _Ending:
        """Try, and tell what came of it."""
        started = self.now()
        outcome = await self._try(vault_secret)
        now, view = self.now(), self.view(vault_secret.spec.vault_url)
        status = status_after(
            vault_secret,
            outcome,
            now=now,
            polled_at=view.polled_at,
            notice=self.limits.notice,
            back=view.present(one.secret_name for one in vault_secret.status.missing),
        )
        self.record.outcome(vault_secret, outcome, after=status, seconds=(now - started).total_seconds())
        events, restart_in = [*events_for(vault_secret.status, status, outcome)], None
        if not isinstance(outcome, Suspended):
            followed = await self.restarter.follow(vault_secret, changed=status.content_change_time)
            events += followed.events
            status, restart_in = status.model_copy(update={"restarts": followed.restarts}), followed.seconds
        untold = await self.teller.tell(vault_secret, status, events)
        return _Ending(untold or outcome, status, restart_in)

    async def _try(self, vault_secret: VaultSecret) -> Outcome:
        try:
            return Suspended() if vault_secret.spec.suspend else await self._sync(vault_secret)
        except (ObjectGone, NotYet):
            raise
        except SyncError as error:
            outcome = failed(error)
            in_vain = outcome.retry is Retry.LATER
            return replace(outcome, refreshed=refresh_requested(vault_secret)) if in_vain else outcome
        except Exception as error:  # noqa: BLE001  whatever breaks for one VaultSecret must not stop the others
            self.record.bug(vault_secret, error)
            return Failed(Reason.INTERNAL_ERROR, Reason.INTERNAL_ERROR.sentence)

    async def refuse(self, head: VaultSecretMeta, why: str) -> None:
        """Tell people that a VaultSecret cannot be read, and why; its target stays as it is."""
        outcome = Failed(Reason.INVALID_SPEC, f"This version of vaultsync does not accept it: {why}.")
        status = status_of_unreadable(head, outcome, now=self.now(), notice=self.limits.notice)
        self.record.outcome(head, outcome, after=status, seconds=0.0)
        with suppress(ObjectGone):
            await self.teller.tell(head, status, events_for(head.status, status, outcome))

    def is_due(self, key: ObjectKey) -> bool:
        """Tell, from what watches and polls know already, whether a reconcile would read or write."""
        vault_secret = self.vaultsecrets.get(key)
        if vault_secret is None or vault_secret.spec.suspend:
            return False
        observed, view = self.targets.get(vault_secret.target_key), self.view(vault_secret.spec.vault_url)
        return self._plan(vault_secret, observed, view).why_read is not None

    async def _sync(self, vault_secret: VaultSecret) -> Outcome:
        spec, target = vault_secret.spec, vault_secret.target_key
        check_vault(spec.vault_url, self.limits.dns_suffixes)
        check_type(vault_secret)
        observed = self.targets.get(target) or await self.cluster.observe(target)
        check_target(vault_secret, observed, await self._rivals(vault_secret, observed))
        view = self.view(spec.vault_url)
        check_search(spec, view)
        plan = self._plan(vault_secret, observed, view)
        if plan.why_read is None and observed is not None:
            return await self._in_place(vault_secret, observed, plan, view)
        check_listing(spec, view)
        if plan.tampering is not None or (observed is None and vault_secret.status.target is not None):
            # The garbage collector may be quicker than our watch of VaultSecrets: what it took must not come back, nor
            # must an owner reference that it took off.
            await self.cluster.ensure_current(vault_secret)
        check_brake(vault_secret, plan, view, now=self.now())
        return await self._settle(vault_secret, observed, plan, await self._read(vault_secret, plan, view), view)

    async def _read(self, vault_secret: VaultSecret, plan: Plan, view: VaultView) -> Readings:
        """Read what is due, and then the rest, unless that would be in vain."""
        fetch = Fetch(self.vaults, vault_secret.spec)
        first, then = plan.steps
        readings = await fetch.some(first)
        confirmed_deletions(vault_secret, plan, readings, view, now=self.now())
        readings |= await fetch.some(then)
        if readings:
            self.answered(vault_secret.spec.vault_url)
        return {one.ref.identity: readings[one.ref.identity] for one in plan.wanted}

    async def _settle(
        self, vault_secret: VaultSecret, observed: Observed | None, plan: Plan, readings: Readings, view: VaultView
    ) -> Synced | Pruned:
        """Write what was read, as far as it is to be written."""
        spec, asked = vault_secret.spec, refresh_requested(vault_secret)
        check_listing_agrees(plan.wanted, readings, spec.vault_url)
        check_active(readings, spec.vault_url)
        missing = confirmed_deletions(vault_secret, plan, readings, view, now=self.now())
        if missing and all(isinstance(reading, MissingReading) for reading in readings.values()):
            went = await self.writer.delete(vault_secret, observed)
            return replace(pruned(readings, missing), change=Change.DELETED if went else Change.NONE)
        kept = {one.ref.identity: readings[one.ref.identity] for one in plan.wanted if not one.vanished}
        desired = desired_secret(vault_secret, kept, view)
        change = change_for(vault_secret, observed, plan, desired)
        if change is not Change.NONE or must_remember(plan, desired):
            takes_away = bool(missing) or change is Change.REMOVED
            await self.writer.write(vault_secret, observed, desired, takes_away=takes_away)
        cleared = await self.writer.delete_stale_targets(vault_secret)
        if asked is not None and searches(spec):
            self.list_now(spec.vault_url)
        return Synced(
            desired.secrets,
            desired.keys,
            change,
            " ".join([detail_of(change, observed, plan, desired), *cleared]),
            left_out(spec, view),
            missing,
            content_changed(vault_secret, observed, change, desired.secrets),
            asked,
        )

    async def _rivals(self, vault_secret: VaultSecret, observed: Observed | None) -> list[VaultSecretMeta]:
        """Everybody else who wants the target, and who has it without our having heard of them, as after a restart."""
        competing: list[VaultSecretMeta] = [*self.vaultsecrets.competing(vault_secret)]
        holder = None if observed is None else observed.owner_uid
        if holder is None or holder == vault_secret.metadata.uid or self.vaultsecrets.has_uid(holder):
            return competing
        unheard = await self.cluster.find_vault_secret(vault_secret.key.namespace, uid=holder)
        return competing if unheard is None else [*competing, unheard]

    def _plan(self, vault_secret: VaultSecret, observed: Observed | None, view: VaultView) -> Plan:
        return plan_for(vault_secret, observed, view, now=self.now(), recheck=self._recheck(vault_secret))

    def _recheck(self, vault_secret: VaultSecret) -> timedelta:
        return recheck_interval(vault_secret.metadata.uid, self.limits.recheck)

    async def _in_place(self, vault_secret: VaultSecret, observed: Observed, plan: Plan, view: VaultView) -> Synced:
        """Nothing to do, as far as we know: while the vault can't be asked, that is a failure too."""
        if view.failure is not None:
            raise view.failure.anew()
        check_known_trouble(vault_secret.status, view.polled_at)
        assert observed.applied is not None
        is_listed = view.listing is not None
        await self.writer.delete_stale_targets(vault_secret)
        omitted = left_out(vault_secret.spec, view) if is_listed else vault_secret.status.left_out or 0
        secrets = tuple(plan.known.values())
        return Synced(
            secrets,
            applied_keys(vault_secret, observed.applied),
            left_out=omitted,
            missing=plan.missing,
            content_changed=content_changed(vault_secret, observed, Change.NONE, secrets),
        )
