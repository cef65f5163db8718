"""Admission of Secrets in one namespace: webhooks that cannot be reached, a policy that mutates.

It concerns service accounts, and so the operator, but no administrator: what a test does itself passes. The API server
begins and ends with it a moment later, and each block waits for both.
"""

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import httpx

from tests.e2e.harness import Harness, eventually
from tests.e2e.kubernetes import Object
from tests.sockets import LOOPBACK, bound

_API_VERSION: Final = "admissionregistration.k8s.io/v1"
_ROOT: Final = f"/apis/{_API_VERSION}"
_PROBE: Final = "probe-of-admission"
_CONDITIONS: Final = [
    {
        "name": "service-accounts",
        "expression": f"request.userInfo.username.startsWith('system:serviceaccount:') || request.name == '{_PROBE}'",
    }
]
_WRITES: Final = ("CREATE", "UPDATE", "DELETE")
_MUTATED: Final = "mutated-by-policy"
_PLURALS: Final = {
    "MutatingAdmissionPolicy": "mutatingadmissionpolicies",
    "MutatingAdmissionPolicyBinding": "mutatingadmissionpolicybindings",
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
}


@contextmanager
def refused_webhook(harness: Harness, operations: Sequence[str] = _WRITES) -> Iterator[None]:
    """Have a webhook asked, for these operations, whose port is closed: writes fail at once."""
    with bound() as closed, _webhook(harness, closed, operations):
        yield


@contextmanager
def hanging_webhook(harness: Harness, operations: Sequence[str] = _WRITES, *, seconds: int = 5) -> Iterator[None]:
    """Have a webhook asked that accepts connections and says nothing: writes fail after so many seconds."""
    with socket.create_server((LOOPBACK, 0)) as silent, _webhook(harness, silent, operations, seconds=seconds):
        yield


@contextmanager
def mutating_policy(harness: Harness, changes: str) -> Iterator[None]:
    """Have every written Secret changed.

    Args:
        harness: Whose namespace.
        changes: Fields of the apply configuration in CEL, without its metadata's label.
    """
    label = f"metadata: Object.metadata{{labels: {{'{_MUTATED}': 'yes'}}}}"
    expression = f"Object{{{', '.join(filter(None, (label, changes)))}}}"
    constraints = {"namespaceSelector": _only(harness), "resourceRules": [_rule(("CREATE", "UPDATE"))]}
    policy = {
        "matchConstraints": constraints,
        "matchConditions": _CONDITIONS,
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}],
    }
    bodies: Mapping[str, Object] = {
        "MutatingAdmissionPolicy": {"spec": policy},
        "MutatingAdmissionPolicyBinding": {"spec": {"policyName": harness.namespace}},
    }
    with _in_force(harness, bodies, lambda: _is_mutated(harness)):
        yield


@contextmanager
def _webhook(
    harness: Harness, listening: socket.socket, operations: Sequence[str], *, seconds: int = 5
) -> Iterator[None]:
    webhook = {
        "name": "faults.vaultsync.dev",
        "clientConfig": {"url": f"https://{LOOPBACK}:{listening.getsockname()[1]}/"},
        "rules": [_rule(operations)],
        "namespaceSelector": _only(harness),
        "matchConditions": _CONDITIONS,
        "timeoutSeconds": seconds,
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    bodies = {"ValidatingWebhookConfiguration": {"webhooks": [webhook]}}
    with _in_force(harness, bodies, lambda: _is_refused(harness)):
        yield


@contextmanager
def _in_force(
    harness: Harness, bodies: Mapping[str, Mapping[str, Any]], is_in_force: Callable[[], bool]
) -> Iterator[None]:
    """Have these objects, by their kind and with the name of the namespace, from the moment on when they work."""
    paths = {kind: f"{_ROOT}/{_PLURALS[kind]}/{harness.namespace}" for kind in bodies}
    try:
        for kind, body in bodies.items():
            head = {"apiVersion": _API_VERSION, "kind": kind, "metadata": {"name": harness.namespace}}
            harness.api.apply(paths[kind], {**head, **body})
        eventually(is_in_force, "admission is in force")
        yield
    finally:
        for path in paths.values():
            harness.api.delete(path)
        eventually(lambda: not is_in_force(), "admission is not in force any more")


def _rule(operations: Sequence[str]) -> Object:
    return {"apiGroups": [""], "apiVersions": ["v1"], "operations": list(operations), "resources": ["secrets"]}


def _only(harness: Harness) -> Object:
    return {"matchLabels": {"kubernetes.io/metadata.name": harness.namespace}}


def _is_refused(harness: Harness) -> bool:
    return not _probe(harness).is_success


def _is_mutated(harness: Harness) -> bool:
    return _MUTATED in _probe(harness).raise_for_status().json()["metadata"].get("labels", {})


def _probe(harness: Harness) -> httpx.Response:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": _PROBE}}
    return harness.api.try_create(harness.path("secrets"), body)
