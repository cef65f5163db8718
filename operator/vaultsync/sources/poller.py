"""One poller per vault: what changed there, for everybody who asks it; reads no value that it can avoid.

A poll lists the vault page by page (some 25 secrets a call, no values) and lets those VaultSecrets be reconciled whose
entries are due. Where listing is denied, or would cost more calls than reading, it reads the secrets one by one.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractContextManager, aclosing, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from vaultsync.api import ObjectKey
from vaultsync.controller.queue import Priority
from vaultsync.errors import Reason, SyncError
from vaultsync.policy.requeue import Jitter, backoff, poll_period
from vaultsync.sources.brake import Brake
from vaultsync.sources.catalog import Catalog
from vaultsync.state.vaults import ListingPage, LossReport, Missing, SecretMetadata, VaultView
from vaultsync.state.vaultsecrets import VaultSecretCache

LIST_AGAIN_AFTER = 3600.0
"""Seconds after which a poller that reads one by one tries the listing again: permissions and prices change."""

READS_AT_ONCE = 16
"""How many secrets are read at the same time where reading one by one is the way."""

FAILURES_BEFORE_NEWS = 2
"""A single failed poll may be a blip; after so many in a row everybody who asks the vault is told."""


class Mode(StrEnum):
    """How a poll asks."""

    LIST = "list"
    GET = "get"


class Vaults(Protocol):
    """How the vault is asked."""

    def pages(self, vault_url: str) -> AsyncGenerator[ListingPage, None]:
        """List all secrets of the vault, a call a page. Raises `SyncError`."""
        ...

    async def sight(self, vault_url: str, name: str) -> SecretMetadata | Missing:
        """Look at one secret by reading it, and drop the value. Raises `SyncError`."""
        ...


class Polled(Protocol):
    """Where polls are counted."""

    def poll(self, vault_url: str, *, mode: Mode, calls: int, seconds: float, failure: SyncError | None) -> None:
        """Count one poll."""
        ...

    def broken(self, vault_url: str, error: Exception) -> None:
        """Log an unforeseen error."""
        ...


@dataclass(frozen=True, slots=True)
class Trigger:
    """How a poller lets VaultSecrets be reconciled: `is_due` asks whether one would read or write."""

    add: Callable[[ObjectKey, Priority], None]
    is_due: Callable[[ObjectKey], bool]


@dataclass(frozen=True, slots=True)
class Health:
    """How the polls of one vault go."""

    up: bool
    """Whether the last one went well."""
    polled_at: datetime | None
    """When the last began that went well, by our clock; None before the first."""
    listed: int | None
    """How many secrets the last whole listing has found; None before the first."""
    latched: bool
    """Whether so many secrets are gone that nothing is deleted."""


@dataclass(slots=True)
class _Memory:
    """What one poller knows."""

    secrets: dict[str, SecretMetadata | Missing] = field(default_factory=dict)
    failure: SyncError | None = None
    failures: int = 0
    listing: Catalog = field(default_factory=Catalog)
    polls: int = 0
    calls: int = 0
    """Answers that the present poll has got."""
    polled_at: datetime | None = None
    """By our clock: when the last poll began that went well."""
    losses: LossReport | None = None
    brake: Brake = field(default_factory=Brake)
    listed: int | None = None
    get_until: float = 0.0
    """On the poller's clock: until then secrets are read one by one."""
    get_below: int = 0
    """Secrets are read one by one only while fewer are wanted."""


class Poller:
    """Polls one vault for as long as somebody asks it."""

    def __init__(
        self,
        vault_url: str,
        *,
        vaults: Vaults,
        vaultsecrets: VaultSecretCache,
        trigger: Trigger,
        record: Polled,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        jitter: Jitter,
        around: Callable[[str], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """`clock` counts seconds from anywhere, `now` tells the time.

        Each poll runs within what `around` gives for the vault's URL.
        """
        self._vault_url = vault_url
        self._vaults = vaults
        self._vaultsecrets = vaultsecrets
        self._trigger = trigger
        self._record = record
        self._clock = clock
        self._now = now
        self._jitter = jitter
        self._around = around
        self._memory = _Memory()
        self._sooner = asyncio.Event()
        self._at_once = False

    @property
    def view(self) -> VaultView:
        """What polls have seen so far."""
        memory = self._memory
        failure = memory.failure if memory.failures >= FAILURES_BEFORE_NEWS else None
        listing = memory.listing
        return VaultView(
            memory.secrets,
            failure,
            listing.listing,
            listing.refusal,
            polled_at=memory.polled_at,
            losses=memory.losses,
        )

    @property
    def health(self) -> Health | None:
        """How its polls go; None before the first has ended."""
        memory = self._memory
        if memory.polls == 0:
            return None
        latched = memory.losses is not None and memory.losses.tripped
        return Health(memory.failure is None, memory.polled_at, memory.listed, latched)

    def answered(self) -> None:
        """Take note that the vault has answered a reading: what kept polls from it may be over."""
        if self._memory.failures:
            self.hurry(now=True)

    def hurry(self, *, now: bool = False) -> None:
        """Reckon the time of the next poll again, for somebody new; `now`: at once, for who waits for a catalog."""
        self._at_once |= now and not self._memory.listing.is_growing
        self._sooner.set()

    async def run(self) -> None:
        """Poll again and again, until cancelled. Periods count from start to start."""
        share, hurried = self._jitter(0.0, 1.0), 0
        while True:
            started, hurried, self._at_once = self._clock(), hurried + 1 if self._at_once else 0, False
            with self._around(self._vault_url):
                await self.poll()
            while (wait := started + self._pause(share, hurried) - self._clock()) > 0:
                self._sooner.clear()
                # Not by `asyncio.wait_for`: up to Python 3.11 it swallows a cancellation that comes with a hurry.
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._sooner.wait()

    def _pause(self, share: float, hurried: int) -> float:
        """Seconds from the start of a poll to that of the next; who wants it at once waits if that is so for long."""
        if not self._at_once:
            return self._period(share)
        return backoff(hurried, jitter=self._jitter) if hurried else 0.0

    def _period(self, share: float) -> float:
        interval = self._vaultsecrets.refresh_interval(self._vault_url) or timedelta(hours=24)
        period = poll_period(interval, jitter=lambda low, high: low + share * (high - low))
        return min(period, backoff(self._memory.failures, jitter=self._jitter)) if self._memory.failures else period

    async def poll(self) -> None:
        """Ask the vault once, and let everybody be reconciled for whom something has changed."""
        started, began, memory = self._clock(), self._now(), self._memory
        mode, failure, memory.calls = self._mode(started), None, 0
        try:
            if mode is Mode.LIST:
                mode = await self._list()
            if mode is Mode.GET and memory.polls > 0:
                # Not in the first poll: a restart must not read all over again what is in place.
                await self._get()
        except SyncError as error:
            failure = error
        except Exception as error:  # noqa: BLE001  a poller that dies would leave its vault unwatched in silence
            self._record.broken(self._vault_url, error)
            failure = SyncError(Reason.INTERNAL_ERROR, Reason.INTERNAL_ERROR.sentence)
        if failure is None and (mode is Mode.LIST or memory.polls > 0):
            memory.polled_at = began
        memory.polls += 1
        self._settle(failure)
        seconds = self._clock() - started
        self._record.poll(self._vault_url, mode=mode, calls=memory.calls, seconds=seconds, failure=failure)

    def _mode(self, now: float) -> Mode:
        few = len(self._vaultsecrets.names(self._vault_url)) < self._memory.get_below
        searched = self._vaultsecrets.searchers(self._vault_url)
        return Mode.GET if few and not searched and now < self._memory.get_until else Mode.LIST

    async def _list(self) -> Mode:
        """List the vault; turn to reading one by one when that is denied, or turns out to be cheaper."""
        listing = self._memory.listing
        listing.begin(searched=bool(self._vaultsecrets.searchers(self._vault_url)))
        try:
            return await self._follow_pages(listing)
        except SyncError as error:
            if error.reason is not Reason.ACCESS_DENIED:
                raise
            self._memory.calls += 1
            if listing.deny(error):
                self._reconcile(self._vaultsecrets.searchers(self._vault_url))
            return self._read_one_by_one(below=sys.maxsize)
        finally:
            listing.abandon()

    async def _follow_pages(self, listing: Catalog) -> Mode:
        memory, began, listed = self._memory, None, 0
        awaited = set(self._vaultsecrets.names(self._vault_url))
        async with aclosing(self._vaults.pages(self._vault_url)) as pages:
            async for page in pages:
                memory.calls += 1
                began = began or page.observed_at
                listed += len(page.secrets)
                wanted = self._vaultsecrets.names(self._vault_url)
                if memory.calls > max(len(wanted), 1) and not listing.is_growing:
                    return self._read_one_by_one(below=2 * memory.calls)
                listing.add(page.secrets)
                names = page.secrets.keys() & wanted.keys()
                awaited -= names
                memory.secrets.update((name, page.secrets[name]) for name in names)
                self._reconcile_users(names)
        memory.listed = listed
        missing = self._miss(awaited, began) if began is not None else ()
        listing.finish()
        self._survey()
        self._reconcile_users(missing)
        self._reconcile_due(self._vaultsecrets.searchers(self._vault_url))
        return Mode.LIST

    def _miss(self, names: Iterable[str], began: datetime) -> Iterable[str]:
        """Note what was wanted when a listing began and is not in the whole of it; forget what nobody wants."""
        wanted = self._vaultsecrets.names(self._vault_url).keys()
        for name in self._memory.secrets.keys() - wanted:
            del self._memory.secrets[name]
        missing = wanted & names
        self._memory.secrets.update((name, Missing(began)) for name in missing)
        return missing

    def _survey(self) -> None:
        """Reckon how much of the vault is gone, before anybody acts on it."""
        memory = self._memory
        memory.losses = memory.brake.losses(self._vaultsecrets, self._vault_url, self.view) or memory.losses

    def _read_one_by_one(self, *, below: int) -> Mode:
        self._memory.get_until = self._clock() + LIST_AGAIN_AFTER
        self._memory.get_below = below
        return Mode.GET

    async def _get(self) -> None:
        names, missing = list(self._vaultsecrets.names(self._vault_url)), dict[str, Missing]()
        for start in range(0, len(names), READS_AT_ONCE):
            batch = names[start : start + READS_AT_ONCE]
            secrets = await asyncio.gather(*(self._vaults.sight(self._vault_url, name) for name in batch))
            self._memory.calls += len(batch)
            for name, metadata in zip(batch, secrets, strict=True):
                if isinstance(metadata, Missing):
                    missing[name] = metadata
                else:
                    self._memory.secrets[name] = metadata
            self._reconcile_users(name for name in batch if name not in missing)
        # What is missing is known to nobody before it is known how much is.
        self._memory.secrets.update(missing)
        self._survey()
        self._reconcile_users(missing)

    def _settle(self, failure: SyncError | None) -> None:
        """Tell everybody once when the vault has become unreachable, and once when it is back."""
        memory = self._memory
        was_known = memory.failures >= FAILURES_BEFORE_NEWS
        memory.failure = failure
        memory.failures = memory.failures + 1 if failure else 0
        if (memory.failures >= FAILURES_BEFORE_NEWS) != was_known:
            self._reconcile(self._vaultsecrets.users(self._vault_url))

    def _reconcile_users(self, names: Iterable[str]) -> None:
        users = self._vaultsecrets.names(self._vault_url)
        self._reconcile_due({key for name in names for key in users.get(name, ())})

    def _reconcile_due(self, keys: Iterable[ObjectKey]) -> None:
        self._reconcile(filter(self._trigger.is_due, tuple(keys)))

    def _reconcile(self, keys: Iterable[ObjectKey]) -> None:
        for key in tuple(keys):
            self._trigger.add(key, Priority.ROUTINE)
