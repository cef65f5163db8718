"""The Kubernetes API as a user's tools speak it, without the cost of a kubectl process for each look."""

import json
import ssl
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

Object = dict[str, Any]


class KubernetesApi:
    """Reads and changes objects by their path; may be shared by threads.

    Args:
        kubeconfig: Whose, in the JSON form that the control plane writes.
    """

    def __init__(self, kubeconfig: Path) -> None:
        config = json.loads(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._http = httpx.Client(
            base_url=cluster["server"],
            headers={"Authorization": f"Bearer {user['token']}"},
            verify=ssl.create_default_context(cafile=cluster["certificate-authority"]),
            timeout=30.0,
            trust_env=False,
            # Many tests look at the cluster at the same time, each from a thread of its own.
            limits=httpx.Limits(max_connections=None),
        )

    def get(self, path: str) -> Object | None:
        """Read an object; None if there is none."""
        answer = self._http.get(path)
        return None if answer.status_code == HTTPStatus.NOT_FOUND else _document(answer)

    def history(self, path: str, name: str, *, since: str) -> Sequence[Object]:
        """What became of one object of a kind after a resource version, state by state, its deletion included.

        https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
        """
        only = {"fieldSelector": f"metadata.name={name}"}
        answer = self._http.get(path, params={"watch": "true", "resourceVersion": since, "timeoutSeconds": "1", **only})
        events = [json.loads(line) for line in answer.text.splitlines()]
        assert answer.is_success, answer.text
        assert [event for event in events if event["type"] == "ERROR"] == []
        return [event["object"] for event in events]

    def list(self, path: str) -> list[Object]:
        """Read all objects of a kind."""
        items: list[Object] = _document(self._http.get(path)).get("items") or []
        return items

    def create(self, path: str, body: Mapping[str, Any], *, manager: str = "kubectl-create") -> Object:
        """Make a new object, as `kubectl create` does."""
        return _document(self._http.post(path, json=body, params={"fieldManager": manager}))

    def apply(self, path: str, body: Mapping[str, Any], *, manager: str = "kubectl") -> Object:
        """Make an object what the manifest says, as `kubectl apply --server-side --force-conflicts` does."""
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
        """Close all connections."""
        self._http.close()

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
