"""Requests about workloads to a scripted server; tests/contract uses a real one."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import pytest

from tests.unit.vaultsync.adapters.kube.scripted import connected, document
from vaultsync.adapters.kube.api import KubeApi
from vaultsync.adapters.kube.requests import METADATA
from vaultsync.api import RESTARTED_ANNOTATION, ObjectKey
from vaultsync.api.v1alpha1 import WorkloadKind
from vaultsync.errors import Reason, SyncError
from vaultsync.policy.rollout import Workload

KEY: Final = ObjectKey("shop", "web")
CREATED: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RESTARTED: Final = datetime(2026, 3, 2, 8, 30, 15, tzinfo=UTC)
SEEN: Final = Workload("u1", "7", created=CREATED, restarted=None)
TEXT: Final = "2026-03-02T08:30:15Z"


def metadata(*, restarted: str | None = None) -> dict[str, Any]:
    """A workload as the server returns it."""
    annotations = {} if restarted is None else {"annotations": {RESTARTED_ANNOTATION: restarted}}
    own = {"name": "web", "uid": "u1", "resourceVersion": "7", "creationTimestamp": "2026-03-01T12:00:00Z"}
    return {"kind": "PartialObjectMetadata", "metadata": own | annotations}


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (WorkloadKind.DEPLOYMENT, "/apis/apps/v1/namespaces/shop/deployments/web"),
        (WorkloadKind.STATEFUL_SET, "/apis/apps/v1/namespaces/shop/statefulsets/web"),
        (WorkloadKind.DAEMON_SET, "/apis/apps/v1/namespaces/shop/daemonsets/web"),
    ],
)
async def test_a_workload_is_requested_as_metadata_only(kind: WorkloadKind, path: str) -> None:
    async with connected(document(200, metadata())) as (connection, script):
        view = await KubeApi(connection).get_workload(kind, KEY)

    assert view == SEEN
    (sent,) = script.sent
    assert (sent.method, sent.path, sent.headers["Accept"]) == ("GET", path, METADATA)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (TEXT, RESTARTED),
        ("2026-03-02T10:30:15+02:00", RESTARTED),
        ("2026-03-02T08:30:15", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
    ids=["ours", "of another time zone", "of no time zone", "in words", "empty", "never restarted"],
)
async def test_an_annotation_is_a_time_or_ignored(text: str | None, moment: datetime | None) -> None:
    async with connected(document(200, metadata(restarted=text))) as (connection, _):
        view = await KubeApi(connection).get_workload(WorkloadKind.DEPLOYMENT, KEY)

    assert view is not None
    assert view.restarted == moment


async def test_a_restart_patches_two_annotations_at_the_observed_resource_version() -> None:
    at = RESTARTED.astimezone(timezone(timedelta(hours=2))).replace(microsecond=999_999)
    async with connected(document(200, metadata())) as (connection, script):
        restarted = await KubeApi(connection).restart_workload(WorkloadKind.DAEMON_SET, KEY, SEEN, at=at)

    assert restarted
    (sent,) = script.sent
    annotations = {RESTARTED_ANNOTATION: TEXT}
    assert sent.body == {
        "metadata": {"uid": "u1", "resourceVersion": "7", "annotations": annotations},
        "spec": {"template": {"metadata": {"annotations": annotations}}},
    }
    assert (sent.method, sent.path) == ("PATCH", "/apis/apps/v1/namespaces/shop/daemonsets/web")
    assert (sent.headers["Content-Type"], sent.headers["Accept"]) == ("application/merge-patch+json", METADATA)
    assert sent.query == {"fieldManager": "vaultsync"}


async def test_a_missing_permission_names_the_value_of_the_chart() -> None:
    denied = {
        "message": 'deployments.apps "web" is forbidden: User "system:serviceaccount:a:b" cannot patch resource '
        '"deployments" in API group "apps" in the namespace "shop"'
    }
    async with connected(document(403, denied)) as (connection, _):
        with pytest.raises(SyncError) as caught:
            await KubeApi(connection).restart_workload(WorkloadKind.DEPLOYMENT, KEY, SEEN, at=RESTARTED)

    assert caught.value.reason is Reason.CLUSTER_UNAVAILABLE
    assert caught.value.message == (
        "Deployment shop/web: the operator's service account may not patch deployments; "
        "set rbac.restartWorkloads in the chart's values."
    )


async def test_an_error_of_the_server_names_the_workload() -> None:
    async with connected(document(500, {}), document(500, {})) as (connection, _):
        workloads = KubeApi(connection)
        with pytest.raises(SyncError, match="StatefulSet shop/web: the Kubernetes API responded with HTTP status 500"):
            await workloads.get_workload(WorkloadKind.STATEFUL_SET, KEY)
        with pytest.raises(SyncError) as caught:
            await workloads.restart_workload(WorkloadKind.STATEFUL_SET, KEY, SEEN, at=RESTARTED)

    assert caught.value.reason is Reason.CLUSTER_UNAVAILABLE
