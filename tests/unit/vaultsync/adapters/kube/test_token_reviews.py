"""Questions about people and their rights, to a server that answers as the test says."""

import pytest

from tests.unit.vaultsync.adapters.kube.scripted import connected, document
from vaultsync.adapters.kube.token_reviews import TokenReviewer, token_review
from vaultsync.errors import Reason, SyncError

PROMETHEUS = {"username": "prometheus", "uid": "u1", "groups": ["monitoring"], "extra": {"pod": ["prometheus-0"]}}


async def test_a_valid_token_is_authenticated() -> None:
    answer = document(201, {"status": {"authenticated": True, "user": PROMETHEUS}})
    async with connected(answer) as (connection, script):
        user = await TokenReviewer(connection).authenticate("a-token")

    assert user == PROMETHEUS
    assert (script.sent[0].method, script.sent[0].path) == ("POST", "/apis/authentication.k8s.io/v1/tokenreviews")
    assert script.sent[0].body["spec"] == {"token": "a-token"}


@pytest.mark.parametrize(
    "status", [{"user": {}}, {"authenticated": False, "error": "expired"}], ids=["not said", "refused"]
)
async def test_an_invalid_token_is_not_authenticated(status: object) -> None:
    async with connected(document(201, {"status": status})) as (connection, _):
        assert await TokenReviewer(connection).authenticate("a-token") is None


@pytest.mark.parametrize(
    ("status", "allowed"),
    [({"allowed": True}, True), ({"allowed": False}, False), ({"allowed": False, "denied": True}, False), ({}, False)],
    ids=["yes", "no", "no, whatever others say", "nothing said"],
)
async def test_all_fields_of_a_user_are_authorized(status: object, allowed: bool) -> None:
    async with connected(document(201, {"status": status})) as (connection, script):
        assert await TokenReviewer(connection).authorize(PROMETHEUS, "/metrics") is allowed

    (sent,) = script.sent
    assert sent.path == "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    assert sent.body["spec"] == {
        "user": "prometheus",
        "uid": "u1",
        "groups": ["monitoring"],
        "extra": {"pod": ["prometheus-0"]},
        "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
    }


async def test_a_missing_permission_is_named() -> None:
    refused = document(403, {"message": 'User "vaultsync" cannot create resource "tokenreviews" in API group …'})
    async with connected(refused) as (connection, _):
        with pytest.raises(SyncError) as caught:
            await TokenReviewer(connection).authenticate("a-token")

    assert caught.value.reason is Reason.CLUSTER_UNAVAILABLE


def test_a_token_is_not_in_the_repr() -> None:
    assert "a-token" not in str(token_review("a-token"))
