"""The Kubernetes API as a user's tools call it, without the cost of a kubectl process for each request."""

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx

from tests.client_per_thread import ClientPerThread
from tests.controlplane.cluster import verifying

Object = dict[str, Any]

_TIMEOUT_SECONDS: Final = 300.0
"""A guard against hanging, not a promise: a busy machine may take long."""

WATCH_SECONDS: Final = 2
"""After so many seconds the API server ends a watch, which goes on with another request."""


class WatchExpired(Exception):
    """A watch cannot go on from the resource version that it had reached: list again."""


class KubernetesApi:
    """Reads and changes objects by their path; may be shared by threads.

    Args:
        kubeconfig: Whose, in the JSON form that the control plane writes.
    """

    def __init__(self, kubeconfig: Path) -> None:
        config = json.loads(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        new_client = functools.partial(
            httpx.Client,
            base_url=cluster["server"],
            headers={"Authorization": f"Bearer {user['token']}"},
            verify=verifying(Path(cluster["certificate-authority"])),
            timeout=_TIMEOUT_SECONDS,
            trust_env=False,
        )
        self._clients = ClientPerThread(new_client)

    @property
    def _http(self) -> httpx.Client:
        return self._clients.get()

    def get(self, path: str) -> Object | None:
        """Read an object; None if there is none."""
        answer = self._http.get(path)
        return None if answer.status_code == HTTPStatus.NOT_FOUND else _document(answer)

    def list(self, path: str) -> list[Object]:
        """Read all objects of a kind."""
        items: list[Object] = _document(self._http.get(path)).get("items") or []
        return items

    def list_with_version(self, path: str) -> tuple[Sequence[Object], str]:
        """Read all objects of a kind, and the resource version from which a watch goes on.

        Raises:
            WatchExpired: The API server cannot be reached, or does not know the kind.
        """
        try:
            answer = self._http.get(path)
        except httpx.TransportError as error:
            raise WatchExpired from error
        if not answer.is_success:
            raise WatchExpired(answer.text)
        document = answer.json()
        return document.get("items") or [], document["metadata"]["resourceVersion"]

    def watch(self, path: str, *, since: str) -> Iterator[tuple[str, Object]]:
        """The kind of each change of the objects of a kind after a resource version, and their state after it.

        Ends after some seconds; the caller goes on from the last resource version that it got.
        https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes

        Raises:
            WatchExpired: The API server does not know that version any more, or cannot be reached.
        """
        parameters = {"watch": "true", "resourceVersion": since, "timeoutSeconds": f"{WATCH_SECONDS}"}
        try:
            with self._http.stream("GET", path, params=parameters) as answer:
                if not answer.is_success:
                    raise WatchExpired(path)
                for line in answer.iter_lines():
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise WatchExpired(event["object"].get("message"))
                    yield event["type"], event["object"]
        except httpx.TransportError as error:
            raise WatchExpired from error

    def create(self, path: str, body: Mapping[str, Any], *, manager: str = "kubectl-create") -> Object:
        """Create an object, as `kubectl create` does."""
        return _document(self._http.post(path, json=body, params={"fieldManager": manager}))

    def create_as_it_is(self, path: str, content: bytes) -> None:
        """Create an object from JSON that no parser here could read."""
        answer = self._http.post(path, content=content, headers={"Content-Type": "application/json"})
        assert answer.is_success, f"{path}: {answer.status_code}"

    def try_create(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        """The answer to a creation, which is not carried out."""
        return self._http.post(path, json=body, params={"dryRun": "All"})

    def attempt(
        self, method: str, path: str, body: object = None, *, media_type: str = "application/json", **query: str
    ) -> httpx.Response:
        """The response to a request, which may be refused."""
        content = None if body is None else json.dumps(body)
        return self._http.request(method, path, content=content, headers={"Content-Type": media_type}, params=query)

    def apply(self, path: str, body: Mapping[str, Any], *, manager: str = "kubectl") -> Object:
        """Apply a manifest, as `kubectl apply --server-side --force-conflicts` does."""
        answer = self._http.patch(
            path,
            content=json.dumps(body),
            headers={"Content-Type": "application/apply-patch+yaml"},
            params={"fieldManager": manager, "force": "true"},
        )
        return _document(answer)

    def patch(self, path: str, body: Mapping[str, Any], *, manager: str = "kubectl-patch") -> Object:
        """Change parts of an object, as `kubectl patch --type merge` does."""
        answer = self._http.patch(
            path,
            content=json.dumps(body),
            headers={"Content-Type": "application/merge-patch+json"},
            params={"fieldManager": manager},
        )
        return _document(answer)

    def delete(self, path: str, *, propagation: str = "Background") -> None:
        """Delete an object; one that is gone already is fine."""
        answer = self._http.delete(path, params={"propagationPolicy": propagation})
        if answer.status_code != HTTPStatus.NOT_FOUND:
            _document(answer)

    def close(self) -> None:
        """Close all connections; no other thread calls the API any more."""
        self._clients.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _document(answer: httpx.Response) -> Object:
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.text}"
    document: Object = answer.json()
    return document
