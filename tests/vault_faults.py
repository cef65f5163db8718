"""What a vault may answer although it is up: stale, incomplete and misdated responses.

The faults are between the operator and a FakeVault, which knows nothing of them. Each ends after some responses or at
some time, or by `end`.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

import httpx

from kvsecrets.testing import FakeVault
from tests.builders import VAULT

Body = dict[str, Any]


class Kind(StrEnum):
    """A kind of read."""

    LIST = "list"
    VERSIONS = "versions"
    GET = "get"
    GET_VERSION = "get version"
    GET_DELETED = "get deleted"


READS: Final = frozenset(Kind) - {Kind.LIST}
"""The reads of one secret."""


class Change(NamedTuple):
    """A change of one secret, and when it was made by the vault's clock."""

    name: str
    at: datetime
    make: Callable[[FakeVault], object]
    version: str = ""
    """The version that it creates."""
    can_be_late: bool = False
    """Whether a replica may lack it. One that lacks a secret cannot be told from a vault that has lost it."""


class Replica:
    """A second vault that learns the changes of some secrets, or of all, later than the first."""

    def __init__(
        self, history: Sequence[Change], *, names: Collection[str], lag: timedelta, now: Callable[[], datetime]
    ) -> None:
        self._history = history
        self._names = names
        self._lag = lag
        self._now = now
        self._replayed: Change | None = None
        self._known: set[int] = set()
        """The changes that it has, by their place in the history."""
        self._vault = FakeVault(VAULT, clock=self._time, new_version=self._version)
        self._transport = self._vault.async_transport()

    async def respond(self, request: httpx.Request) -> httpx.Response:
        """Return the response of the replica to a request."""
        for number, change in enumerate(self._history):
            if number not in self._known and not self._is_late(change):
                self._replayed = change
                change.make(self._vault)
                self._known.add(number)
        self._replayed = None
        return await self._transport.handle_async_request(request)

    def _is_late(self, change: Change) -> bool:
        return change.can_be_late and change.name in self._names and change.at > self._now() - self._lag

    def _time(self) -> datetime:
        return self._now() if self._replayed is None else self._replayed.at

    def _version(self) -> str:
        assert self._replayed is not None
        return self._replayed.version


class VaultFaults:
    """The faults of one vault; there is none at first.

    Args:
        now: The vault's clock.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.end()

    def end(self) -> None:
        """End all faults."""
        self._replica: Replica | None = None
        self._stale: frozenset[Kind] = frozenset()
        self._stale_until = self._now()
        self._skew = timedelta(0)
        self._skewed_responses = 0
        self._unlisted: frozenset[str] = frozenset()
        self._incomplete_listings = 0
        self._not_found: Counter[tuple[Kind, str]] = Counter()
        self._without_versions: Counter[str] = Counter()

    @property
    def ahead(self) -> timedelta:
        """By how much the next response is dated ahead."""
        return max(self._skew, timedelta(0)) if self._skewed_responses else timedelta(0)

    @property
    def is_lagging(self) -> bool:
        """Whether some reads are answered from a replica."""
        return self._replica is not None and self._now() <= self._stale_until

    def lag(self, replica: Replica, *, kinds: Collection[Kind], lasts: timedelta) -> None:
        """Answer these kinds of reads from a replica, for that time."""
        self._replica, self._stale, self._stale_until = replica, frozenset(kinds), self._now() + lasts

    def skew(self, ahead: timedelta, *, responses: int) -> None:
        """Date the next responses that much ahead of the vault's clock."""
        self._skew, self._skewed_responses = ahead, responses

    def skip(self, names: Collection[str], *, listings: int) -> None:
        """Leave these secrets out of the next listings, which repeat another one instead.

        It ends `not_found`: a secret that neither is listed nor can be read is gone, for all that a client can know.
        """
        self._unlisted, self._incomplete_listings = frozenset(names), listings
        self._not_found.clear()

    def not_found(self, name: str, *, kind: Kind, reads: int) -> None:
        """Answer the next reads of a secret, or of its versions, with 404; it ends `skip`."""
        self._not_found[kind, name] = reads
        self._incomplete_listings = 0

    def skip_versions(self, name: str, *, listings: int) -> None:
        """Leave all versions but the newest out of the next lists of a secret's versions."""
        self._without_versions[name] = listings

    async def response(self, request: httpx.Request, response: httpx.Response) -> httpx.Response:
        """Return what the operator gets in place of a response."""
        if _is_about_secrets(response):
            response = await self._wrong(request, response)
        if self._skewed_responses and "date" in response.headers:
            self._skewed_responses -= 1
            date = parsedate_to_datetime(response.headers["date"]) + self._skew
            response.headers["date"] = format_datetime(date, usegmt=True)
        return response

    async def _wrong(self, request: httpx.Request, response: httpx.Response) -> httpx.Response:
        kind, name = _read(request)
        if self._replica is not None and self.is_lagging and kind in self._stale:
            response = await self._replica.respond(request)
        match kind:
            case Kind.LIST if self._incomplete_listings:
                self._incomplete_listings -= "skiptoken" not in str(request.url.query)
                return _with_items(response, lambda item: _name_of(item) not in self._unlisted)
            case Kind.VERSIONS if self._without_versions[name] and response.is_success:
                self._without_versions[name] -= 1
                newest = max(json.loads(response.content)["value"], key=_created, default=None)
                return _with_items(response, lambda item: item == newest)
            case _ if self._not_found[kind, name]:
                self._not_found[kind, name] -= 1
                error = {"code": "SecretNotFound", "message": f"A secret with (name/id) {name} was not found."}
                return _response(404, response, {"error": error})
        return response


class FaultyTransport(httpx.AsyncBaseTransport):
    """Sends requests, and returns what the faults make of the responses."""

    def __init__(self, transport: httpx.AsyncBaseTransport, faults: VaultFaults) -> None:
        self._transport = transport
        self._faults = faults

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._faults.response(request, await self._transport.handle_async_request(request))


def _is_about_secrets(response: httpx.Response) -> bool:
    """Return whether a response tells something of secrets, and not of the caller or the service."""
    if response.status_code == httpx.codes.FORBIDDEN:
        error: Body = json.loads(response.content)["error"]
        return bool(error.get("innererror", {}).get("code") == "SecretDisabled")
    return response.status_code in {httpx.codes.OK, httpx.codes.NOT_FOUND}


def _read(request: httpx.Request) -> tuple[Kind, str]:
    """Return the kind of a read, and the secret's name in lower case."""
    match request.url.path.strip("/").lower().split("/"):
        case [_]:
            return Kind.LIST, ""
        case ["deletedsecrets", name]:
            return Kind.GET_DELETED, name
        case [_, name]:
            return Kind.GET, name
        case [_, name, "versions"]:
            return Kind.VERSIONS, name
        case path:
            return Kind.GET_VERSION, path[1]


def _with_items(response: httpx.Response, is_kept: Callable[[Body], bool]) -> httpx.Response:
    """Leave items out of a page; the first that is kept is there twice."""
    page: Body = json.loads(response.content)
    kept = [item for item in page["value"] if is_kept(item)]
    return _response(200, response, {**page, "value": kept + kept[:1]})


def _response(status: int, response: httpx.Response, body: Body) -> httpx.Response:
    headers = {name: text for name, text in response.headers.items() if name != "content-length"}
    return httpx.Response(status, headers=headers, json=body, request=response.request)


def _name_of(item: Body) -> str:
    return str(item["id"]).rpartition("/")[2].lower()


def _created(item: Body) -> int:
    return int(item["attributes"]["created"])
