"""What a user reads of a cluster: requests, and the errors as they concern a user."""

import pytest

from tests.unit.vaultsync.adapters.kube.scripted import connected, document, lines
from vaultsync.adapters.kube import ResourceExpired
from vaultsync.adapters.kube.reader import (
    CRDS,
    PODS,
    SECRETS,
    VAULTSECRETS,
    ClusterReader,
    Denied,
    KindMissing,
    Right,
)
from vaultsync.api import ObjectKey
from vaultsync.errors import SyncError

FORBIDDEN = {"message": 'User "me" cannot list resource "pods" in API group ""', "reason": "Forbidden"}
NOT_FOUND = {"reason": "NotFound"}
LIST = {"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "db"}}]}


async def test_of_secrets_only_the_metadata_is_requested() -> None:
    async with connected(document(200, LIST), document(200, {"metadata": {}})) as (connection, script):
        reader = ClusterReader(connection)
        await reader.list(SECRETS, "shop", lambda item: item)
        await reader.get(SECRETS, "shop", "db")

    listed, got = (one.headers["Accept"] for one in script.sent)
    assert "as=PartialObjectMetadataList" in listed
    assert "as=PartialObjectMetadata;" in got


async def test_a_name_is_one_part_of_the_path() -> None:
    async with connected(document(404, NOT_FOUND)) as (connection, script):
        assert await ClusterReader(connection).get(VAULTSECRETS, "shop", "../../secrets/db?x") is None

    assert script.sent[0].path.startswith("/apis/vaultsync.dev/v1alpha1/namespaces/shop/vaultsecrets/")
    assert script.sent[0].query == {}


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (403, FORBIDDEN, Denied, "You may not list pods in namespace shop."),
        (404, NOT_FOUND, KindMissing, "The cluster has no pods"),
        (401, {}, SyncError, "The Kubernetes API rejected your credentials"),
        (500, {}, SyncError, "the Kubernetes API responded with HTTP status 500"),
    ],
)
async def test_an_error_is_about_the_user(status: int, body: dict[str, str], kind: type[SyncError], said: str) -> None:
    async with connected(document(status, body)) as (connection, _):
        with pytest.raises(kind, match=said) as caught:
            await ClusterReader(connection).list(PODS, "shop", lambda item: item)

    assert "operator" not in caught.value.message


@pytest.mark.parametrize(
    ("right", "text"),
    [
        (Right("list", PODS, "shop"), "list pods in namespace shop"),
        (Right("list", VAULTSECRETS), "list vaultsecrets.vaultsync.dev in all namespaces"),
        (Right("get", CRDS, None, "x"), "get customresourcedefinitions.apiextensions.k8s.io/x"),
    ],
)
def test_a_right_is_named_as_rbac_does(right: Right, text: str) -> None:
    assert str(right) == text


async def test_a_watch_yields_changes_until_the_server_ends_it() -> None:
    events = ['{"type": "ADDED", "object": {"metadata": {"name": "db"}}}', '{"type": "BOOKMARK", "object": {}}']
    async with connected(lines(*events)) as (connection, script):
        seen = [kind async for kind, _ in ClusterReader(connection).watch(VAULTSECRETS, "shop", "7")]

    assert seen == ["ADDED", "BOOKMARK"]
    assert script.sent[0].query["resourceVersion"] == "7"


async def test_a_watch_that_is_too_old_is_listed_again() -> None:
    expired = '{"type": "ERROR", "object": {"code": 410, "reason": "Expired"}}'
    async with connected(lines(expired)) as (connection, _):
        with pytest.raises(ResourceExpired):
            _ = [kind async for kind, _ in ClusterReader(connection).watch(VAULTSECRETS, "shop", "7")]


async def test_a_refresh_is_one_annotation() -> None:
    async with connected(document(200, {}), document(404, NOT_FOUND)) as (connection, script):
        reader = ClusterReader(connection)
        assert await reader.request_refresh(ObjectKey("shop", "db"), "now") == {}
        assert await reader.request_refresh(ObjectKey("shop", "db"), "now") is None

    assert script.sent[0].body == {"metadata": {"annotations": {"vaultsync.dev/refresh-now": "now"}}}
    assert script.sent[0].query == {"fieldManager": "vaultsync-cli"}
