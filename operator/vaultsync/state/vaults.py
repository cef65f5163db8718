"""The state of each vault: one immutable view per vault, published whole by its poller; calls no vault.

While a reconcile awaits something, a poll may publish a newer view. So the conditions for deleting a key are checked
against the current view, after the reads.
"""

import asyncio
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

from vaultsync.errors import SyncError
from vaultsync.state.access import Access
from vaultsync.state.globs import ALL, matches, matches_any, omitter
from vaultsync.state.moments import Moment
from vaultsync.state.requests import Search, SecretRequest
from vaultsync.state.secrets import SecretRef

MAX_UNCONFIRMED_LOSSES = 5
"""The number of losses within a day that need no release by a user, even if there was nothing else."""


@dataclass(frozen=True, slots=True)
class SecretMetadata:
    """The metadata of one secret at a poll: the attributes of its newest version. A listing has no `version`.

    `readable` is false while that version is disabled, or reading it was denied. `updated` and `expires` are the
    vault's; `observed_at` is when its response had arrived.
    """

    readable: bool
    updated: datetime | None
    expires: datetime | None
    observed_at: Moment
    version: str | None = None
    name: str = ""
    """As it was spelled when the secret was created."""
    tags: Mapping[str, str] = field(default_factory=dict)
    managed: bool = False
    """Whether it belongs to a certificate of the vault."""


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
class ListingPage:
    """One page of a vault's listing: metadata by secret name in lower case."""

    secrets: Mapping[str, SecretMetadata]


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


class _Query(NamedTuple):
    """What a search selects."""

    glob: str
    tags: frozenset[tuple[str, str]]
    managed: bool | None
    omit: tuple[str, ...]

    @classmethod
    def of(cls, search: Search) -> "_Query":
        """Return the query of a search; equal ones select the same."""
        return cls(re.sub(r"\*+", "*", search.names), frozenset(search.tags.items()), search.managed, search.omit)

    def has(self, one: SecretMetadata) -> bool:
        """Return whether a secret has the tags, and belongs to a certificate or not."""
        return self.managed in {None, one.managed} and all(one.tags.get(name) == value for name, value in self.tags)


class VaultListing:
    """All secrets of a vault at one moment, by name in lower case; it is never changed.

    Names are sorted once, and the results of searches are cached: many VaultSecrets search the same listing many times.
    """

    def __init__(
        self,
        secrets: Mapping[str, SecretMetadata],
        matches: "_Cache[tuple[str, tuple[str, ...]], str] | None" = None,
        *,
        whole: "VaultListing | None" = None,
        patterns: tuple[str, ...] = (ALL,),
    ) -> None:
        """Take the secrets of a vault, or of a part of it.

        Args:
            secrets: The metadata by name in lower case.
            matches: The names that globs match and others leave out, if that was done with the same names before.
            whole: The listing of the whole vault, if this is a part of it.
            patterns: Those of the secrets that this part may have, in lower case.
        """
        self._secrets = dict(sorted(secrets.items()))
        self._names = tuple(self._secrets)
        self._matches: _Cache[tuple[str, tuple[str, ...]], str] = _Cache() if matches is None else matches
        self._found: _Cache[_Query, SecretMetadata] = _Cache()
        self._requests: _Cache[tuple[_Query, ...], SecretRequest] = _Cache()
        self._request_of: dict[str, SecretRequest] = {}
        self._whole = whole
        self._patterns = patterns
        self._restricted: dict[tuple[str, ...], VaultListing] = {}

    def followed_by(self, secrets: Mapping[str, SecretMetadata]) -> "VaultListing":
        """Return the listing of the next poll: if it has the same names, each glob matches the same of them."""
        return VaultListing(secrets, self._matches if secrets.keys() == self._secrets.keys() else None)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: str) -> bool:
        return name in self._secrets

    def get(self, name: str) -> SecretMetadata | None:
        """Return a secret's metadata by its name in lower case."""
        return self._secrets.get(name)

    def may_have(self, name: str) -> bool:
        """Return whether the listing would have a secret of that name, if the vault has it."""
        return matches_any(self._patterns, name)

    def search(self, search: Search) -> tuple[SecretMetadata, ...]:
        """Return the secrets that a search selects, by name."""
        return self._select(_Query.of(search))

    def requests(self, searches: Iterable[Search]) -> tuple[SecretRequest, ...]:
        """Return the requests of all readable secrets that searches select, each once; of more than `MAX_FOUND` a part.

        Equal searches share the result, and all searches the requests.
        """
        queries = tuple(map(_Query.of, searches))

        def scan() -> tuple[SecretRequest, ...]:
            names = dict.fromkeys(one.name for query in queries for one in self._select(query) if one.readable)
            return tuple(map(self._request, islice(names, MAX_FOUND + 1)))

        return self._requests.get(queries, scan, weight=sum(_weight(query.omit) for query in queries))

    def selects(self, searches: Iterable[Search]) -> Callable[[str], bool]:
        """Return the function that returns whether a search selects a readable secret, by its name in lower case."""
        queries = [(_Query.of(search), omitter(search.omit)) for search in searches]

        def is_selected(name: str) -> bool:
            one = self._secrets.get(name)
            return (one is not None and one.readable) and any(
                query.has(one) and matches(query.glob, name) and not is_omitted(name) for query, is_omitted in queries
            )

        return is_selected

    def _select(self, query: _Query) -> tuple[SecretMetadata, ...]:
        def scan() -> tuple[SecretMetadata, ...]:
            matching = (self._secrets[name] for name in self._matching(query.glob, query.omit))
            return tuple(one for one in matching if query.has(one))

        return self._found.get(query, scan, weight=_weight(query.omit))

    def _request(self, name: str) -> SecretRequest:
        request = self._request_of.get(name)
        if request is None:
            # It may be deleted before it is read, and the next listing will not have it either.
            request = self._request_of[name] = SecretRequest(SecretRef(name), optional=True)
        return request

    def _matching(self, glob: str, omit: tuple[str, ...] = ()) -> tuple[str, ...]:
        if glob == ALL and not omit:
            return self._names

        def scan() -> tuple[str, ...]:
            if omit:
                is_omitted = omitter(omit)
                return tuple(name for name in self._matching(glob) if not is_omitted(name))
            if self._whole is not None:
                return tuple(name for name in self._whole._matching(glob) if name in self._secrets)  # noqa: SLF001
            return tuple(name for name in self._starting_with(_literal_prefix(glob)) if matches(glob, name))

        return self._matches.get((glob, omit), scan, weight=_weight(omit))

    def restricted(self, patterns: tuple[str, ...]) -> "VaultListing":
        """Return the listing of the secrets whose names one of the patterns, in lower case, matches."""
        if ALL in patterns:
            return self
        if patterns not in self._restricted:
            names = {name for pattern in patterns for name in self._matching(pattern)}
            secrets = {name: self._secrets[name] for name in names}
            self._restricted[patterns] = VaultListing(secrets, whole=self, patterns=patterns)
        return self._restricted[patterns]

    def _starting_with(self, prefix: str) -> tuple[str, ...]:
        """Return the names with that prefix; most searches have one, and need not check all names."""
        return self._names[bisect_left(self._names, prefix) : bisect_left(self._names, prefix + _LAST)]


MAX_FOUND = 5_000
"""The highest quota of secrets that the searches of a VaultSecret find: a VaultSecret that finds more is not synced."""

MAX_CACHED = 1_000_000
"""How many references to secrets the results of searches in one listing may have that are cached, some 8 MB."""

_Key = TypeVar("_Key")
_Item = TypeVar("_Item")


class _Cache(Generic[_Key, _Item]):
    """Results by query, until they are too many; further ones are computed each time."""

    def __init__(self) -> None:
        self._results: dict[_Key, tuple[_Item, ...]] = {}
        self._size = 0

    def get(self, key: _Key, compute: Callable[[], tuple[_Item, ...]], *, weight: int = 1) -> tuple[_Item, ...]:
        """Return the result for a key, which itself weighs as much as that many references."""
        result = self._results.get(key)
        if result is None:
            result = compute()
            if self._size + len(result) + weight <= MAX_CACHED:
                self._size += len(result) + weight
                self._results[key] = result
        return result


def _weight(omit: tuple[str, ...]) -> int:
    return 1 + sum(map(len, omit)) // 8


_LAST = "\x7f"
"""Comes after every character of a secret's name."""


def _literal_prefix(glob: str) -> str:
    return re.split(r"[*?\[]", glob, maxsplit=1)[0]


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
