"""Asks the Kubernetes API who somebody is and what they may: tokens and rights are judged there, never here.

https://kubernetes.io/docs/reference/access-authn-authz/authentication/#webhook-token-authentication
"""

from collections.abc import Mapping
from typing import Any

from vaultsync.adapters.kube.connection import Connection
from vaultsync.adapters.kube.requests import Request

_ABOUT_USERS = ("uid", "groups", "extra")


class Reviews:
    """What the API server says of those who knock at our door."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def user_of(self, token: str) -> Mapping[str, Any] | None:
        """Say whose token it is; None if it is nobody's.

        Raises:
            SyncError: ClusterUnavailable, also when we may not ask.
        """
        status = (await self._connection.send(token_review(token))).document["status"]
        if not status.get("authenticated"):
            return None
        user: Mapping[str, Any] = status["user"]
        return user

    async def authorize(self, user: Mapping[str, Any], path: str) -> bool:
        """Say whether that user may GET a path, by the cluster's roles.

        Raises:
            SyncError: ClusterUnavailable, also when we may not ask.
        """
        status = (await self._connection.send(access_review(user, path))).document["status"]
        return bool(status.get("allowed"))


def token_review(token: str) -> Request:
    """Ask whose token that is."""
    return Request(
        "POST",
        "/apis/authentication.k8s.io/v1/tokenreviews",
        about="A review of a token",
        body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}},
    )


def access_review(user: Mapping[str, Any], path: str) -> Request:
    """Ask whether a user may GET a path that is no resource."""
    who = {"user": user["username"], **{name: user[name] for name in _ABOUT_USERS if name in user}}
    return Request(
        "POST",
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        about=f"A review of the rights of {user['username']}",
        body={
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {**who, "nonResourceAttributes": {"path": path, "verb": "get"}},
        },
    )
