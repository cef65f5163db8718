"""Listings of vaults: the metadata of all secrets at one moment, and searches of it; calls no vault."""

import asyncio
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

from vaultsync.state.globs import ALL, matches, matches_any, omitter
from vaultsync.state.moments import Moment
from vaultsync.state.requests import Search, SecretRequest
from vaultsync.state.secrets import SecretRef

MAX_FOUND = 5_000
"""The highest quota of secrets that the searches of a VaultSecret find: a VaultSecret that finds more is not synced."""

MAX_CACHED = 1_000_000
"""How many references to secrets the results of searches in one listing may have that are cached, some 8 MB."""

_Key = TypeVar("_Key")
_Item = TypeVar("_Item")


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
class ListingPage:
    """One page of a vault's listing: metadata by secret name in lower case."""

    secrets: Mapping[str, SecretMetadata]


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

    async def prepare(self, searches: Iterable[Search]) -> None:
        """Compute what searches select; other tasks have a turn after each one, which may take 50 milliseconds."""
        for query in map(_Query.of, searches):
            if query not in self._found:
                self._select(query)
                await asyncio.sleep(0)

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


class _Cache(Generic[_Key, _Item]):
    """Results by query; if they are too many, the oldest are dropped, and computed again when they are needed."""

    def __init__(self) -> None:
        self._results: dict[_Key, tuple[_Item, ...]] = {}
        self._sizes: dict[_Key, int] = {}
        self._size = 0

    def __contains__(self, key: _Key) -> bool:
        return key in self._results

    def get(self, key: _Key, compute: Callable[[], tuple[_Item, ...]], *, weight: int = 1) -> tuple[_Item, ...]:
        """Return the result for a key, which itself weighs as much as that many references."""
        result = self._results.get(key)
        if result is None:
            result = compute()
            size = len(result) + weight
            if size <= MAX_CACHED:
                self._results[key], self._sizes[key] = result, size
                self._size += size
            while self._size > MAX_CACHED:
                oldest = next(iter(self._results))
                del self._results[oldest]
                self._size -= self._sizes.pop(oldest)
        return result


def _weight(omit: tuple[str, ...]) -> int:
    return 1 + sum(map(len, omit)) // 8


_LAST = "\x7f"
"""Comes after every character of a secret's name."""


def _literal_prefix(glob: str) -> str:
    return re.split(r"[*?\[]", glob, maxsplit=1)[0]
