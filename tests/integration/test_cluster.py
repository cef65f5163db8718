"""The Kubernetes adapter against a real API server: what is received, error messages, permissions."""

import asyncio
import base64
import itertools
import json
import traceback
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import kopf
import pytest

from tests.builders import START, a_vault_secret, keep_all
from tests.contract.other_client import Kubectl
from tests.controlplane.plane import ControlPlane
from tests.integration.webhooks import broken_webhook_of
from tests.manifests import manifest, spec
from vaultsync.adapters.kube import Conflict, KubeApi
from vaultsync.adapters.kube import requests as wire
from vaultsync.adapters.kube.bounded_session import events_of
from vaultsync.adapters.kube.connection import Connection, configuration_from
from vaultsync.api import (
    API_VERSION,
    APPLIED_ANNOTATION,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    OWNER_UID_LABEL,
    RETAINED_BY_ANNOTATION,
    ObjectKey,
)
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.errors import ObjectGone, Reason, SyncError
from vaultsync.state.observed import Observed, observed_from
from vaultsync.state.snapshots import Deleted, Modified
from vaultsync.status.events import Event

MARK = "hunter2-correct-horse"
"""A value that must not be found anywhere."""


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[KubeApi]:
    async with await KubeApi.connect({"KUBECONFIG": str(kubeconfig)}) as cluster:
        yield cluster


@pytest.fixture
async def cluster(controlplane: ControlPlane) -> AsyncIterator[KubeApi]:
    async with connected(controlplane.kubeconfig) as cluster:
        yield cluster


@pytest.fixture
def key(namespace: str) -> ObjectKey:
    return ObjectKey(namespace, "db")


def secret(key: ObjectKey, data: Mapping[str, str], **fields: object) -> dict[str, Any]:
    """What we apply."""
    metadata = {"name": key.name, "labels": {MANAGED_BY_LABEL: MANAGED_BY}}
    encoded = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded, **fields}


async def test_only_the_answer_to_an_apply_contains_values(controlplane: ControlPlane, key: ObjectKey) -> None:
    configuration = await configuration_from({"KUBECONFIG": str(controlplane.kubeconfig)})
    connection = Connection(configuration, user_agent="vaultsync/1", connections=1)
    answers: list[Mapping[str, Any]] = []

    async def send(request: wire.Request) -> Mapping[str, Any]:
        answers.append(await connection.send(request))
        return answers[-1]["metadata"]  # type: ignore[no-any-return]

    async def apply(data: Mapping[str, str], onto: Observed | None) -> Observed:
        answer = await connection.send(wire.apply_secret(key, secret(key, data), onto=onto))
        assert answer["data"].keys() == data.keys()
        return observed_from(answer["metadata"])

    made = await apply({"password": MARK, "extra": MARK}, None)
    await send(wire.get_secret(key))
    await send(wire.list_secrets(key.namespace, None, 500))
    cut = observed_from(await send(wire.remove_keys(key, ["extra"], resource_version=made.resource_version)))
    again = await apply({"password": MARK}, cut)
    await send(wire.orphan_secret(key, uid=again.uid, resource_version=again.resource_version, retained_by="uid-1"))
    watch = connection.documents(wire.watch_secrets(key.namespace, made.resource_version))
    answers.append(await anext(watch))
    await watch.aclose()
    await connection.close()

    assert all("managedFields" in json.dumps(answer) for answer in answers)
    assert base64.b64encode(MARK.encode()).decode() not in json.dumps(answers)


async def test_a_write_that_is_carried_out_late_changes_nothing(controlplane: ControlPlane, key: ObjectKey) -> None:
    configuration = await configuration_from({"KUBECONFIG": str(controlplane.kubeconfig)})
    connection = Connection(configuration, user_agent="vaultsync/1", connections=1)
    create = wire.apply_secret(key, secret(key, {"password": "one"}), onto=None)
    before = observed_from((await connection.send(create))["metadata"])
    late = wire.apply_secret(key, secret(key, {"password": "two"}), onto=before)
    await connection.send(wire.apply_secret(key, secret(key, {"password": "three"}), onto=before))

    for request in (create, late):
        with pytest.raises(Conflict):
            await connection.send(request)

    await connection.close()
    assert Kubectl(controlplane).values(key) == {"password": "three"}


@dataclass(frozen=True, slots=True)
class Bad:
    """A Secret that the API server rejects, and the message."""

    data: Mapping[str, str]
    message: str
    type: str = "Opaque"
    reason: Reason = Reason.TARGET_INVALID
    more: Mapping[str, object] = field(default_factory=dict)


BAD = {
    "a docker config that is no JSON": Bad(
        {".dockerconfigjson": MARK}, "data[.dockerconfigjson] is not valid", type="kubernetes.io/dockerconfigjson"
    ),
    "a certificate without its key": Bad({"tls.crt": MARK}, "data[tls.key] is required", type="kubernetes.io/tls"),
    "a key that is none": Bad({"pass word": MARK}, "data[pass word] is not valid"),
    "a value that is no text": Bad(
        {"a": MARK},
        "responded with HTTP status 500",
        reason=Reason.CLUSTER_UNAVAILABLE,
        more={"stringData": {"b": {MARK: MARK}}},
    ),
    "too much": Bad({"a": MARK * 60_000}, "larger than Kubernetes allows (data)", reason=Reason.TARGET_TOO_LARGE),
    "far too much": Bad({"a": MARK * 120_000}, "larger than Kubernetes allows", reason=Reason.TARGET_TOO_LARGE),
}


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
async def test_an_error_says_what_is_wrong_and_repeats_no_value(cluster: KubeApi, key: ObjectKey, bad: Bad) -> None:
    with pytest.raises(SyncError) as caught:
        await cluster.apply_target(key, secret(key, bad.data, type=bad.type, **bad.more), onto=None)

    shown = "".join(traceback.format_exception(caught.value))
    assert caught.value.reason is bad.reason
    assert bad.message in shown
    assert MARK not in shown
    assert base64.b64encode(MARK.encode()).decode()[:20] not in shown


@pytest.fixture
def gossip(controlplane: ControlPlane, namespace: str) -> Iterator[None]:
    """An admission policy that rejects Secrets of one namespace and repeats them in its message."""
    group = "admissionregistration.k8s.io"
    policy = {
        "apiVersion": f"{group}/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": f"gossip-{namespace}"},
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["secrets"]}
                ],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            },
            "validations": [
                {"expression": "false", "messageExpression": "'too weak: ' + string(object.data['password'])"}
            ],
        },
    }
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": f"gossip-{namespace}"},
        "spec": {"policyName": f"gossip-{namespace}", "validationActions": ["Deny"]},
    }
    controlplane.apply(policy, binding)
    yield
    controlplane.kubectl("delete", "validatingadmissionpolicybindings", f"gossip-{namespace}")
    controlplane.kubectl("delete", "validatingadmissionpolicies", f"gossip-{namespace}")


@pytest.fixture
def broken_webhook(controlplane: ControlPlane, namespace: str) -> Iterator[None]:
    """A webhook for new Secrets of one namespace that does not respond."""
    name = f"broken-{namespace}"
    controlplane.apply(broken_webhook_of(namespace, name))
    yield
    controlplane.kubectl("delete", "validatingwebhookconfigurations", name)


@pytest.mark.usefixtures("gossip")
async def test_an_admission_policy_is_named_and_its_message_is_not_repeated(cluster: KubeApi, key: ObjectKey) -> None:
    async with asyncio.timeout(300):
        error = await _rejected(cluster, key)

    assert error.reason is Reason.TARGET_INVALID
    assert error.message.endswith(f": denied by the admission policy gossip-{key.namespace}.")


async def _rejected(cluster: KubeApi, key: ObjectKey) -> SyncError:
    """Write until it is rejected: the API server applies policies and quotas some time after they are stored."""
    for number in itertools.count():
        try:
            another = ObjectKey(key.namespace, f"{key.name}-{number}")
            await cluster.apply_target(another, secret(another, {"password": MARK}), onto=None)
        except SyncError as error:
            return error
    raise AssertionError


@pytest.fixture
def quota(controlplane: ControlPlane, namespace: str) -> None:
    """A quota of no Secrets."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small", "namespace": namespace}}
    controlplane.apply({**quota, "spec": {"hard": {"secrets": "0"}}})
    # There is no controller here that counts.
    counted = '{"status":{"hard":{"secrets":"0"},"used":{"secrets":"0"}}}'
    status = ("--subresource=status", "--type=merge", "--patch", counted)
    controlplane.kubectl("patch", "resourcequota", "small", "-n", namespace, *status)


@pytest.mark.usefixtures("quota")
async def test_a_quota_is_named(cluster: KubeApi, key: ObjectKey) -> None:
    async with asyncio.timeout(300):
        error = await _rejected(cluster, key)

    assert error.reason is Reason.TARGET_INVALID
    assert error.message.endswith(": the quota small of its namespace is exceeded.")


@pytest.fixture
async def existing(cluster: KubeApi, key: ObjectKey) -> Observed:
    """A Secret from before a policy or quota."""
    return await cluster.apply_target(key, secret(key, {"password": MARK}), onto=None)


@pytest.mark.parametrize("rule", ["gossip", "quota", "broken_webhook"])
async def test_a_secret_whose_creation_would_be_rejected_fails_its_check_although_there_is_one(
    request: pytest.FixtureRequest, cluster: KubeApi, key: ObjectKey, existing: Observed, rule: str
) -> None:
    request.getfixturevalue(rule)

    async with asyncio.timeout(300):
        await _rejected(cluster, key)
    with pytest.raises(SyncError) as caught:
        await cluster.check_creation(key, secret(key, {"password": MARK}))

    assert not isinstance(caught.value, Conflict)
    assert await cluster.get_target(key) == existing


async def test_an_invalid_secret_fails_its_check_although_there_is_one(
    cluster: KubeApi, key: ObjectKey, existing: Observed
) -> None:
    with pytest.raises(SyncError) as caught:
        await cluster.check_creation(key, secret(key, {"tls.crt": MARK}, type="kubernetes.io/tls"))

    assert caught.value.reason is Reason.TARGET_INVALID
    assert await cluster.get_target(key) == existing


async def test_a_missing_namespace_is_gone(cluster: KubeApi) -> None:
    key = ObjectKey("nowhere", "db")

    with pytest.raises(ObjectGone):
        await cluster.apply_target(key, secret(key, {"password": MARK}), onto=None)


async def test_an_event_in_a_missing_namespace_is_not_an_error(
    cluster: KubeApi, caplog: pytest.LogCaptureFixture
) -> None:
    vault_secret = a_vault_secret(metadata={"namespace": "nowhere"})

    event = Event("Normal", "Created", "Created the Secret.")
    await cluster.create_event(vault_secret.key, event, event_id="0123", uid=vault_secret.metadata.uid, at=START)

    assert caplog.records == []


async def test_a_missing_permission_is_named(controlplane: ControlPlane, key: ObjectKey) -> None:
    kubeconfig = controlplane.user(
        "reader", [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}], key.namespace
    )

    async with connected(kubeconfig) as cluster:
        with pytest.raises(SyncError) as caught:
            await cluster.apply_target(key, secret(key, {"password": MARK}), onto=None)

    assert caught.value.reason is Reason.CLUSTER_UNAVAILABLE
    assert caught.value.message == f"Secret {key}: the operator's service account may not patch secrets."


async def test_permissions_in_one_namespace_are_enough_for_it(controlplane: ControlPlane, key: ObjectKey) -> None:
    verbs = ["get", "list", "watch", "create", "patch"]
    kubeconfig = controlplane.user(
        "worker", [{"apiGroups": [""], "resources": ["secrets"], "verbs": verbs}], key.namespace
    )

    async with connected(kubeconfig) as cluster:
        observed = await cluster.apply_target(key, secret(key, {"password": MARK, "extra": MARK}), onto=None)
        observed = await cluster.remove_keys(key, ["extra"], observed=observed)
        listing = await cluster.list_targets(key.namespace, keep_all)

        assert listing.targets == {key: observed}
        await cluster.orphan_target(key, observed=observed, retained_by="uid-1")
        assert (await cluster.list_targets(key.namespace, keep_all)).targets == {}


async def test_an_orphaned_secret_keeps_labels_and_annotations_of_its_user(
    controlplane: ControlPlane, cluster: KubeApi, key: ObjectKey
) -> None:
    wanted = secret(key, {"password": MARK})
    wanted["metadata"]["labels"] |= {OWNER_UID_LABEL: "uid-1", "tier": "web"}
    wanted["metadata"]["annotations"] = {APPLIED_ANNOTATION: "{}", "example.com/note": "theirs"}
    observed = await cluster.apply_target(key, wanted, onto=None)

    await cluster.orphan_target(key, observed=observed, retained_by="uid-1")

    left = json.loads(controlplane.kubectl("get", "secret", key.name, "-n", key.namespace, "-o", "json"))
    assert left["metadata"]["labels"] == {"tier": "web"}
    assert left["metadata"]["annotations"] == {"example.com/note": "theirs", RETAINED_BY_ANNOTATION: "uid-1"}
    assert left["data"] == wanted["data"]


async def test_a_vaultsecret_with_a_finalizer_is_listed_as_terminating(
    controlplane: ControlPlane, cluster: KubeApi, key: ObjectKey
) -> None:
    latched = manifest(spec(), name=key.name, namespace=key.namespace)
    latched["metadata"]["finalizers"] = ["example.com/wait"]
    controlplane.apply(latched)
    controlplane.kubectl("delete", "vaultsecret", key.name, "-n", key.namespace, "--wait=false")
    described = controlplane.kubectl("get", "vaultsecret", key.name, "-n", key.namespace, "-o", "json")
    metadata = json.loads(described)["metadata"]

    snapshot = await cluster.list_vaultsecrets(key.namespace)

    assert "deletionTimestamp" in metadata
    assert metadata["uid"] in snapshot.uids
    assert snapshot.terminating == {key}
    free = ("--type=merge", "--patch", '{"metadata":{"finalizers":null}}')
    controlplane.kubectl("patch", "vaultsecret", key.name, "-n", key.namespace, *free)


async def test_more_targets_than_one_page_holds_are_listed(cluster: KubeApi, namespace: str) -> None:
    keys = [ObjectKey(namespace, f"db-{number}") for number in range(501)]
    await asyncio.gather(*(cluster.apply_target(key, secret(key, {"password": MARK}), onto=None) for key in keys))

    listing = await cluster.list_targets(namespace, keep_all)

    assert listing.targets.keys() == set(keys)


NESTED = '{"f:data":' + '{"f:a":' * 3000 + "{}" + "}" * 3001


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(NESTED, id="nested deeper than Python reads"),
        pytest.param('{"f:metadata":{"f:ownerReferences":{"k:{\\"foo\\":1}":{}}}}', id="an owner without a uid"),
        pytest.param('{"f:metadata":{"f:ownerReferences":{"k:{\\"uid\\":[1]}":{}}}}', id="a uid that is a list"),
    ],
)
async def test_deep_managed_fields_do_not_break_lists_and_watches(
    controlplane: ControlPlane, cluster: KubeApi, namespace: str, fields: str
) -> None:
    odd, plain = ObjectKey(namespace, "odd"), ObjectKey(namespace, "plain")
    for key in (odd, plain):
        await cluster.apply_target(key, secret(key, {"password": MARK}), onto=None)
    before = await cluster.list_targets(namespace, keep_all)
    record = (
        '{"manager":"mallory","operation":"Update","apiVersion":"v1","time":"2026-03-01T12:00:00Z",'
        f'"fieldsType":"FieldsV1","fieldsV1":{fields}}}'
    )
    patch = f'{{"metadata":{{"managedFields":[{record}]}}}}'
    controlplane.kubectl("patch", "secret", "odd", "-n", namespace, "--type=merge", "--patch", patch)
    controlplane.kubectl("delete", "secret", "plain", "-n", namespace)

    listing = await cluster.list_targets(namespace, keep_all)
    watch = cluster.watch_targets(namespace, before.resource_version)
    events = [await anext(watch), await anext(watch)]
    await watch.aclose()

    assert listing.targets.keys() == {odd}
    assert listing.targets[odd].managers == ("mallory",)
    assert [type(event) for event in events] == [Modified, Deleted]


async def test_kubectl_describe_shows_our_events(controlplane: ControlPlane, cluster: KubeApi, key: ObjectKey) -> None:
    controlplane.apply(manifest(spec(), name=key.name, namespace=key.namespace))
    get = ("get", "vaultsecret", key.name, "-n", key.namespace, "-o", "json")
    vault_secret = VaultSecret.parse(json.loads(controlplane.kubectl(*get)))

    event = Event("Warning", "VaultUnreachable", "x" * 2000)
    await cluster.create_event(vault_secret.key, event, event_id="0123", uid=vault_secret.metadata.uid, at=START)

    described = controlplane.kubectl("describe", "vaultsecret", key.name, "-n", key.namespace).splitlines()
    line = next(line for line in described if "VaultUnreachable" in line)
    assert line.split()[:2] == ["Warning", "VaultUnreachable"]
    assert line.endswith("x…")


async def test_a_watch_that_the_server_ends_continues_from_where_it_stopped(cluster: KubeApi, key: ObjectKey) -> None:
    connection = cluster._connection
    position = (await cluster.list_targets(key.namespace, keep_all)).resource_version
    seen: list[str] = []

    for name in ("before", "between", "after"):
        if name == "between":
            made = ObjectKey(key.namespace, name)
            await connection.send(wire.apply_secret(made, secret(made, {"a": "b"}), onto=None))
        request = wire.watch_secrets(key.namespace, position)
        query = {**request.query, "timeoutSeconds": "1"}
        async for document in connection.documents(replace(request, query=query)):
            event = wire.target_event(document)
            position = event.resource_version
            if isinstance(event, Modified):
                seen.append(event.key.name)

    assert seen == ["between"]


async def test_deep_managed_fields_do_not_break_the_watch_of_vaultsecrets(
    controlplane: ControlPlane, cluster: KubeApi, namespace: str
) -> None:
    """With Python's own recursion limit, kopf fails for each list and each event that is nested this deep."""
    seen: list[str] = []
    stop = asyncio.Event()
    registry = kopf.OperatorRegistry()

    @kopf.on.startup(registry=registry)
    async def configure(settings: kopf.OperatorSettings, **_: object) -> None:
        settings.posting.enabled = False

    @kopf.on.login(registry=registry)
    async def login(**_: object) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=cluster.server, aiohttp_session=await cluster.open_session())

    @kopf.on.event("vaultsecrets", registry=registry)
    async def watch(body: kopf.Body, **_: object) -> None:
        seen.extend(one["metadata"]["name"] for _, one in events_of(body))
        if seen == ["listed"]:
            create_deep(controlplane, ObjectKey(namespace, "watched"))
        if seen == ["listed", "watched"]:
            stop.set()

    create_deep(controlplane, ObjectKey(namespace, "listed"))
    async with asyncio.timeout(60):
        await kopf.operator(registry=registry, standalone=True, namespaces=[namespace], stop_flag=stop)

    assert seen == ["listed", "watched"]


def create_deep(controlplane: ControlPlane, key: ObjectKey) -> None:
    """Create a VaultSecret whose managed fields are nested deep."""
    body = manifest(spec(), name=key.name, namespace=key.namespace)
    record = {"manager": "mallory", "operation": "Update", "apiVersion": API_VERSION, "fieldsType": "FieldsV1"}
    body["metadata"]["managedFields"] = [record | {"time": "2026-03-01T12:00:00Z", "fieldsV1": "NESTED"}]
    controlplane.kubectl("create", "-f", "-", stdin=json.dumps(body).replace('"NESTED"', NESTED))
