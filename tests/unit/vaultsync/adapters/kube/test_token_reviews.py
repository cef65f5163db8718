"""Questions about people and their rights, to a server that answers as the test says."""

import pytest

from tests.unit.vaultsync.adapters.kube.scripted import connected, document
from vaultsync.adapters.kube.token_reviews import Reviews, token_review
from vaultsync.errors import Reason, SyncError

PROMETHEUS = {"username": "prometheus", "uid": "u1", "groups": ["monitoring"], "extra": {"pod": ["prometheus-0"]}}


async def test_a_token_is_sent_to_be_judged_and_its_owner_is_told() -> None:
    answer = document(201, {"status": {"authenticated": True, "user": PROMETHEUS}})
    async with connected(answer) as (connection, script):
        user = await Reviews(connection).user_of("a-token")

    assert user == PROMETHEUS
    assert (script.sent[0].method, script.sent[0].path) == ("POST", "/apis/authentication.k8s.io/v1/tokenreviews")
    assert script.sent[0].body["spec"] == {"token": "a-token"}


@pytest.mark.parametrize(
    "status", [{"user": {}}, {"authenticated": False, "error": "expired"}], ids=["not said", "refused"]
)
async def test_a_token_that_is_not_accepted_is_nobodys(status: object) -> None:
    async with connected(document(201, {"status": status})) as (connection, _):
        assert await Reviews(connection).user_of("a-token") is None


@pytest.mark.parametrize(
    ("status", "allowed"),
    [({"allowed": True}, True), ({"allowed": False}, False), ({"allowed": False, "denied": True}, False), ({}, False)],
    ids=["yes", "no", "no, whatever others say", "nothing said"],
)
async def test_all_that_is_known_of_a_user_is_sent_to_be_judged(status: object, allowed: bool) -> None:
    async with connected(document(201, {"status": status})) as (connection, script):
        assert await Reviews(connection).authorize(PROMETHEUS, "/metrics") is allowed

    (sent,) = script.sent
    assert sent.path == "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    assert sent.body["spec"] == {
        "user": "prometheus",
        "uid": "u1",
        "groups": ["monitoring"],
        "extra": {"pod": ["prometheus-0"]},
        "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
    }


async def test_who_is_not_allowed_to_ask_is_told_so() -> None:
    refused = document(403, {"message": 'User "vaultsync" cannot create resource "tokenreviews" in API group …'})
    async with connected(refused) as (connection, _):
        with pytest.raises(SyncError) as caught:
            await Reviews(connection).user_of("a-token")

    assert caught.value.reason is Reason.CLUSTER_UNAVAILABLE


def test_a_token_is_not_shown() -> None:
    assert "a-token" not in str(token_review("a-token"))
