"""Records every state of the VaultSecrets and Secrets of a cluster, and wakes those who wait; decides nothing.

A test that reads an object now and then may miss a state that lasts for a while only. The recorder watches, as an
informer does: it keeps all states in their order, so that a slow machine finds the same ones as a fast one.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

from tests.e2e.kubernetes import KubernetesApi, Object, WatchExpired
from vaultsync.api import API_VERSION, PLURAL

_VAULTSECRETS: Final = f"/apis/{API_VERSION}/{PLURAL}"
_SECRETS: Final = "/api/v1/secrets"
_RECORDED: Final = (_VAULTSECRETS, _SECRETS)
_WATCHED: Final = (*_RECORDED, "/api/v1/events", "/apis/apps/v1/deployments")
"""What scenarios wait for most; they read all else once in a while."""

_RETRY_SECONDS: Final = 0.2


class ObjectRecorder:
    """The recorded states; the lists that it returns grow while the cluster changes."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api
        self._states: dict[tuple[str, str, str], list[Object]] = {}
        self._deleted: set[tuple[str, str, str]] = set()
        self._changes: dict[str, threading.Event] = {}
        self._stopped = threading.Event()

    @classmethod
    @contextmanager
    def watching(cls, api: KubernetesApi) -> Iterator[Self]:
        """Watch all namespaces until the block ends."""
        recorder = cls(api)
        threads = [threading.Thread(target=recorder._watch, args=[path], name=f"watch of {path}") for path in _WATCHED]
        for thread in threads:
            thread.start()
        try:
            yield recorder
        finally:
            recorder._stopped.set()
            for thread in threads:
                thread.join()

    def states(self, namespace: str, name: str) -> list[Object]:
        """All states of a VaultSecret so far, the oldest first, including those of earlier objects with its name."""
        return self._states.setdefault((_VAULTSECRETS, namespace, name), [])

    def secret_states(self, namespace: str, name: str, *, until: Object | None) -> list[Object] | None:
        """All states of a Secret so far; None before `until` was recorded, or for None its deletion.

        The API server forgets its own history when there are many writes.
        """
        key = (_SECRETS, namespace, name)
        states = self._states.get(key, [])
        if until is None:
            return states if not states or key in self._deleted else None
        return states if any(_version(state) == _version(until) for state in states) else None

    def changed(self, namespace: str) -> threading.Event:
        """The event that is set at each change of an object in a namespace; the one who waits for it clears it."""
        return self._changes.setdefault(namespace, threading.Event())

    def _watch(self, path: str) -> None:
        version = ""
        while not self._stopped.is_set():
            try:
                if not version:
                    items, version = self._api.list_with_version(path)
                    for item in items:
                        self._take(path, item, is_deleted=False)
                for kind, changed in self._api.watch(path, since=version):
                    version = _version(changed)
                    self._take(path, changed, is_deleted=kind == "DELETED")
            except WatchExpired:
                # The API server has forgotten the history, or is away, or does not know the kind at present.
                version = ""
                self._stopped.wait(_RETRY_SECONDS)

    def _take(self, path: str, item: Object, *, is_deleted: bool) -> None:
        namespace, name = item["metadata"]["namespace"], item["metadata"]["name"]
        if path in _RECORDED:
            key = (path, namespace, name)
            known = self._states.setdefault(key, [])
            if not known or known[-1] != item:
                known.append(item)
            (self._deleted.add if is_deleted else self._deleted.discard)(key)
        self.changed(namespace).set()


def _version(item: Object) -> str:
    version: str = item["metadata"]["resourceVersion"]
    return version
