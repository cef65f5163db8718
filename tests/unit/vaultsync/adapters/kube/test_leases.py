"""Leases as requests, and what is read of a Lease that others may have written."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from tests.clocks import Clock
from tests.unit.vaultsync.adapters.kube.scripted import connected, document, silence
from vaultsync.adapters.kube.errors import Conflict, Forbidden
from vaultsync.adapters.kube.leases import LeaseKind, Leases, lease_from
from vaultsync.adapters.kube.requests import Request
from vaultsync.api import POSITION_ANNOTATION
from vaultsync.errors import NotServed, ObjectGone, SyncError
from vaultsync.policy.leases import Installation, Lease
from vaultsync.state.positions import Position
from vaultsync.state.shards import Shards

OURS = Installation("vaultsync.team", 3, frozenset({"web", "shop"}))
AT = datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=UTC)
PATH = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
STORED: dict[str, Any] = {
    "metadata": {
        "name": "vaultsync.team-0",
        "uid": "uid",
        "resourceVersion": "7",
        "annotations": {
            "vaultsync.dev/installation": "vaultsync.team",
            "vaultsync.dev/shards": "3",
            "vaultsync.dev/namespaces": "shop,web",
        },
    },
    "spec": {"holderIdentity": "other", "renewTime": "2026-03-01T12:00:00.000001Z", "leaseTransitions": 4},
}
LEASE = Lease(
    "vaultsync.team-0", "uid", "7", "other", "2026-03-01T12:00:00.000001Z", 4, "vaultsync.team", 3, OURS.namespaces
)


def leases(connection: Any) -> Leases:  # noqa: ANN401  a connection of any kind
    return Leases(connection, namespace="kube-system", kind=LeaseKind.SHARD, installation=OURS, identity="me")


async def test_a_lease_is_created_taken_renewed_and_released() -> None:
    async with connected(*[document(200, STORED)] * 4) as (connection, script):
        api = leases(connection)
        assert await api.acquire(LEASE.name, None, at=AT) == LEASE
        await api.acquire(LEASE.name, LEASE, at=AT)
        await api.renew(LEASE, at=AT)
        await api.release(LEASE, at=AT)

    time = "2026-03-01T12:00:00.000001Z"
    held = {"holderIdentity": "me", "leaseDurationSeconds": 12, "renewTime": time}
    assert [(one.method, one.path.removeprefix(PATH)) for one in script.sent] == [
        ("POST", ""),
        *[("PUT", "/vaultsync.team-0")] * 3,
    ]
    assert [one.body["spec"] for one in script.sent] == [
        held | {"acquireTime": time, "leaseTransitions": 0},
        held | {"acquireTime": time, "leaseTransitions": 5},
        held | {"leaseTransitions": 4},
        {"renewTime": time, "leaseTransitions": 4},
    ]
    assert "resourceVersion" not in script.sent[0].body["metadata"]
    assert [one.body["metadata"]["resourceVersion"] for one in script.sent[1:]] == ["7", "7", "7"]
    metadata = script.sent[0].body["metadata"]
    assert metadata["labels"]["vaultsync.dev/lease"] == "shard"
    assert metadata["annotations"] == STORED["metadata"]["annotations"]


async def test_a_release_says_how_far_its_holder_has_observed_and_the_next_write_does_not() -> None:
    async with connected(*[document(200, STORED)] * 2) as (connection, script):
        await leases(connection).release(LEASE, at=AT, position=Position(12, 345))
        await leases(connection).acquire(LEASE.name, LEASE, at=AT)

    annotations = [one.body["metadata"]["annotations"].get(POSITION_ANNOTATION) for one in script.sent]
    assert annotations == ["vaultsecrets=12,secrets=345", None]


@pytest.mark.parametrize(
    ("holder", "text", "position"),
    [
        (None, "vaultsecrets=12,secrets=345", Position(12, 345)),
        ("other", "vaultsecrets=12,secrets=345", None),
        (None, "vaultsecrets=-1,secrets=345", None),
        (None, "vaultsecrets=12,secrets=345 ", None),
        (None, "vaultsecrets=12", None),
        (None, "vaultsecrets=1,secrets=" + "9" * 21, None),
        (None, "vaultsecrets=1,secrets=\u0663", None),
        (None, None, None),
    ],
)
def test_a_lease_has_the_position_of_its_last_holder_if_it_was_released(
    holder: str | None, text: object, position: Position | None
) -> None:
    metadata = STORED["metadata"] | {"annotations": {POSITION_ANNOTATION: text}}

    assert lease_from({"metadata": metadata, "spec": {"holderIdentity": holder}}).position == position


REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


async def test_the_right_to_take_a_lease_is_reviewed_and_nothing_is_written() -> None:
    answers = [document(201, {"status": {"allowed": allowed}}) for allowed in (True, False)]
    async with connected(*answers) as (connection, script):
        await leases(connection).check_rights(LEASE.name)
        with pytest.raises(
            Forbidden, match=r"Lease kube-system/.*: the operator's service account may not update leas"
        ):
            await leases(connection).check_rights(LEASE.name)

    assert {(one.method, one.path) for one in script.sent} == {("POST", REVIEW)}
    assert script.sent[0].body["spec"]["resourceAttributes"] == {
        "group": "coordination.k8s.io",
        "resource": "leases",
        "namespace": "kube-system",
        "name": LEASE.name,
        "verb": "update",
    }


async def test_a_right_that_may_not_be_reviewed_is_not_said_to_be_missing() -> None:
    status = {
        "kind": "Status",
        "reason": "Forbidden",
        "message": 'User "a" cannot create resource "selfsubjectaccessreviews"',
    }
    async with connected(document(403, status)) as (connection, _):
        await leases(connection).check_rights(LEASE.name)


async def test_leases_are_listed_by_their_label_from_the_storage() -> None:
    async with connected(document(200, {"items": [STORED]}), document(200, {"items": None})) as (connection, script):
        assert await leases(connection).list() == [LEASE]
        assert await leases(connection).list() == []

    assert script.sent[0].query == {"labelSelector": "vaultsync.dev/lease=shard", "limit": "500"}


async def test_a_list_that_is_not_whole_is_an_error() -> None:
    async with connected(document(200, {"metadata": {"continue": "token"}, "items": [STORED]})) as (connection, _):
        with pytest.raises(SyncError, match="over 500 have the label vaultsync"):
            await leases(connection).list()


async def test_a_deletion_names_the_lease_that_was_read() -> None:
    async with connected(document(200, {"kind": "Status"})) as (connection, script):
        await leases(connection).delete(LEASE)

    assert script.sent[0].body["preconditions"] == {"uid": "uid", "resourceVersion": "7"}


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (409, {"reason": "Conflict"}, Conflict),
        (409, {"reason": "AlreadyExists"}, Conflict),
        (404, {"details": {"kind": "namespaces"}}, ObjectGone),
        (500, {}, SyncError),
        (200, {"kind": "Status"}, SyncError),
        (200, {"metadata": {"name": "another", "resourceVersion": "1"}}, SyncError),
        (200, {"metadata": {"name": LEASE.name}}, SyncError),
    ],
)
async def test_what_is_not_the_lease_is_an_error(status: int, body: Mapping[str, Any], error: type[SyncError]) -> None:
    async with connected(document(status, body)) as (connection, _):
        with pytest.raises(error):
            await leases(connection).renew(LEASE, at=AT)


async def test_a_lease_that_does_not_exist_is_none() -> None:
    async with connected(document(404, {})) as (connection, _):
        assert await leases(connection).get(LEASE.name) is None


@pytest.mark.parametrize(
    ("spec", "annotations", "expected"),
    [
        (None, None, (None, "", 0, "", None, frozenset())),
        ({"holderIdentity": None}, {}, (None, "", 0, "", None, frozenset())),
        ({"holderIdentity": ""}, {}, (None, "", 0, "", None, frozenset())),
        ({"leaseTransitions": -5}, {"shards": "²"}, (None, "", 0, "", None, frozenset())),
        ({"leaseTransitions": 2**40}, {"shards": "10000"}, (None, "", 0, "", None, frozenset())),
        ({"holderIdentity": "a\nb\u202e"}, {"shards": "64"}, ("a b", "", 0, "", 64, frozenset())),
        ({"renewTime": "9999"}, {"namespaces": ",a,,a,b,"}, (None, "9999", 0, "", None, frozenset({"a", "b"}))),
        ({}, {"installation": "x\x00y"}, (None, "", 0, "x y", None, frozenset())),
    ],
)
def test_a_lease_of_others_is_read_as_far_as_it_makes_sense(
    spec: object, annotations: Mapping[str, str] | None, expected: tuple[object, ...]
) -> None:
    named = None if annotations is None else {f"vaultsync.dev/{name}": text for name, text in annotations.items()}

    lease = lease_from({"metadata": {"annotations": named}, "spec": spec})

    assert (
        lease.holder,
        lease.renewed,
        lease.transitions,
        lease.installation,
        lease.shards,
        lease.namespaces,
    ) == expected


async def test_a_renewal_waits_for_no_other_request_and_no_shard() -> None:
    # All connections are in use, and nothing is served: that is when a Lease matters.
    shards, clock = Shards(clock=Clock().seconds), Clock()
    read = Request("GET", "/api/v1/namespaces/shop/secrets/db", about="Secret shop/db")
    write = Request("PATCH", read.path, about="Secret shop/db", body={})
    answers = [silence, document(200, STORED)]
    async with connected(*answers, connections=1, shards=shards) as (connection, script):
        reading = asyncio.create_task(connection.send(read))
        await script.arrivals(1)
        await leases(connection).renew(LEASE, at=clock())
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        with pytest.raises(NotServed):
            await connection.send(write)


async def test_a_request_that_hangs_ends_while_others_fit_before_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaultsync.adapters.kube.leases.REQUEST_TIMEOUT", 0.05)

    async def slow(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(10)
        return web.Response()

    async with connected(slow) as (connection, _):
        with pytest.raises(SyncError, match="did not respond in time"):
            await leases(connection).list()
