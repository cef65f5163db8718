"""Documents of others that are deep, large or malformed: each is bounded before it is parsed, and hides no other."""

import json
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import httpx
import pytest
import yaml
from aiohttp import web

from kvsecrets import AsyncSecretClient, UnexpectedAnswer
from kvsecrets.testing import AsyncFakeCredential
from tests.builders import VAULT
from tests.controlplane.build import ensure_tools
from tests.controlplane.plane import ControlPlane
from tests.e2e.harness import Harness, eventually
from tests.e2e.kubernetes import KubernetesApi
from tests.e2e.operators import RunningOperator
from tests.e2e.recorder import ObjectRecorder
from tests.emulator.client import ROOT, Emulator
from tests.harness import DB, MemoryHarness, entry, key_of
from tests.manifests import manifest, spec
from tests.unit.vaultsync.adapters.kube.scripted import Answer, connected
from vaultsync.adapters.kube import KubeApi
from vaultsync.adapters.kube.bounded_session import MAX_ITEMS, MAX_OBJECT, MAX_PAGE, events_of
from vaultsync.api import (
    API_VERSION,
    APPLIED_ANNOTATION,
    FIELD_MANAGER,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    PLURAL,
    ObjectKey,
)
from vaultsync.errors import SyncError
from vaultsync.state.applied import from_annotation
from vaultsync.state.observed import Unclaimed, unclaimed
from vaultsync.state.snapshots import Modified

FORMS: Final = {
    "deep": b'{"f:data":' + b'{"f:a":' * 9980 + b"{}" + b"}" * 9981,
    "brackets": b"[" * 600_000 + b"]" * 600_000,
    "brackets at the bound": b"[" * 60 + b"[]" + b",[]" * 400_000 + b"]" * 60,
    "not UTF-8": b'{"f:\xff\xfe":{}}',
    "digits": b'{"f:a":' + b"1" * 5000 + b"}",
    "a lone surrogate": b'{"f:\\ud800":{}}',
    "no object": b'"text"',
}
"""Fields of a manager, as the API server stores some of them."""

EACH_FORM = pytest.mark.parametrize("fields", FORMS.values(), ids=FORMS.keys())


def secret(name: str, fields: bytes = b"{}") -> bytes:
    """The metadata of a Secret with our label, as the API server sends it."""
    metadata = {
        "name": name,
        "namespace": "shop",
        "uid": f"uid-{name}",
        "resourceVersion": "7",
        "creationTimestamp": "2026-03-01T12:00:00Z",
        "labels": {MANAGED_BY_LABEL: MANAGED_BY},
        "managedFields": [{"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": "FIELDS"}],
    }
    return json.dumps({"metadata": metadata}).encode().replace(b'"FIELDS"', fields)


def page(*items: bytes, position: str = "") -> bytes:
    """A page of a list."""
    return b'{"metadata":{"resourceVersion":"9","continue":"%b"},"items":[%b]}' % (position.encode(), b",".join(items))


def body(content: bytes) -> Answer:
    """The answer with this body."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=content, content_type="application/json")

    return answer


def keep_little(_: ObjectKey, observed: Any) -> Unclaimed:  # noqa: ANN401  an Observed
    return unclaimed(observed)


@EACH_FORM
async def test_one_secret_with_odd_managed_fields_does_not_hide_the_others_of_a_list(fields: bytes) -> None:
    """A tenant creates one Secret with our label whose `managedFields` cannot be parsed."""
    async with connected(body(page(secret("a"), secret("odd", fields), secret("b")))) as (connection, _):
        listing = await KubeApi(connection).list_targets(None, keep_little)

    assert [key.name for key in listing.targets] == ["a", "odd", "b"]


@EACH_FORM
async def test_one_secret_with_odd_managed_fields_does_not_end_the_watch(fields: bytes) -> None:
    """A tenant does the same while Secrets are watched."""
    events = [b'{"type":"MODIFIED","object":%b}\n' % one for one in (secret("a"), secret("odd", fields), secret("b"))]
    async with connected(body(b"".join(events))) as (connection, _):
        seen = [event async for event in KubeApi(connection).watch_targets(None, "7")]

    assert [event.key.name for event in seen if isinstance(event, Modified)] == ["a", "odd", "b"]


@EACH_FORM
async def test_one_vaultsecret_with_odd_managed_fields_does_not_hide_the_others_from_kopf(fields: bytes) -> None:
    """A tenant creates one VaultSecret whose `managedFields` cannot be parsed: kopf has no limit of its own."""
    listed = page(secret("a"), secret("odd", fields), secret("b"))
    change = b'{"type":"MODIFIED","object":%b}\n'
    lines = b"".join(change % one for one in (secret("a"), secret("odd", fields), secret("b")))
    async with (
        connected(body(listed), body(lines)) as (connection, _),
        await connection.open_session() as session,
    ):
        url = f"{connection.server}/apis/{API_VERSION}/{PLURAL}"
        items = (await (await session.get(url, params={"limit": "500"})).json())["items"]
        async with session.get(url, params={"watch": "true"}) as response:
            # As kopf does.
            events = [json.loads(line.decode()) async for line in response.content.iter_chunked(1024)]

    of_list = [observed["metadata"] for item in items for _, observed in events_of(item)]
    of_watch = [observed["metadata"] for event in events for _, observed in events_of(event["object"])]
    assert [metadata["name"] for metadata in of_list] == ["a", "odd", "b"]
    assert [metadata["name"] for metadata in of_watch] == ["a", "odd", "b"]
    assert all("managedFields" not in metadata for metadata in (*of_list, *of_watch))


class Paged:
    """An API server with many large objects, which sends as many on a page as are requested."""

    def __init__(self, count: int, size: int) -> None:
        self.items = [secret(f"large-{number}", b'{"f:%b":{}}' % (b"x" * size)) for number in range(count)]
        self.limits: list[int] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        limit, begin = int(request.query["limit"]), int(request.query.get("continue") or 0)
        self.limits.append(limit)
        rest = str(begin + limit) if begin + limit < len(self.items) else ""
        return await body(page(*self.items[begin : begin + limit], position=rest))(request)


async def test_large_objects_do_not_fill_the_memory_while_they_are_listed() -> None:
    """A tenant creates many Secrets with our label, each as large as the API server stores it."""
    server = Paged(40, 1_400_000)
    async with connected(*[server] * 60) as (connection, _):
        listing = await KubeApi(connection).list_targets(None, keep_little)

    assert len(listing.targets) == 40
    assert server.limits[0] == MAX_ITEMS
    read = [limit for limit in server.limits if limit * 1_400_000 < MAX_PAGE]
    assert len(server.limits) <= 2 * len(read)


async def test_large_vaultsecrets_do_not_fill_the_memory_while_kopf_lists_them() -> None:
    """A tenant does the same with VaultSecrets: kopf asks for 500 on each page."""
    server, names = Paged(10, 1_400_000), list[str]()
    position: str | None = ""
    async with connected(*[server] * 30) as (connection, _), await connection.open_session() as session:
        while position is not None:
            params = {"limit": "500", **({"continue": position} if position else {})}
            response = await session.get(f"{connection.server}/apis/{API_VERSION}/{PLURAL}", params=params)
            document = await response.json()
            names += [one["metadata"]["name"] for item in document["items"] for _, one in events_of(item)]
            position = document["metadata"]["continue"] or None

    assert names == [f"large-{number}" for number in range(10)]


async def test_a_line_of_a_watch_without_an_end_is_not_read_to_the_end() -> None:
    """A proxy, or whoever pretends to be the API server, sends one line that never ends."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"[" * 1_000_000)

    async with connected(answer) as (connection, _):
        with pytest.raises(SyncError, match="too large"):
            await anext(KubeApi(connection).watch_targets(None, "7"))
    assert MAX_OBJECT < 64 * 1024 * 1024


@pytest.mark.parametrize("text", ["[" * 250_000, "[" * 125_000 + "]" * 125_000, '{"a":' * 40_000, "1" * 250_000])
def test_an_annotation_of_brackets_counts_as_damaged(text: str) -> None:
    """A tenant writes 250,000 brackets into our annotation of a Secret."""
    assert from_annotation(text) is None


DEEP: Final = "[" * 12_500 + "]" * 12_500


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        pytest.param({"data": [entry("a", "deep", property="0")]}, "PropertyMissing", id="property"),
        pytest.param({"data": [], "dataFrom": [{"object": "deep"}]}, "PropertyMissing", id="object"),
        pytest.param({"data": [], "dataFrom": [{"certificate": "deep"}]}, "CertificateInvalid", id="certificate"),
        pytest.param(
            {
                "data": [entry(".dockerconfigjson", "deep")],
                "target": {"name": "deep", "type": "kubernetes.io/dockerconfigjson"},
            },
            "TargetInvalid",
            id="Docker configuration",
        ),
    ],
)
async def test_a_value_of_brackets_fails_its_own_vaultsecret_and_no_other(spec: dict[str, Any], reason: str) -> None:
    """A tenant, or whoever may write one secret of the vault, sets it to 25,000 brackets."""
    harness = MemoryHarness()
    await harness.start(())
    harness.vault.set("deep", DEEP)
    harness.apply(name="deep", **spec)
    harness.apply()
    await harness.poll()
    await harness.poll()

    assert harness.ready("deep").reason == reason
    assert harness.kube.without_data(key_of("deep")) is None
    assert harness.values() == {"password": "first"}
    assert harness.recorded.errors == []
    await harness.aclose()


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)),
        "a: &a [*a]",
        "- " * 12_500,
        "{" * 25_000,
        "a: !!python/object/apply:os.system [exit]",
        "a: !!binary QQ==",
        "---\n" * 6_000,
        "? " * 12_500,
        "\0" * 25_000,
    ],
    ids=[
        "aliases",
        "a cycle",
        "lists",
        "brackets",
        "a Python object",
        "a tag",
        "documents",
        "names",
        "control characters",
    ],
)
@pytest.mark.parametrize(
    "line",
    [{"data": [entry("a", "bad", property="a", format="YAML")]}, {"dataFrom": [{"object": "bad", "format": "YAML"}]}],
)
async def test_yaml_that_expands_nests_or_makes_objects_fails_its_own_vaultsecret_and_no_other(
    line: dict[str, Any], text: str
) -> None:
    """Whoever may write one secret sets it to YAML that expands to billions of items, nests, or has tags."""
    harness = MemoryHarness()
    await harness.start(())
    harness.vault.set("bad", text)
    harness.apply(name="bad", **line)
    harness.apply()
    await harness.poll()
    await harness.poll()

    assert harness.ready("bad").reason == "PropertyMissing"
    assert harness.kube.without_data(key_of("bad")) is None
    assert harness.values() == {"password": "first"}
    assert harness.recorded.errors == []
    await harness.aclose()


async def test_large_yaml_is_parsed_up_to_a_limit() -> None:
    """A tenant has 256 entries, each with a part of another secret, and each secret is as large as a vault allows."""
    harness = MemoryHarness()
    await harness.start(())
    for number in range(256):
        harness.vault.set(f"big-{number}", "{" + "a," * 12_000 + f"b: {number}}}")
    harness.apply(*(entry(f"k{n}", f"big-{n}", property="b", format="YAML") for n in range(256)), name="big")
    await harness.poll()
    await harness.poll()

    assert "may have 65536 characters together" in harness.ready("big").message
    await harness.aclose()


async def test_a_value_of_brackets_passes_through_the_json_filter_as_text() -> None:
    """The same value, quoted by a template: nothing parses it."""
    harness = MemoryHarness()
    await harness.start(())
    harness.vault.set("db-password", DEEP)
    harness.apply(entry("a"), target={"template": {"made": "{{ a | json }}"}})
    await harness.poll()
    await harness.poll()

    assert (harness.values() or {})["made"] == f'"{DEEP}"'
    assert harness.kube.without_data(DB) is not None
    await harness.aclose()


@pytest.mark.parametrize("status", [200, 401, 403, 404, 409])
@pytest.mark.parametrize("content", ["[" * 25_000, '{"error":' * 10_000, '{"value":"x","id":' + "1" * 5000 + "}"])
async def test_a_vault_that_responds_with_brackets_is_an_error_of_the_library(status: int, content: str) -> None:
    """A vault that a tenant has chosen responds with deep JSON, as a result and as an error."""
    transport = httpx.MockTransport(lambda _: httpx.Response(status, text=content))
    client = AsyncSecretClient(VAULT, AsyncFakeCredential(), transport=transport)

    with pytest.raises(Exception) as raised:  # noqa: PT011  which one depends on the status
        await client.get_secret("db-password")

    assert type(raised.value).__module__ == UnexpectedAnswer.__module__
    await client.aclose()


# On a real API server

_ENVIRON: Final = os.environ  # noqa: TID251 - where the built programs are kept is the caller's choice
_MEMORY: Final = yaml.safe_load((ROOT / "charts/vaultsync/values.yaml").read_text())["resources"]["limits"]["memory"]
_FORGED: Final = 60


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """A control plane of the test's own: other tests could not read what is stored here."""
    with ControlPlane(ensure_tools(_ENVIRON, sys.stderr), tmp_path / "plane") as plane:
        plane.install(ROOT / "crds")
        yield plane


def poisonous(written: dict[str, Any], fields: bytes) -> bytes:
    """The object, with these fields of a manager, as JSON."""
    record = {
        "manager": FIELD_MANAGER,
        "operation": "Apply",
        "apiVersion": written["apiVersion"],
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": "FIELDS",
    }
    metadata = {**written["metadata"], "managedFields": [record]}
    return json.dumps({**written, "metadata": metadata}).encode().replace(b'"FIELDS"', fields)


def poison(api: KubernetesApi, namespace: str, vault_url: str) -> None:
    """Create one object of each kind that has ended, stopped or filled the operator."""
    labels = {MANAGED_BY_LABEL: MANAGED_BY}
    secrets = f"/api/v1/namespaces/{namespace}/secrets"
    a_secret = {"apiVersion": "v1", "kind": "Secret"}
    deep = manifest(spec(vaultUrl=vault_url), name="deep", namespace=namespace)
    api.create_as_it_is(f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURAL}", poisonous(deep, FORMS["deep"]))
    annotations = {APPLIED_ANNOTATION: "[" * 250_000}
    api.create(secrets, {**a_secret, "metadata": {"name": "brackets", "labels": labels, "annotations": annotations}})
    odd = {**a_secret, "metadata": {"name": "not-utf-8", "labels": labels}}
    api.create_as_it_is(secrets, poisonous(odd, FORMS["not UTF-8"]))
    fields = b'{"f:data":{%b}}' % b",".join(b'"f:%06d":{}' % number for number in range(100_000))
    for number in range(_FORGED):
        forged = {**a_secret, "metadata": {"name": f"forged-{number}", "labels": labels}}
        api.create_as_it_is(secrets, poisonous(forged, fields))


def peak_memory(operator: RunningOperator) -> int:
    """The most memory that the process has had, in MiB."""
    lines = Path(f"/proc/{operator.pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmHWM:")]
    return int(line.split()[1]) // 1024


def has(harness: Harness, name: str, value: str) -> bool:
    """Whether a Secret has this value."""
    return harness.content(name) == {"password": value.encode()}


@pytest.mark.cluster
def test_objects_of_a_tenant_do_not_keep_others_from_being_synced(
    plane: ControlPlane, emulator: Emulator, tmp_path: Path
) -> None:
    """A tenant creates a VaultSecret 9,980 levels deep, odd Secrets, and 60 of 1.4 MB, before and after a restart."""
    environ = plane.environ() | emulator.environment()
    with KubernetesApi(plane.kubeconfig) as api:
        # Without a recorder, which could not read the objects either.
        tenant, other = (Harness.new(api, cast("ObjectRecorder", None), emulator) for _ in range(2))
        tenant.put()
        value = other.put()
        poison(api, tenant.namespace, tenant.vault.url)
        for name in ("before", "after"):
            with RunningOperator.start(environ, tmp_path / "operator.log") as operator:
                operator.await_ready()
                other.apply(name=name)
                eventually(partial(has, other, name, value), f"Secret {name}")
                eventually(lambda: tenant.content("deep") is not None, "the Secret of the deep VaultSecret")
                assert peak_memory(operator) < int(_MEMORY.removesuffix("Mi"))
                assert operator.stop() == 0
