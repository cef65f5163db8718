"""Mutating admission policies of a real API server that change Secrets as they are written."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from tests.controlplane.plane import ControlPlane
from tests.convergence.real_cluster import RealHarness
from tests.harness import entry

pytestmark = pytest.mark.cluster

_ENFORCED_WITHIN: Final = 300.0
"""Seconds that the API server may take to learn about a policy."""

DROP_EMPTY: Final = 'JSONPatch{op: "remove", path: "/data/empty"}'
CHANGE: Final = 'JSONPatch{op: "replace", path: "/data/password", value: "ZXZpbA=="}'
UNLABEL: Final = 'JSONPatch{op: "remove", path: "/metadata/labels/vaultsync.dev~1owner-uid"}'
PROBE: Final = "probe"
MARK: Final = "example.com/mutated"
"""A Secret on which it is seen whether a policy is enforced, and the annotation that each policy adds."""


@pytest.fixture
async def harness(controlplane: ControlPlane) -> AsyncIterator[RealHarness]:
    """A VaultSecret with two keys, one of them without a value, in sync, where policies can change objects."""
    if '"MutatingAdmissionPolicy"' not in controlplane.kubectl("get", "--raw", "/apis/admissionregistration.k8s.io/v1"):
        pytest.skip("this Kubernetes does not serve MutatingAdmissionPolicy as v1: 1.36 is the first")
    harness = await RealHarness.make(controlplane.kubeconfig)
    await harness.start([])
    harness.vault.set("db-password", "first")
    harness.vault.set("empty", "")
    harness.apply(entry(), entry("empty", "empty"))
    await harness.drain()
    assert harness.values() == {"password": "first", "empty": ""}
    yield harness
    await harness.aclose()


def policy(namespace: str, patch: str) -> list[dict[str, Any]]:
    """A policy that changes updated Secrets of a namespace, by a JSON patch, and its binding."""
    group = "admissionregistration.k8s.io"
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["secrets"]}
    mark = f'JSONPatch{{op: "add", path: "/metadata/annotations/{MARK.replace("/", "~1")}", value: "yes"}}'
    spec = {
        "matchConstraints": {"namespaceSelector": selector, "resourceRules": [rule]},
        "matchConditions": [
            {"name": "has-both", "expression": "has(object.data) && 'empty' in object.data"},
            {
                "name": "labelled",
                "expression": "has(object.metadata.labels) && 'vaultsync.dev/owner-uid' in object.metadata.labels",
            },
        ],
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": f"[{patch}, {mark}]"}}],
    }
    return [
        {
            "apiVersion": f"{group}/v1",
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": namespace},
            "spec": spec,
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": namespace},
            "spec": {"policyName": namespace},
        },
    ]


@contextmanager
def mutating(controlplane: ControlPlane, namespace: str, patch: str) -> Iterator[None]:
    """Have updated Secrets changed, from the first to the last moment of the block."""
    metadata = {"name": PROBE, "namespace": namespace, "labels": {"vaultsync.dev/owner-uid": "nobody"}}
    data = {"empty": "", "password": "czNjcmV0"}
    controlplane.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
    controlplane.apply(*policy(namespace, patch))
    try:
        _await_policy(controlplane, namespace, enforced=True)
        yield
    finally:
        for kind in ("mutatingadmissionpolicybinding", "mutatingadmissionpolicy"):
            controlplane.kubectl("delete", kind, namespace)
        _await_policy(controlplane, namespace, enforced=False)


def _await_policy(controlplane: ControlPlane, namespace: str, *, enforced: bool) -> None:
    """Wait for the API server, which learns about policies some time after they are stored."""
    update = ("annotate", "secret", PROBE, "-n", namespace, "a=b", "--overwrite", "--dry-run=server", "-o", "json")
    deadline = time.monotonic() + _ENFORCED_WITHIN
    while (MARK in controlplane.kubectl(*update)) is not enforced:
        assert time.monotonic() < deadline, f"the policy of namespace {namespace} is not as it was applied"
        time.sleep(0.2)


async def rotate(harness: RealHarness) -> None:
    await harness.pass_time()
    harness.vault.set("db-password", "second")
    await harness.poll()


@pytest.mark.parametrize(
    ("patch", "named"),
    [(CHANGE, "password."), (UNLABEL, "labels/vaultsync.dev/owner-uid.")],
    ids=["a value", "our label"],
)
async def test_what_a_policy_changes_is_reported_once(
    patch: str, named: str, harness: RealHarness, controlplane: ControlPlane
) -> None:
    with mutating(controlplane, harness.namespace, patch):
        await rotate(harness)
        assert harness.ready().reason == "TargetChanged"
        assert f"changed or removed {named}" in harness.ready().message
        harness.reset_counts()
        for _ in range(3):
            await harness.poll()
        assert harness.events == []
    await harness.poll()

    assert harness.values() == {"password": "second", "empty": ""}
    assert harness.ready().status == "True"
    assert ("Warning", "Tampered") not in harness.events


async def test_a_key_that_a_policy_removes_is_reported_and_comes_back_when_it_may(
    harness: RealHarness, controlplane: ControlPlane
) -> None:
    with mutating(controlplane, harness.namespace, DROP_EMPTY):
        await rotate(harness)
        assert harness.values() == {"password": "second"}
        assert harness.ready().reason == "TargetChanged"
        assert "changed or removed empty." in harness.ready().message
    await harness.poll()

    assert harness.values() == {"password": "second", "empty": ""}
    assert harness.ready().status == "True"
    assert ("Warning", "Tampered") not in harness.events
