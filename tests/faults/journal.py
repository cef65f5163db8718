"""Every write of a cluster, read from etcd itself: no API server, cache or watch of Kubernetes is in between.

The API server must store JSON (`--storage-media-type=application/json`). The journal survives a killed etcd; when etcd
has gone back, because it was restored from a backup, the journal goes on from what is there then.
https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/
"""

import base64
import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import httpx

from tests.client_per_thread import ClientPerThread
from tests.e2e.harness import eventually

Object = dict[str, Any]

_PREFIX: Final = "/registry/"
_SECRETS: Final = "secrets"
_VAULT_SECRETS: Final = "vaultsync.dev/vaultsecrets"
_EVENTS: Final = "events"
_FOLLOWED: Final = (_SECRETS, _VAULT_SECRETS, _EVENTS)
_EVERYTHING: Final = {
    "key": base64.b64encode(_PREFIX.encode()).decode(),
    "range_end": base64.b64encode(f"{_PREFIX[:-1]}0".encode()).decode(),
}
_RETRY_SECONDS: Final = 0.2
_IDLE_SECONDS: Final = 2.0
"""After so long without a write the watch is made again: a dead connection is noticed."""


class Place(NamedTuple):
    """Where an object is."""

    kind: str
    namespace: str
    name: str

    @classmethod
    def secret(cls, namespace: str, name: str) -> "Place":
        """The place of a Secret."""
        return cls(_SECRETS, namespace, name)

    @classmethod
    def vault_secret(cls, namespace: str, name: str) -> "Place":
        """The place of a VaultSecret."""
        return cls(_VAULT_SECRETS, namespace, name)

    @property
    def is_secret(self) -> bool:
        """Whether it is a Secret."""
        return self.kind == _SECRETS

    @property
    def is_vault_secret(self) -> bool:
        """Whether it is a VaultSecret."""
        return self.kind == _VAULT_SECRETS


@dataclass(frozen=True, slots=True)
class Write:
    """One write of one object.

    Args:
        place: Which object.
        revision: The revision of etcd, which is the object's resource version.
        at: When the journal read it, in seconds of the monotonic clock.
        state: The object since then; None if it was deleted.
        restored: Whether it is what a restored etcd holds, not a write.
    """

    place: Place
    revision: int
    at: float
    state: Object | None
    restored: bool = False


class Journal:
    """All writes of Secrets, VaultSecrets and Events so far, in their order."""

    def __init__(self, etcd_url: str) -> None:
        self.changed = threading.Event()
        """Is set at each write."""
        self._clients = ClientPerThread(lambda: httpx.Client(base_url=etcd_url, trust_env=False, timeout=_IDLE_SECONDS))
        self._stopped = threading.Event()
        self._writes: list[Write] = []
        self._current: dict[Place, Object] = {}
        self._by_namespace: defaultdict[str, list[Write]] = defaultdict(list)
        self._revision = 0

    @classmethod
    @contextmanager
    def of(cls, etcd_url: str) -> Iterator[Self]:
        """Follow all writes until the block ends."""
        journal = cls(etcd_url)
        thread = threading.Thread(target=journal._follow, name="journal")
        thread.start()
        try:
            yield journal
        finally:
            journal._stopped.set()
            thread.join()
            journal._clients.close()

    def writes(self) -> Sequence[Write]:
        """All writes; grows."""
        return self._writes

    def of_namespace(self, namespace: str) -> Sequence[Write]:
        """All writes in a namespace; grows."""
        return self._by_namespace[namespace]

    def current(self, place: Place) -> Object | None:
        """An object as it was written last."""
        return self._current.get(place)

    def await_present(self) -> None:
        """Return when the journal has everything that is in etcd by now."""
        newest = self._revision_of_etcd()
        eventually(lambda: self._revision >= newest, "the journal has followed", self.changed)

    def _follow(self) -> None:
        while not self._stopped.is_set():
            try:
                if not self._revision or self._revision_of_etcd() < self._revision:
                    self._read_all()
                self._watch()
            except (httpx.HTTPError, ValueError):
                self._stopped.wait(_RETRY_SECONDS)

    def _read_all(self) -> None:
        """Take what is there: when the journal begins, and when etcd has gone back behind it."""
        found = self._post("/v3/kv/range", _EVERYTHING)
        revision, restored = _revision_in(found), self._revision > 0
        there = {place: pair for pair in found.get("kvs", ()) if (place := _place(pair["key"])) is not None}
        for place in self._current.keys() - there.keys():
            self._take(Write(place, revision, time.monotonic(), None, restored))
        for place, pair in there.items():
            self._take(Write(place, int(pair["mod_revision"]), time.monotonic(), _object(pair["value"]), restored))
        self._revision = revision

    def _revision_of_etcd(self) -> int:
        found = self._post("/v3/kv/range", {**_EVERYTHING, "limit": 1, "keys_only": True})
        return _revision_in(found)

    def _post(self, path: str, request: Mapping[str, object]) -> dict[str, Any]:
        document: dict[str, Any] = self._clients.get().post(path, json=request).raise_for_status().json()
        return document

    def _watch(self) -> None:
        """Take all writes after the last one taken, until the connection ends or is idle."""
        request = {"create_request": {**_EVERYTHING, "start_revision": self._revision + 1, "progress_notify": True}}
        with self._clients.get().stream("POST", "/v3/watch", json=request) as answer:
            for line in answer.raise_for_status().iter_lines():
                result = _result_in(line)
                for event in result.get("events", ()):
                    self._take_event(event)
                if not result.get("created"):
                    self._revision = max(self._revision, _revision_in(result))
                    self.changed.set()
                if result.get("canceled") or self._stopped.is_set():
                    return

    def _take_event(self, event: dict[str, Any]) -> None:
        pair = event["kv"]
        place = _place(pair["key"])
        if place is not None:
            deleted = event.get("type") == "DELETE"
            state = None if deleted else _object(pair["value"])
            self._take(Write(place, int(pair["mod_revision"]), time.monotonic(), state))

    def _take(self, write: Write) -> None:
        if write.state is None:
            self._current.pop(write.place, None)
        else:
            self._current[write.place] = write.state
        self._writes.append(write)
        self._by_namespace[write.place.namespace].append(write)


def _result_in(line: str) -> dict[str, Any]:
    """Return a part of a stream. Raises `ValueError` for the error with which an etcd that is stopped ends it."""
    document: dict[str, dict[str, Any]] = json.loads(line)
    if "result" not in document:
        message = f"etcd has ended the watch: {document}"
        raise ValueError(message)
    return document["result"]


def _revision_in(response: Mapping[str, Any]) -> int:
    """The revision of etcd in a response; JSON leaves out zero, which etcd says while it starts."""
    return int(response["header"].get("revision", 0))


def _place(key: str) -> Place | None:
    """Where the object of a key of etcd is; None if it is of a kind that the journal does not follow."""
    where, _, name = base64.b64decode(key).decode().removeprefix(_PREFIX).rpartition("/")
    kind, _, namespace = where.rpartition("/")
    return Place(kind, namespace, name) if kind in _FOLLOWED else None


def _object(value: str) -> Object:
    """Return a stored object; ValueError if it is not stored as JSON."""
    stored: Object = json.loads(base64.b64decode(value))
    return stored
