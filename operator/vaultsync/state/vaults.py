"""The state of each vault: one immutable view per vault, published whole by its poller; calls no vault.

While a reconcile awaits something, a poll may publish a newer view. So the conditions for deleting a key are checked
against the current view, after the reads.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from vaultsync.errors import SyncError
from vaultsync.state.access import Access
from vaultsync.state.listings import SecretMetadata, VaultListing
from vaultsync.state.moments import Moment

MAX_UNCONFIRMED_LOSSES = 5
"""The number of losses within a day that need no release by a user, even if there was nothing else."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A poll found that the vault does not have a secret; `observed_at` is when it began to look."""

    observed_at: Moment
    polls: int = 1
    """How many consecutive polls of this process have found that."""

    def after(self, before: "SecretMetadata | Missing | None") -> "Missing":
        """Return the same, counted with what the poll before has found."""
        return replace(self, polls=before.polls + 1) if isinstance(before, Missing) else self


@dataclass(frozen=True, slots=True)
class LastRead:
    """What this process read last of the newest version of a secret, active or not, or of the one before it."""

    began: Moment
    version: str | None
    """None if there was no such secret."""
    updated: datetime | None
    expires: datetime | None
    listed: datetime | None = None
    """The `updated` that polls had observed by then."""
    since: float = 0.0
    """The monotonic time of the first of the consecutive reads with these versions, `updated` and `listed`."""
    settled: bool = True
    """Whether no other version can have this `updated`, or is active."""
    older: str | None = None
    """The older version that is used while the newest is not active yet; None if there is none."""


class Reads:
    """Per vault: what this process read last of each secret, by `SecretRef.read_as`; read by policies, and mutable.

    Reads of pinned versions are not recorded. `Absences` has the errors of missing secrets, and since when they are
    missing; `Waits` has since when a VaultSecret has known of them.
    """

    def __init__(self) -> None:
        self._last: dict[str, LastRead] = {}

    def get(self, name: str) -> LastRead | None:
        """Return the last read of a secret by its `SecretRef.read_as`; None if this process has not read it."""
        return self._last.get(name)

    def put(self, name: str, read: LastRead) -> None:
        """Record a read, unless a later one is recorded."""
        before = self._last.get(name)
        if before is None or before.began <= read.began:
            self._last[name] = read

    def found_since(self, name: str, moment: Moment) -> bool:
        """Return whether the last read began after that moment and found the secret."""
        read = self._last.get(name)
        return read is not None and read.version is not None and read.began > moment

    def retain(self, is_used: Callable[[str], bool]) -> None:
        """Forget the secrets whose name in lower case is not used any more."""
        self._last = {name: read for name, read in self._last.items() if is_used(name.partition("/")[0])}


@dataclass(frozen=True, slots=True)
class LossReport:
    """What a vault has lost within the last day, of what would take keys with it; trips the deletion guard.

    A loss is a secret, by its name in lower case; or a key that a secret does not fill any more although it is still
    there, such as that of a field that vanished, by `name/key`. Both are counted, separately.

    Once tripped, it stays so until most of the losses are back, or no VaultSecret waits for them any more. Otherwise
    releasing, suspending or deleting some VaultSecrets would leave too few losses to protect the others.
    How secrets are deleted and recovered: https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview
    """

    known: frozenset[str] = frozenset()
    """All that was known when the first of the losses was noticed, at most a day ago; empty while there are none."""
    began: datetime | None = None
    """When that was."""
    lost: frozenset[str] = frozenset()
    """What is lost and still waits for the end of its grace period, or lost its keys within the last day."""
    latched: frozenset[str] = frozenset()
    """What was lost when it tripped, and since then, and is not back."""
    most: int = 0
    """How much has been latched since it tripped."""
    held: frozenset[str] = frozenset()
    """What a former process held back, by the statuses, and is still lost."""

    def joined(self, other: "LossReport") -> "LossReport":
        """Return the report that is also tripped by what has tripped another."""
        latched = self.latched | other.latched
        return replace(
            self, latched=latched, most=max(self.most, other.most, len(latched)), held=self.held | other.held
        )

    @property
    def tripped(self) -> bool:
        """Whether so much was lost that nothing is deleted without a release by a user."""
        return bool(self.latched)

    def holds(self, unit: str) -> bool:
        """Return whether a loss may take no key with it without a release by a user."""
        return self.tripped or unit in self.held


@dataclass(frozen=True, slots=True)
class VaultView:
    """The state of one vault after a page or a poll. It is never changed: a poll publishes another one.

    Nothing is known about a secret that is neither in `secrets` nor in `listing`.
    """

    secrets: Mapping[str, SecretMetadata | Missing] = field(default_factory=dict)
    """The secrets that VaultSecrets name, by name in lower case."""
    failure: SyncError | None = None
    """Why polls fail, once several in a row have failed."""
    listing: VaultListing | None = None
    """The last complete listing; kept only while a VaultSecret searches the vault."""
    list_error: SyncError | None = None
    """Why the vault cannot be listed."""
    polled_at: datetime | None = None
    """When the last successful poll began, by the operator's clock."""
    losses: LossReport | None = None
    """The losses by the last complete poll; None while they are not known."""
    polls: int = 0
    """How many polls have ended."""
    last_poll_failed: bool = False
    listed: int | None = None
    """How many secrets the last complete listing had; None before the first."""
    reads: Reads = field(default_factory=Reads, compare=False)
    """Shared by all views of a vault, so reads after the publication of this one count, too."""

    def find(self, name: str) -> SecretMetadata | Missing | None:
        """Return the metadata of a secret by its name in lower case; None if polls have not observed it."""
        return self.secrets.get(name) or (None if self.listing is None else self.listing.get(name))


UNKNOWN = VaultView()
"""The view of a vault that was never polled."""


class PollRequests:
    """Requests for polls of one vault; concurrent requests are merged."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        """Set when the time of the next poll must be computed again."""
        self._after = -1

    def request(self, *, after: int) -> None:
        """Request a poll that begins after the first `after` polls have ended; one that has begun since then counts."""
        if after > self._after:
            self._after = after
            self.changed.set()

    def is_pending_after(self, polls: int) -> bool:
        """Return whether another poll is requested after the first `polls` have begun."""
        return self._after >= polls


class VaultStore:
    """The current view of each vault, as one grant reaches it, and the requests for its polls."""

    def __init__(self) -> None:
        self._views: dict[Access, VaultView] = {}
        self._requests: dict[Access, PollRequests] = {}

    def view(self, access: Access) -> VaultView:
        """Return the current view of a vault; `UNKNOWN` if it was never polled."""
        return self._views.get(access, UNKNOWN)

    def publish(self, access: Access, view: VaultView) -> None:
        """Replace the view of a vault."""
        self._views[access] = view

    def inherit_losses(self, before: Access, after: Access) -> None:
        """Have the deletion guard stay tripped for VaultSecrets that reach the same vault by another grant from now on.

        What it holds back would be too little to trip it there.
        """
        losses = self.view(before).losses
        if before == after or before.vault_url != after.vault_url or losses is None:
            return
        if not losses.tripped and not losses.held:
            return
        view = self.view(after)
        self.publish(after, replace(view, losses=losses if view.losses is None else view.losses.joined(losses)))

    def record_read(self, access: Access, name: str, read: LastRead) -> None:
        """Record what was read of a secret, by its `SecretRef.read_as`; does nothing without a poller."""
        if access in self._views:
            self._views[access].reads.put(name, read)

    def remove(self, access: Access) -> None:
        """Remove a vault that is not polled any more."""
        self._views.pop(access, None)
        self._requests.pop(access, None)

    def requests(self, access: Access) -> PollRequests:
        """Return the requests to a vault's poller; from now on, reads of the vault are recorded."""
        self._views.setdefault(access, VaultView())
        return self._requests.setdefault(access, PollRequests())

    def request_poll(self, access: Access, *, after: int) -> None:
        """Request a poll of a vault that begins after the first `after` have ended; does nothing without a poller."""
        if access in self._requests:
            self._requests[access].request(after=after)

    def reschedule(self, access: Access) -> None:
        """Have a vault's poller compute the time of its next poll again, since its VaultSecrets have changed."""
        if access in self._requests:
            self._requests[access].changed.set()
