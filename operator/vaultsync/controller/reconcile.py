"""The reconcile of one VaultSecret: gather → guard → plan → read → render → apply → report.

It is level-triggered: it uses the current state and not what has changed, so every source may wake it at any time.
It does no I/O itself and never calls a source.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from vaultsync.adapters.kube import Conflict
from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret, VaultSecretMeta, VaultSecretStatus
from vaultsync.controller.apply import apply_target, previous_targets, remove_stale_targets, remove_target
from vaultsync.controller.events import EventWriter
from vaultsync.controller.fetch import read_secrets
from vaultsync.controller.lookups import find_competing, find_holder, find_target, list_grants
from vaultsync.controller.render import render_target
from vaultsync.controller.report import write_report
from vaultsync.controller.rollout import Rollouts, restart_workloads
from vaultsync.errors import NotServed, ObjectChanged, ObjectGone, Reason, Retry, StillBusy, SyncError
from vaultsync.interfaces import Certificates, KubeApi, Recorder, VaultClients
from vaultsync.policy.activation import carried_inactive, inactive_in_place, kept_inactive, unkept_inactive
from vaultsync.policy.alterations import altered_target, reported_alterations
from vaultsync.policy.attempts import failed_attempt, found_too_much, missing_refs, unread_attempt
from vaultsync.policy.deletion import (
    Deletions,
    can_be_kept,
    carried_readings,
    decide_deletions,
    finds_nothing,
    kept_failure,
    lacks_all,
    placeholder,
    pruned,
)
from vaultsync.policy.diff import (
    annotation_changed,
    change_for,
    content_changed,
    describe,
    removal_sentences,
    removed_sentence,
)
from vaultsync.policy.grants import decide, over_count
from vaultsync.policy.guards import contradicted_listing, first_blocked, first_blocked_reading, older_version
from vaultsync.policy.in_place import kept_in_place, outcome_in_place
from vaultsync.policy.inputs import Config, Inputs
from vaultsync.policy.lost_keys import Loss, find_losses, inactive_keys
from vaultsync.policy.missing import kept_keys, missing_note, not_present
from vaultsync.policy.plan import plan_for, refresh_requested
from vaultsync.policy.requests import left_out, present_names, ungranted_finds
from vaultsync.policy.requeue import (
    MAX_OUTAGE_RETRY,
    MIN_RETRY,
    Jitter,
    Result,
    backoff,
    moments_of,
    recheck_interval,
    result_for,
)
from vaultsync.policy.revocation import is_revoked, pending_revocation
from vaultsync.render.entries import filled_keys
from vaultsync.state.attempts import FailedAttempt
from vaultsync.state.desired import Desired
from vaultsync.state.grants import Decision, Granted, Refused
from vaultsync.state.requests import SecretRequest, searches
from vaultsync.state.secrets import (
    AnyReading,
    CarriedReading,
    FoundTooMuch,
    MissingReading,
    Reading,
    Readings,
    SecretRef,
    SecretsUnread,
    VaultReading,
)
from vaultsync.state.stores import State
from vaultsync.state.vaultsecrets import UnreadableVaultSecret
from vaultsync.status.events import Event, events_for
from vaultsync.status.next_status import status_after, status_of_unreadable
from vaultsync.status.outcome import Change, Failed, Gone, Outcome, Pruned, Suspended, Synced, Waiting, failed
from vaultsync.texts import listed

_WATCH_BEHIND = "Waiting for the watch of VaultGrants to report that they have changed."

_INTERNAL_ERROR = Failed(Reason.INTERNAL_ERROR, Reason.INTERNAL_ERROR.sentence)


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt to sync ended, what it was granted, and why it read secrets, if it did."""

    outcome: Outcome
    granted: Granted | None
    read_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Reconciles VaultSecrets: each target holds what its spec selects in the vault."""

    state: State
    kube: KubeApi
    vaults: VaultClients
    certificates: Certificates
    recorder: Recorder
    events: EventWriter
    config: Config
    now: Callable[[], datetime]
    jitter: Jitter

    async def reconcile(self, key: ObjectKey, failures: int) -> Result:
        """Reconcile the VaultSecret of that key, after that many consecutive failures; return when to requeue it.

        One that this replica does not serve, or not any more, is left to the one that does.
        """
        if not self.state.may_begin(key.namespace):
            return Result.done()
        try:
            return await self._reconcile(key, failures)
        except NotServed:
            return Result.done()

    async def _reconcile(self, key: ObjectKey, failures: int) -> Result:
        found = self.state.vaultsecrets.find(key)
        if found is None:
            self.state.forget(key)
            return Result.done()
        if isinstance(found, UnreadableVaultSecret):
            return await self._report_unreadable(found, failures)
        started, decision = self.vaults.moment().seconds, self._decide(found, self.state.vaultsecrets.decision(key))
        attempt = await self._attempt(found, decision)
        if not self.state.shards.may_write(key.namespace):
            return Result.done()
        try:
            return await self._report(found, attempt, started, failures)
        except NotServed:
            raise
        except ObjectGone as error:
            return self._gone(found, error)
        except Exception as error:  # noqa: BLE001  it is recorded, and reported in the condition
            self.recorder.reconcile_error(key, error)
            return await self._report(found, replace(attempt, outcome=_INTERNAL_ERROR), started, failures)

    def _decide(self, vault_secret: VaultSecret, before: Decision | None) -> Decision:
        """Return what the grants allow now; `before` is what was decided about the same spec before."""
        decision = decide(vault_secret, self.state.grants.view, before)
        if isinstance(decision, Granted) and not self.state.vaultsecrets.within_count(vault_secret, decision):
            return over_count(decision)
        return decision

    async def _attempt(self, vault_secret: VaultSecret, decision: Decision) -> Attempt:
        granted, read_reason = decision if isinstance(decision, Granted) else None, None
        try:
            inputs = await self._gather(vault_secret, decision)
            read_reason = inputs.plan.read_reason
            try:
                outcome = await self._outcome(inputs)
            except Conflict:
                if inputs.target is not None:
                    raise
                # There is a Secret by now, or there was one without our label.
                outcome = await self._outcome(await self._gather(vault_secret, decision, must_get=True))
            return Attempt(outcome, granted, read_reason)
        except ObjectGone as error:
            return Attempt(Gone(error.message), granted, read_reason)
        except (ObjectChanged, StillBusy) as error:
            return Attempt(Waiting(error.message), granted, read_reason)
        except SyncError as error:
            return Attempt(failed(error), granted, read_reason)
        except Exception as error:  # noqa: BLE001  a bug that one VaultSecret triggers must not stop the others
            self.recorder.reconcile_error(vault_secret.key, error)
            return Attempt(_INTERNAL_ERROR, granted, read_reason)

    async def _gather(self, vault_secret: VaultSecret, decision: Decision, *, must_get: bool = False) -> Inputs:
        """Return the inputs of all decisions: the target, the VaultSecrets that compete for it, the vault's view."""
        target = await find_target(self.state.targets, self.kube, vault_secret, must_get=must_get)
        competing, owner_is_gone = await find_competing(self.state.vaultsecrets, self.kube, vault_secret, target)
        holder = await find_holder(self.kube, vault_secret, target)
        granted = decision if isinstance(decision, Granted) else None
        if (listing := self.state.view_of(granted).listing) is not None:
            await listing.prepare(searches(vault_secret.spec))
        view, now = self.state.view_of(granted), self.now()
        attempt = self.state.attempts.get(vault_secret.key, None if granted is None else granted.access)
        plan = plan_for(vault_secret, target, view, now=now, recheck=self._recheck(vault_secret), attempt=attempt)
        waits, seconds = self.state.waits, self.vaults.moment().seconds
        waited = waits.observe(vault_secret.key, plan.missing, seconds)
        refresh_since = waits.observe_refresh(vault_secret.key, refresh_requested(vault_secret), seconds)
        is_refused = granted is None or bool(ungranted_finds(vault_secret.spec, plan.known, granted))
        refused_for = waits.observe_refusal(vault_secret.key, seconds, refused=is_refused)
        return Inputs(
            vault_secret,
            target,
            competing,
            decision,
            view,
            plan,
            self.config,
            now,
            waited,
            refresh_since,
            owner_is_gone,
            refused_for,
            holder,
        )

    async def _outcome(self, inputs: Inputs) -> Outcome:
        if is_revoked(inputs, self.state.grants.view):
            return pending_revocation(inputs) or await self._revoke(inputs)
        return first_blocked(inputs) or await self._sync(inputs)

    async def _sync(self, inputs: Inputs) -> Outcome:
        """Read what is due, and write the target if that changes it."""
        vault_secret, plan = inputs.vault_secret, inputs.plan
        if plan.read_reason is None:
            return await self._sync_in_place(inputs)
        if plan.drift is not None or (inputs.target is None and vault_secret.status.target is not None):
            # The garbage collector may be ahead of our watch: neither a target that it deleted nor an owner reference
            # that it removed must be restored.
            await self.kube.ensure_current(vault_secret)
        try:
            read = await self._read(inputs)
        except SecretsUnread as error:
            self._record_attempt(inputs, unread_attempt(inputs, error.refs))
            return Failed(
                error.reason, error.message, error.retry_after, missing=not_present(inputs.plan, error.present)
            )
        except FoundTooMuch as error:
            self._record_attempt(inputs, found_too_much(inputs, error, now=self.now()))
            raise
        if not isinstance(read, dict):
            return read
        self._mark_reachable(inputs.granted)
        try:
            outcome = first_blocked_reading(inputs, read) or await self._write(inputs, read)
        except SyncError as error:
            attempt = failed_attempt(inputs, read, failed(error), target=inputs.target, now=self.now())
            self._record_attempt(inputs, attempt)
            raise
        is_changed = isinstance(outcome, Failed) and outcome.reason is Reason.TARGET_CHANGED
        target = self.state.targets.get(inputs.vault_secret.target_key) if is_changed else inputs.target
        self._record_attempt(inputs, failed_attempt(inputs, read, outcome, target=target, now=self.now()))
        return outcome

    async def _read(self, inputs: Inputs) -> dict[SecretRef, AnyReading] | Failed | Waiting | Synced:
        """Read all secrets, those first that are due; return them in the order of the spec, or the outcome."""
        plan = inputs.plan
        readings: dict[SecretRef, AnyReading] = {}
        if (waiting := self._take_reads(inputs)) is not None:
            return waiting
        for batch in plan.batches:
            readings |= await self._read_batch(inputs, batch, since=inputs.refresh_since)
            behind = contradicted_listing(inputs, readings) or older_version(inputs, readings)
            if behind is not None:
                return behind  # the others are not read
            losses = find_losses(inputs, readings)
            decided = self._decide_deletions(inputs, readings, losses)
            if not isinstance(decided, Deletions):
                self._record_attempt(inputs, unread_attempt(inputs, missing_refs(readings)))
                return decided
            if _is_unchanged(inputs, decided):
                # These keys stay as they are, and nothing else has changed.
                self._record_attempt(inputs, unread_attempt(inputs, missing_refs(readings)))
                return decided.failure or kept_in_place(inputs, decided.missing)
        return {one.ref.identity: readings[one.ref.identity] for one in plan.requests if one.ref.identity in readings}

    def _take_reads(self, inputs: Inputs) -> Waiting | None:
        """Charge the reads to the tenant's quota, or wait until it has some left."""
        namespace, granted = inputs.vault_secret.key.namespace, inputs.granted
        grant, most = granted.access.grant, granted.quota.reads_per_10s
        now = self.vaults.moment().seconds
        wait = self.state.budgets.take((grant, namespace), len(inputs.plan.requests), most=most, now=now)
        if not wait:
            return None
        return Waiting(
            f"Waiting since the VaultSecrets of namespace {namespace} read more than the {most} secrets in 10 seconds "
            f"that VaultGrant {grant} allows.",
            retry_after=wait,
        )

    def _record_attempt(self, inputs: Inputs, attempt: FailedAttempt | None) -> None:
        """Record a failure that reading the same again would not change, unless the VaultSecret is gone by now."""
        key = inputs.vault_secret.key
        if attempt is None or self.state.vaultsecrets.find(key) is None:
            self.state.attempts.forget(key)
        else:
            self.state.attempts.put(key, inputs.granted.access, attempt)

    async def _sync_in_place(self, inputs: Inputs) -> Outcome:
        outcome = outcome_in_place(inputs)
        if isinstance(outcome, Synced):
            await remove_stale_targets(self.kube, self.state.targets, inputs.vault_secret)
        return outcome

    async def _read_batch(
        self, inputs: Inputs, requests: Sequence[SecretRequest], *, since: float | None
    ) -> dict[SecretRef, VaultReading | MissingReading]:
        """Read secrets by the grant of this reconcile; nothing is returned if the grant is another one by then.

        Raises:
            SyncError: A secret cannot be read.
            ObjectChanged: The grant has changed.
        """
        access, spec = inputs.granted.access, inputs.vault_secret.spec
        namespace = inputs.vault_secret.key.namespace
        readings = await read_secrets(
            self.vaults, self.state.vaults, access, spec, requests, namespace=namespace, since=since
        )
        self._ensure_granted(inputs)
        return readings

    def _ensure_granted(self, inputs: Inputs) -> None:
        """Check that the grant is that of this reconcile. Raises `ObjectChanged`."""
        decision = self._decide(inputs.vault_secret, inputs.decision)
        if decision is not inputs.decision and decision != inputs.decision:
            raise ObjectChanged(Reason.WAITING, "The grants have changed; what was read is not used.")

    async def _ensure_revoked(self, inputs: Inputs) -> None:
        """Check that keys that a search found are not granted by the API server either, before a write removes them.

        Raises:
            ObjectChanged: The grants of the API server are others than those that were observed, or are not known.
        """
        vault_secret = inputs.vault_secret
        if not ungranted_finds(vault_secret.spec, inputs.plan.known, inputs.granted):
            return
        current = await list_grants(self.kube, vault_secret)
        if current is None or decide(vault_secret, current) != inputs.decision:
            raise ObjectChanged(Reason.WAITING, _WATCH_BEHIND)

    def _decide_deletions(
        self, inputs: Inputs, readings: Readings, losses: Sequence[Loss], filled: frozenset[str] | None = None
    ) -> Deletions | Failed | Waiting:
        """Check deletions against the current view, which may be newer than that of the inputs."""
        view = self.state.view_of(inputs.granted)
        return decide_deletions(inputs, readings, losses, view, filled=filled, now=self.now())

    async def _write(self, inputs: Inputs, readings: Readings) -> Outcome:
        """Write what was read, with the keys that are kept, or delete the target if no key is left."""
        losses, filled = self._losses(inputs, readings)
        decided = self._decide_deletions(inputs, readings, losses, filled)
        if not isinstance(decided, Deletions):
            return decided
        if not decided.kept and lacks_all(inputs, readings):
            return await self._prune(inputs, readings, decided)
        present = await self._with_kept(inputs, readings, decided)
        if not isinstance(present, dict):
            return present
        is_kept = any(isinstance(one, Reading | CarriedReading) and one.kept for one in present.values())
        try:
            desired = await render_target(self.certificates, inputs, present, is_kept=is_kept)
            return await self._apply(inputs, readings, decided, desired)
        except (ObjectChanged, ObjectGone, StillBusy):
            raise
        except SyncError as error:
            if not decided.kept:
                raise
            return kept_failure(inputs, decided, error)

    async def _with_kept(
        self, inputs: Inputs, readings: Readings, decided: Deletions
    ) -> dict[SecretRef, AnyReading] | Failed | Waiting:
        """Return what was read, with what the target holds in keys that are kept; or what blocks a write."""
        vault_secret, plan = inputs.vault_secret, inputs.plan
        present = {one.ref.identity: readings[one.ref.identity] for one in plan.requests if _is_read(one, readings)}
        inactive = inactive_keys(inputs, readings)
        if not all(can_be_kept(inputs.holder, loss.key) for loss in inactive if loss.is_required):
            return unkept_inactive(inputs, readings)
        kept = (*decided.kept, *(loss for loss in inactive if can_be_kept(inputs.holder, loss.key)))
        if not kept:
            return present
        if vault_secret.spec.target.replace_immutable:
            # It would be deleted to be created again: if that failed in between, what it alone holds would be lost.
            return decided.failure or _kept_alone(vault_secret, decided, kept)
        return present | dict(await self._carry_over(inputs, readings, kept))

    async def _apply(self, inputs: Inputs, readings: Readings, decided: Deletions, desired: Desired) -> Outcome:
        """Write the desired target, unless it is in place, once what it loses was checked again."""
        vault_secret, target, plan = inputs.vault_secret, inputs.target, inputs.plan
        await self._ensure_revoked(inputs)
        change = change_for(vault_secret, target, plan, desired)
        if decided.removed or change is Change.REMOVED:
            # This deletes keys that are still in the spec.
            blocked = await self._recheck_deletions(inputs, readings, decided)
            if blocked is not None:
                return blocked
        # The grant may have been revoked while certificates were converted.
        self._ensure_granted(inputs)
        written = None
        if change is not Change.NONE or plan.unconfirmed or annotation_changed(plan, desired):
            with self.state.targets.writing(vault_secret.target_key):
                written = await apply_target(self.kube, self.state.targets, vault_secret, target, desired)
        stale = await remove_stale_targets(self.kube, self.state.targets, vault_secret)
        refreshed = refresh_requested(vault_secret)
        if refreshed is not None and searches(vault_secret.spec):
            self._request_poll(inputs.granted)
        sentences = [describe(change, target, plan, desired), removed_sentence(plan, target, desired)]
        synced = Synced(
            secrets=desired.secrets,
            keys=desired.keys,
            change=change,
            detail=" ".join(filter(None, [*sentences, *removal_sentences(stale)])),
            left_out=left_out(vault_secret.spec, inputs.view),
            missing=decided.missing,
            kept=kept_keys(desired.secrets, decided.missing),
            note=missing_note(vault_secret, desired.secrets, decided.missing),
            content_changed=content_changed(vault_secret, target, change, desired.secrets),
            refreshed=refreshed,
            warnings=desired.warnings,
            altered=() if written is None else reported_alterations(written),
        )
        if decided.failure is None and written is not None and written.altered:
            return altered_target(vault_secret.target_key, written, synced)
        failure = decided.failure or inactive_in_place(inputs, synced.secrets)
        return synced if failure is None else replace(failure, missing=decided.missing, written=synced)

    def _losses(self, inputs: Inputs, readings: Readings) -> tuple[tuple[Loss, ...], frozenset[str]]:
        """Return the keys that the vault does not fill any more, and those that it fills."""
        spec, plan = inputs.vault_secret.spec, inputs.plan
        if not plan.known and not plan.missing:
            # There was nothing that could be lost: what is filled plays no part.
            return (), frozenset()
        if lacks_all(inputs, readings):
            # Nothing is filled. Rendering fails if a search finds nothing, which must not keep the target.
            return find_losses(inputs, readings, frozenset()), frozenset()
        present: dict[SecretRef, AnyReading] = {
            one.ref.identity: readings[one.ref.identity] for one in plan.requests if _is_read(one, readings)
        }
        # Their keys stay as they are.
        present |= {ref: placeholder(plan.known[ref]) for ref in kept_inactive(inputs, readings)}
        filled = filled_keys(spec, present, inputs.view, plan.known)
        return find_losses(inputs, readings, filled), filled

    async def _prune(self, inputs: Inputs, readings: Readings, deletions: Deletions) -> Outcome:
        """Delete the target with the last of its keys, and the previous targets; release those that were adopted."""
        vault_secret, target = inputs.vault_secret, inputs.target
        if target is not None or previous_targets(self.state.targets, vault_secret):
            blocked = await self._recheck_deletions(inputs, readings, deletions)
            if blocked is not None:
                return blocked
        removed = {await remove_target(self.kube, vault_secret, target)}
        removed.update((await remove_stale_targets(self.kube, self.state.targets, vault_secret)).values())
        change = next((change for change in (Change.DELETED, Change.RELEASED) if change in removed), Change.NONE)
        return replace(pruned(inputs, readings, deletions.missing), change=change)

    async def _revoke(self, inputs: Inputs) -> Outcome:
        """Delete or release the target of a revoked VaultSecret, if no grant of the API server allows it either."""
        vault_secret, decision = inputs.vault_secret, inputs.decision
        assert isinstance(decision, Refused)
        current = await list_grants(self.kube, vault_secret)
        if current is None:
            return Failed(decision.reason, decision.message)
        if not is_revoked(replace(inputs, decision=decide(vault_secret, current)), current):
            return Waiting(_WATCH_BEHIND)
        await self.kube.ensure_current(vault_secret)
        change = await remove_target(self.kube, vault_secret, inputs.target)
        return Pruned(decision.reason, f"{decision.message} The Secret was {change}.", (), change)

    async def _recheck_deletions(
        self, inputs: Inputs, readings: Readings, deletions: Deletions
    ) -> Failed | Waiting | None:
        """Check the spec, the vault and its current view immediately before a deletion; return what blocks it now."""
        names = {loss.name for loss in deletions.removed}
        requests = [one for one in inputs.plan.requests if one.ref.name.lower() in names]
        again = {**readings, **await self._read_batch(inputs, requests, since=self.vaults.moment().seconds)}
        behind = contradicted_listing(inputs, again)
        if behind is not None:
            return behind
        losses, filled = self._losses(inputs, again)
        still = {loss.place for loss in losses}
        back = next((loss.request.ref.name for loss in deletions.removed if loss.place not in still), None)
        if back is not None:
            return Waiting(f"Secret {back} of vault {inputs.vault_secret.spec.vault_url} was missing, and is back.")
        await self.kube.ensure_current(inputs.vault_secret)
        decided = self._decide_deletions(inputs, readings, losses, filled)
        if not isinstance(decided, Deletions):
            return decided
        is_kept = not deletions.removals.isdisjoint(loss.place for loss in decided.kept)
        return (decided.failure or Waiting("The deletion guard keeps the keys now.")) if is_kept else None

    async def _carry_over(
        self, inputs: Inputs, readings: Readings, kept: Sequence[Loss]
    ) -> Mapping[SecretRef, AnyReading]:
        """Return readings by which the target keeps these keys."""
        assert inputs.holder is not None
        data = await self.kube.get_target_data(inputs.holder.key, observed=inputs.holder.observed)
        return carried_inactive(carried_readings(inputs.plan, readings, kept, data), readings)

    async def _report(self, vault_secret: VaultSecret, attempt: Attempt, started: float, failures: int) -> Result:
        """Report every outcome in one place: status, events, metrics, log; return when to requeue the key."""
        outcome, now, view = attempt.outcome, self.now(), self.state.view_of(attempt.granted)
        if isinstance(outcome, Gone):
            raise ObjectGone(Reason.CLUSTER_UNAVAILABLE, outcome.message)
        if isinstance(outcome, Failed) and outcome.retry is Retry.LATER:
            outcome = replace(outcome, refreshed=refresh_requested(vault_secret))
        status = status_after(
            vault_secret,
            outcome,
            now=now,
            polled_at=view.polled_at,
            notice=self.config.expiry_notice,
            present=present_names(vault_secret.spec, (one.secret_name for one in vault_secret.status.missing), view),
            granted=None if attempt.granted is None else attempt.granted.status,
        )
        ended = self.vaults.moment().seconds
        self.state.waits.observe(vault_secret.key, status.missing, ended)
        seconds = ended - started
        self.recorder.reconciled(vault_secret, outcome, after=status, seconds=seconds, read_reason=attempt.read_reason)
        rollouts = await self._restart_workloads(vault_secret, attempt, status.content_change_time)
        status = status.model_copy(update={"restarts": rollouts.restarts})
        events = [*events_for(vault_secret.status, status, outcome), *rollouts.events]
        failure = await self._write_report(vault_secret, status, events)
        result = result_for(
            vault_secret,
            failure or outcome,
            failures=failures + 1,
            now=self.now(),
            recheck=self._recheck(vault_secret),
            jitter=self.jitter,
            polls_fail=self.state.view_of(attempt.granted).failure is not None,
            moments=moments_of(status, vault_secret.spec, now=now, notice=self.config.expiry_notice),
        )
        if isinstance(outcome, Waiting) and outcome.after_poll is not None:
            assert attempt.granted is not None
            self.state.vaults.request_poll(attempt.granted.access, after=outcome.after_poll)
            if self.state.view_of(attempt.granted).polls > outcome.after_poll:
                result = result.at_most(MIN_RETRY)
        return result if rollouts.requeue_after is None else result.at_most(rollouts.requeue_after)

    async def _write_report(
        self, vault_secret: VaultSecretMeta, status: VaultSecretStatus, events: Iterable[Event]
    ) -> Failed | None:
        return await write_report(
            self.kube, self.state.vaultsecrets, self.recorder, vault_secret, status, events, self.events
        )

    async def _restart_workloads(
        self, vault_secret: VaultSecret, attempt: Attempt, changed: datetime | None
    ) -> Rollouts:
        if isinstance(attempt.outcome, Suspended) or attempt.granted is None:
            return Rollouts(vault_secret.status.restarts, (), None)
        return await restart_workloads(self.kube, self.recorder, vault_secret, changed=changed, now=self.now())

    async def _report_unreadable(self, unreadable: UnreadableVaultSecret, failures: int) -> Result:
        """Report that the spec is not accepted, and why; the target is not changed."""
        meta, notice = unreadable.meta, self.config.expiry_notice
        message = f"This version of vaultsync does not accept it: {unreadable.error}."
        outcome = Failed(Reason.INVALID_SPEC, message)
        status = status_of_unreadable(meta, outcome, now=self.now(), notice=notice)
        self.recorder.reconciled(meta, outcome, after=status, seconds=0.0, read_reason=None)
        events = events_for(meta.status, status, outcome)
        try:
            failure = await self._write_report(meta, status, events)
        except ObjectGone as error:
            return self._gone(meta, error)
        if failure is None:
            return Result.done()
        wait = backoff(failures + 1, jitter=self.jitter, at_least=failure.retry_after or 0.0, at_most=MAX_OUTAGE_RETRY)
        return Result(wait, failed=True)

    def _gone(self, vault_secret: VaultSecretMeta, error: ObjectGone) -> Result:
        """Record that the VaultSecret is gone, and request a resync: there may be no watch event of the deletion."""
        self.recorder.reconciled(
            vault_secret, Gone(error.message), after=vault_secret.status, seconds=0.0, read_reason=None
        )
        self.state.vaultsecrets.request_resync()
        return Result.done()

    def _mark_reachable(self, granted: Granted) -> None:
        """Request a poll of a vault that has just returned a value although its last poll failed."""
        if self.state.view_of(granted).last_poll_failed:
            self._request_poll(granted)

    def _request_poll(self, granted: Granted) -> None:
        """Request another poll than those that have ended."""
        self.state.vaults.request_poll(granted.access, after=self.state.view_of(granted).polls)

    def _recheck(self, vault_secret: VaultSecret) -> timedelta:
        return recheck_interval(vault_secret.metadata.uid, self.config.recheck)


def _is_read(request: SecretRequest, readings: Readings) -> bool:
    """Return whether a secret was read that the spec asks for; a search does not find those that are unlisted."""
    return request.ref.identity in readings and not request.unlisted


def _kept_alone(vault_secret: VaultSecret, deletions: Deletions, kept: Sequence[Loss]) -> Waiting:
    return Waiting(
        f"Secret {vault_secret.target_key} is immutable and not replaced while it alone holds keys that the vault "
        f"does not fill: {listed(loss.key for loss in kept)}.",
        is_long=True,
        missing=deletions.unwritten,
    )


def _is_unchanged(inputs: Inputs, deletions: Deletions) -> bool:
    """Return whether all that was due is lost and kept, so that the target stays as it is."""
    if not inputs.plan.due or deletions.removed or (deletions.failure is None and finds_nothing(inputs)):
        return False
    return inputs.plan.due <= {loss.request.ref.identity for loss in deletions.kept}
