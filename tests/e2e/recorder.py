"""Records every state of the VaultSecrets of a cluster, and wakes those who wait for a change; decides nothing.

A test that reads an object now and then may miss a state that lasts for a while only. The recorder watches, as an
informer does: it keeps all states in their order, so that a slow machine finds the same ones as a fast one.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

from tests.e2e.kubernetes import KubernetesApi, Object, WatchExpired
from vaultsync.api import API_VERSION, PLURAL

_RECORDED: Final = f"/apis/{API_VERSION}/{PLURAL}"
_WATCHED: Final = (_RECORDED, "/api/v1/secrets", "/api/v1/events", "/apis/apps/v1/deployments")
"""What scenarios wait for most; they read all else once in a while."""

_RETRY_SECONDS: Final = 0.2


class ObjectRecorder:
    """The recorded states; the lists that it returns grow while the cluster changes."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api
        self._states: dict[tuple[str, str], list[Object]] = {}
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
        return self._states.setdefault((namespace, name), [])

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
                        self._take(path, item)
                for changed in self._api.watch(path, since=version):
                    version = changed["metadata"]["resourceVersion"]
                    self._take(path, changed)
            except WatchExpired:
                # The API server has forgotten the history, or is away, or does not know the kind at present.
                version = ""
                self._stopped.wait(_RETRY_SECONDS)

    def _take(self, path: str, item: Object) -> None:
        namespace, name = item["metadata"]["namespace"], item["metadata"]["name"]
        if path == _RECORDED:
            known = self.states(namespace, name)
            if not known or known[-1] != item:
                known.append(item)
        self.changed(namespace).set()
