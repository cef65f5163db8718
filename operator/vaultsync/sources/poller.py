"""One poller per vault and grant: publishes the vault's state, wakes VaultSecrets that must read; keeps no value.

A poll lists the vault page by page, some 25 secrets per call, without values. If listing would cost more calls than
reading, it reads the secrets one by one; also while listing is denied, which each poll tries with one call.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager, AbstractContextManager, aclosing, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.controller.queue import WorkQueue, is_cancelled
from vaultsync.controller.turns import Priority
from vaultsync.errors import ListingTooLong, Reason, SyncError
from vaultsync.interfaces import Recorder, VaultClients
from vaultsync.policy.losses import held_units, known_units, loss_report, lost_units, needs_known
from vaultsync.policy.plan import plan_for
from vaultsync.policy.quiet import Quiet, quiet
from vaultsync.policy.requeue import Jitter, backoff, poll_period, recheck_interval
from vaultsync.sources.poll_slots import PollSlots
from vaultsync.state.access import Access
from vaultsync.state.listings import SecretMetadata, VaultListing
from vaultsync.state.moments import Moment
from vaultsync.state.requests import searches
from vaultsync.state.stores import State
from vaultsync.state.vaults import Missing, VaultView
from vaultsync.state.vaultsecrets import followed_names

RELIST_AFTER = 3600.0
"""Seconds after which a poller that reads one by one, as that is cheaper, tries to list again: costs change."""

MAX_POLL_RETRY = 20.0
"""Maximum seconds from a failed poll to the next, whatever the refresh interval.

A poll is what notices that a vault has recovered, and it makes one call to a vault that has not.
"""

MAX_CONCURRENT_READS = 16
"""Concurrent reads of a poll that reads secrets one by one."""

FAILURES_BEFORE_REPORT = 2
"""Consecutive failed polls after which the VaultSecrets of the vault report the failure."""

PLANS_PER_TURN = 50
"""VaultSecrets that are planned before control returns to the event loop; one that searches counts as many."""


MAX_UNKNOWN_RETRY = 60.0
"""The same for a vault that has never responded: a change of its VaultSecrets tries at once."""

MAX_FIRST_POLLS = 64
MAX_RETRIES = 16
"""Concurrent polls of vaults that have never responded: the first of each, and further ones."""

FIRST_POLL_SECONDS = 1.0
RETRY_SECONDS = 4.0
"""How long each of these has its slot at least: there are at most 240 further polls a minute. Namespaces take turns."""


class Mode(StrEnum):
    """How a poll reads the vault."""

    LIST = "list"
    GET = "get"


@dataclass(frozen=True, slots=True)
class PollerContext:
    """The dependencies of all pollers.

    `clock` is monotonic, in seconds; `now` is the operator's clock; each poll runs within `span` of its vault's URL.
    """

    state: State
    vaults: VaultClients
    queue: WorkQueue
    recorder: Recorder
    recheck: timedelta
    clock: Callable[[], float]
    now: Callable[[], datetime]
    jitter: Jitter
    span: Callable[[str], AbstractContextManager[object]] = nullcontext
    first_polls: PollSlots = field(default_factory=lambda: PollSlots(MAX_FIRST_POLLS, seconds=FIRST_POLL_SECONDS))
    retries: PollSlots = field(default_factory=lambda: PollSlots(MAX_RETRIES, seconds=RETRY_SECONDS))


@dataclass(slots=True)
class _Progress:
    """The state of a poller between two polls, in addition to its published view."""

    begun: int = 0
    """How many polls have begun."""
    calls: int = 0
    """Calls of the current poll."""
    failure: SyncError | None = None
    failures: int = 0
    """Consecutive failed polls."""
    retry_after: float = 0.0
    """Seconds from the start of a failed poll to the next, drawn once for each failure."""
    get_until: float = 0.0
    """Until then, on the poller's clock, secrets are read one by one."""
    get_below: int = 0
    """Secrets are read one by one only while VaultSecrets name fewer."""
    deferred: set[ObjectKey] = field(default_factory=set)
    """The VaultSecrets that the current poll has observed in part: they are woken once, when it has observed all."""
    pages: dict[str, SecretMetadata] | None = field(default=None)
    """The listing so far; None if no VaultSecret searches the vault."""


class Poller:
    """Polls one vault until cancelled, and publishes a new view after each page and each poll."""

    def __init__(self, access: Access, context: PollerContext) -> None:
        self._access = access
        self._state = context.state
        self._context = context
        self._requests = context.state.vaults.requests(access)
        self._progress = _Progress()
        self._quiet: dict[ObjectKey, Quiet] = {}
        """The VaultSecrets that need not be planned again while nothing changes that their plans depend on."""

    @property
    def _view(self) -> VaultView:
        return self._state.vaults.view(self._access)

    def _publish(self, view: VaultView) -> None:
        self._state.vaults.publish(self._access, view)

    async def run(self) -> None:
        """Poll until cancelled. Periods count from start to start."""
        context, progress = self._context, self._progress
        share, requested = context.jitter(0.0, 1.0), 0
        while True:
            async with self._slot():
                started = context.clock()
                with context.span(self._access.vault_url):
                    await self.poll()
            # Consecutive requested polls are spread by the backoff.
            requested_after = backoff(requested, jitter=context.jitter) if requested else 0.0
            while (wait := started + self._pause(share, requested_after) - context.clock()) > 0:
                self._requests.changed.clear()
                # Not by `asyncio.wait_for`: up to Python 3.11 it swallows a cancellation that comes with the event.
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._requests.changed.wait()
            requested = requested + 1 if self._requests.is_pending_after(progress.begun) else 0

    def _slot(self) -> AbstractAsyncContextManager[object]:
        """Return what limits the poll: any number of vaults that do not exist leaves the event loop to others."""
        if self._context.vaults.has_responded(self._access):
            return nullcontext()
        slots = self._context.first_polls if self._view.polls == 0 else self._context.retries
        return slots.take({key.namespace for key in self._state.vaultsecrets.users(self._access)})

    def _pause(self, share: float, requested_after: float) -> float:
        """Return the seconds from the start of a poll to that of the next."""
        interval = self._state.vaultsecrets.refresh_interval(self._access) or timedelta(hours=24)
        pauses = [poll_period(interval, jitter=lambda low, high: low + share * (high - low))]
        if self._progress.failures:
            pauses.append(self._progress.retry_after)
        if self._requests.is_pending_after(self._progress.begun):
            pauses.append(requested_after)
        return min(pauses)

    async def poll(self) -> None:
        """Poll the vault once, publish its state, and wake every VaultSecret that must read."""
        context, progress = self._context, self._progress
        started, began = context.clock(), context.now()
        mode, failure, progress.calls = self._mode(started), None, 0
        progress.begun += 1
        first = self._view.polls == 0
        try:
            mode, failure = await self._observe(mode, first=first)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_cancelled():
                raise
            # It is recorded, and the vault is polled again. A task group ignores a task that is cancelled by itself.
            context.recorder.poll_error(self._access.vault_url, error)
            failure = SyncError(Reason.INTERNAL_ERROR, Reason.INTERNAL_ERROR.sentence)
        await self._finish(failure, began=began if failure is None and (mode is Mode.LIST or not first) else None)
        seconds = context.clock() - started
        context.recorder.polled(
            self._access.vault_url, mode=mode, calls=progress.calls, seconds=seconds, failure=failure
        )

    async def _observe(self, mode: Mode, *, first: bool) -> tuple[Mode, SyncError | None]:
        """List the vault, or read its secrets; return what was done, and its failure. What was observed counts."""
        self._progress.deferred.clear()
        try:
            if mode is Mode.LIST:
                mode = await self._list()
            if mode is Mode.GET and not first:
                # Not in the first poll: a restart must not read secrets that are in place.
                await self._get()
        except SyncError as error:
            if error.reason is Reason.VAULT_FAILED:
                # A listing shows whether the vault fails, or only the secrets that were read.
                self._progress.get_until = 0.0
            await self._wake_due(self._progress.deferred)
            return mode, error
        return mode, None

    def _mode(self, now: float) -> Mode:
        few = len(self._state.vaultsecrets.names(self._access)) < self._progress.get_below
        searched = self._state.vaultsecrets.searchers(self._access)
        return Mode.GET if few and not searched and now < self._progress.get_until else Mode.LIST

    async def _list(self) -> Mode:
        """List the vault; return GET if that is denied or endless, or if reading one by one is cheaper."""
        progress = self._progress
        progress.pages = {} if self._state.vaultsecrets.searchers(self._access) else None
        try:
            return await self._follow_pages()
        except SyncError as error:
            if error.reason is not Reason.ACCESS_DENIED and not isinstance(error, ListingTooLong):
                raise
            progress.calls += 1
            is_new = self._view.list_error is None
            self._publish(replace(self._view, listing=None, list_error=error))
            if is_new:
                self._wake(self._state.vaultsecrets.searchers(self._access))
            # Permissions change: each poll tries to list again, which is one call beside those that read.
            return Mode.GET
        finally:
            progress.pages = None

    async def _follow_pages(self) -> Mode:
        progress, began, listed = self._progress, self._context.vaults.moment(), 0
        unlisted = set(self._state.vaultsecrets.names(self._access))
        async with aclosing(self._context.vaults.list_pages(self._access)) as pages:
            async for page in pages:
                progress.calls += 1
                listed += len(page.secrets)
                named = self._state.vaultsecrets.names(self._access)
                if progress.calls > max(len(named), 1) and progress.pages is None:
                    return self._read_one_by_one(below=2 * progress.calls)
                if progress.pages is not None:
                    progress.pages |= page.secrets
                names = page.secrets.keys() & named.keys()
                unlisted -= names
                self._publish(
                    replace(self._view, secrets={**self._view.secrets, **{name: page.secrets[name] for name in names}})
                )
                await self._wake_users(names, unobserved=unlisted)
        missing = await self._publish_listing(unlisted, began, listed)
        await self._wake_due(self._users(missing).union(self._state.vaultsecrets.searchers(self._access)))
        return Mode.LIST

    async def _publish_listing(self, unlisted: set[str], began: Moment, listed: int) -> Iterable[str]:
        """Publish a complete listing, what it lacks, and the losses in one view; return the missing names."""
        named = self._state.vaultsecrets.names(self._access).keys()
        secrets = {name: metadata for name, metadata in self._view.secrets.items() if name in named}
        missing = named & unlisted
        secrets |= {name: Missing(began).after(secrets.get(name)) for name in missing}
        pages = self._progress.pages
        listing = None if pages is None else (self._view.listing or VaultListing({})).followed_by(pages)
        view = replace(self._view, secrets=secrets, listing=listing, list_error=None, listed=listed)
        self._publish(await self._with_losses(view))
        return missing

    async def _with_losses(self, view: VaultView) -> VaultView:
        """Add the losses to a view; not before all VaultSecrets of the served shards have been observed."""
        if not self._counts_losses():
            return view
        users, now = tuple(self._state.vaultsecrets.users(self._access)), self._context.now()
        losing = await self._losing(users, view)
        lost = {unit async for one in self._in_turns(losing) for unit in lost_units([one], view, now)}
        known = set[str]()
        if needs_known(self._view.losses, lost, now):
            async for one in self._in_turns(users):
                known |= known_units([one])
        # A grant that was replaced meanwhile may have left its losses here.
        before = self._view.losses
        if not self._counts_losses():
            return replace(view, losses=before)
        held = held_units(self._look_up(losing))
        report = loss_report(before, lost, view, known=known, held=held, now=now)
        if before is not None and before.tripped != report.tripped:
            self._wake(losing)
        return replace(view, losses=report)

    def _counts_losses(self) -> bool:
        vaultsecrets = self._state.vaultsecrets
        return vaultsecrets.has_synced and not vaultsecrets.is_moving

    async def _losing(self, users: Iterable[ObjectKey], view: VaultView) -> list[ObjectKey]:
        """Return the VaultSecrets that may miss something: there may be thousands that do not."""
        vaultsecrets = self._state.vaultsecrets
        names = vaultsecrets.names(self._access)
        missing = (name for name, metadata in view.secrets.items() if isinstance(metadata, Missing))
        affected = {key for name in missing for key in names.get(name, ())}.union(vaultsecrets.searchers(self._access))
        return [one.key async for one in self._in_turns(users) if one.status.missing or one.key in affected]

    async def _in_turns(self, keys: Iterable[ObjectKey]) -> AsyncIterator[VaultSecret]:
        """Yield those VaultSecrets that are there, and give other tasks a turn after each `PLANS_PER_TURN`."""
        for number, key in enumerate(keys, start=1):
            if (one := self._state.vaultsecrets.get(key)) is not None:
                yield one
            if number % PLANS_PER_TURN == 0:
                await asyncio.sleep(0)

    def _read_one_by_one(self, *, below: int) -> Mode:
        self._progress.get_until = self._context.clock() + RELIST_AFTER
        self._progress.get_below = below
        return Mode.GET

    async def _get(self) -> None:
        names, missing = list(self._state.vaultsecrets.names(self._access)), dict[str, Missing]()
        unobserved = set(names)
        for start in range(0, len(names), MAX_CONCURRENT_READS):
            observed, failures = await self._heads(names[start : start + MAX_CONCURRENT_READS])
            if failures and not (observed or missing or len(unobserved) < len(names)):
                raise next(iter(failures.values()))
            # The vault responds, but not for these: whoever needs them reads them, and reports the failure.
            observed |= {name: self._unreadable() for name in failures}
            before = self._view.secrets
            missing |= {name: one.after(before.get(name)) for name, one in observed.items() if isinstance(one, Missing)}
            found = {name: metadata for name, metadata in observed.items() if isinstance(metadata, SecretMetadata)}
            unobserved -= found.keys()
            self._publish(replace(self._view, secrets={**self._view.secrets, **found}))
            await self._wake_users(found, unobserved=unobserved)
        # Missing secrets and losses are published in one view, without secrets that are no longer named.
        named = self._state.vaultsecrets.names(self._access).keys()
        secrets = {name: one for name, one in {**self._view.secrets, **missing}.items() if name in named}
        self._publish(await self._with_losses(replace(self._view, secrets=secrets)))
        await self._wake_due(self._users(missing))

    def _unreadable(self) -> SecretMetadata:
        return SecretMetadata(readable=False, updated=None, expires=None, observed_at=self._context.vaults.moment())

    async def _heads(self, names: Iterable[str]) -> tuple[dict[str, SecretMetadata | Missing], Mapping[str, SyncError]]:
        """Read the metadata of some secrets concurrently; return it, and for which the vault has an error of its own.

        If one fails otherwise, the others are cancelled. Counts every call.
        """
        observed: dict[str, SecretMetadata | Missing] = {}
        failures: dict[str, SyncError] = {}

        async def head(name: str) -> None:
            try:
                observed[name] = await self._context.vaults.head(self._access, name)
            except SyncError as error:
                if error.reason is not Reason.VAULT_FAILED:
                    raise
                failures[name] = error
            finally:
                self._progress.calls += 1

        try:
            async with asyncio.TaskGroup() as tasks:
                for name in names:
                    tasks.create_task(head(name))
        except* SyncError as errors:
            error = errors.exceptions[0]
            while isinstance(error, ExceptionGroup):
                error = error.exceptions[0]
            failure = error
        else:
            return observed, failures
        assert isinstance(failure, SyncError)
        raise SyncError(failure.reason, failure.message, retry_after=failure.retry_after)

    async def _finish(self, failure: SyncError | None, *, began: datetime | None) -> None:
        """Publish the end of a poll; wake all VaultSecrets when polls start to fail, and when they succeed again.

        If the failure was not reported, only those are woken that must read, since their own reads may have failed
        meanwhile. `began` is None if the poll failed or did not check all secrets.
        """
        progress = self._progress
        has_recovered = failure is None and progress.failures > 0
        was_reported = progress.failures >= FAILURES_BEFORE_REPORT
        progress.failure = failure
        progress.failures = progress.failures + 1 if failure else 0
        is_reported = progress.failures >= FAILURES_BEFORE_REPORT
        if failure is not None:
            is_known = self._context.vaults.has_responded(self._access)
            longest = MAX_POLL_RETRY if is_known else MAX_UNKNOWN_RETRY
            progress.retry_after = backoff(progress.failures, jitter=self._context.jitter, at_most=longest)
        view = self._view
        self._publish(
            replace(
                view,
                failure=failure if is_reported else None,
                polled_at=began or view.polled_at,
                polls=progress.begun,
                last_poll_failed=failure is not None,
            )
        )
        vaultsecrets = self._state.vaultsecrets
        users = vaultsecrets.users(self._access)
        named = vaultsecrets.names(self._access)
        view.reads.retain(lambda name: name in named or (view.listing is not None and name in view.listing))
        if len(self._quiet) > len(users):
            self._quiet = {key: one for key, one in self._quiet.items() if key in users}
        if is_reported != was_reported:
            self._wake(users)
        elif has_recovered:
            # The poll itself has woken those of the secrets that it observes.
            await self._wake_due(set(users).difference(*named.values()))

    def _users(self, names: Iterable[str]) -> set[ObjectKey]:
        users = self._state.vaultsecrets.names(self._access)
        return {key for name in names for key in users.get(name, ())}

    async def _wake_users(self, names: Iterable[str], *, unobserved: AbstractSet[str]) -> None:
        """Wake the users of secrets; not those that also use secrets which this poll has not observed yet."""
        users, searchers = self._users(names), self._state.vaultsecrets.searchers(self._access)
        deferred = {one.key for one in self._look_up(users) if not unobserved.isdisjoint(followed_names(one))}
        deferred |= users.intersection(searchers)
        self._progress.deferred = self._progress.deferred - users | deferred
        await self._wake_due(users - deferred)

    async def _wake_due(self, keys: Iterable[ObjectKey]) -> None:
        planned, searchers = 0, self._state.vaultsecrets.searchers(self._access)
        for key in tuple(keys):
            if key in searchers:
                await self._prepare(key)
                if self._must_read(key):
                    self._context.queue.add(key, Priority.ROUTINE)
            else:
                self._context.queue.add_if_due(key, partial(self._must_read, key))
            planned += PLANS_PER_TURN if key in searchers else 1
            if planned >= PLANS_PER_TURN:
                planned = 0
                await asyncio.sleep(0)

    async def _prepare(self, key: ObjectKey) -> None:
        """Compute what the searches of a VaultSecret find, of which its plan is made."""
        vault_secret = self._state.vaultsecrets.get(key)
        listing = self._state.view_of(self._state.vaultsecrets.granted(key)).listing
        if vault_secret is not None and listing is not None:
            await listing.prepare(searches(vault_secret.spec))

    def _must_read(self, key: ObjectKey) -> bool:
        """Return whether a reconcile would read secrets, by the current state."""
        vault_secret = self._state.vaultsecrets.get(key)
        if vault_secret is None or vault_secret.spec.suspend:
            return False
        recheck = recheck_interval(vault_secret.metadata.uid, self._context.recheck)
        target = self._state.targets.get(vault_secret.target_key)
        granted = self._state.vaultsecrets.granted(key)
        view = self._state.view_of(granted)
        attempt = self._state.attempts.get(key, None if granted is None else granted.access)
        now, known = self._context.now(), self._quiet.pop(key, None)
        still = None if known is None or attempt is not None else known.renewed(vault_secret, target, view, now)
        if still is None:
            plan = plan_for(vault_secret, target, view, now=now, recheck=recheck, attempt=attempt)
            if plan.read_reason is not None:
                return True
            still = quiet(plan, vault_secret, target, view, now=now, recheck=recheck) if attempt is None else None
        if still is not None:
            self._quiet[key] = still
        return False

    def _wake(self, keys: Iterable[ObjectKey]) -> None:
        for key in tuple(keys):
            self._context.queue.add(key, Priority.ROUTINE)

    def _look_up(self, keys: Iterable[ObjectKey]) -> list[VaultSecret]:
        return [found for key in keys if (found := self._state.vaultsecrets.get(key)) is not None]


class Pollers:
    """The pollers of all vaults in use: started with the first VaultSecret of a vault, stopped after the last."""

    def __init__(self, context: PollerContext, *, may_call: Callable[[str], bool]) -> None:
        """Vaults for which `may_call` returns False are never called."""
        self._context = context
        self._may_call = may_call
        self._tasks: dict[Access, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._changed.set()

    def sync(self) -> None:
        """Start and stop pollers soon, since the VaultSecrets have changed."""
        self._changed.set()

    async def run(self) -> None:
        """Run a poller for each vault until cancelled; if one fails, all are stopped."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._changed.wait()
                self._changed.clear()
                await self._sync(tasks)

    async def _sync(self, tasks: asyncio.TaskGroup) -> None:
        used = set(self._context.state.vaultsecrets.accesses())
        # A reconcile that began before may open a vault again that was closed: it is closed with the next change.
        unused = (self._tasks.keys() | self._context.vaults.opened()) - used
        for access in unused:
            task = self._tasks.pop(access, None)
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
                self._context.state.vaults.remove(access)
            await self._context.vaults.close_vault(access)
        if unused:
            # Otherwise only a scrape would remove their series, and nobody may scrape.
            self._context.recorder.forget_vaults_except({access.vault_url for access in used})
        for access in used - self._tasks.keys():
            if self._may_call(access.vault_url):
                name = f"poller of {access.vault_url} for {access.grant}"
                self._tasks[access] = tasks.create_task(self._run(access), name=name)

    async def _run(self, access: Access) -> None:
        try:
            await self.poller_for(access).run()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
        # What it awaited was cancelled, and not the poller: a TaskGroup ignores that.
        raise RuntimeError(f"The poller of vault {access.vault_url} has ended.")

    def poller_for(self, access: Access) -> Poller:
        """Return a new poller for a vault."""
        return Poller(access, self._context)
