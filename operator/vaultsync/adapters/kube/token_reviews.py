"""Authenticates and authorizes bearer tokens by the API server's TokenReview and SubjectAccessReview; decides nothing.

https://kubernetes.io/docs/reference/access-authn-authz/authentication/#webhook-token-authentication
https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
"""

from collections.abc import Mapping
from typing import Any

from vaultsync.adapters.kube.connection import Connection
from vaultsync.adapters.kube.requests import Request

_USER_FIELDS = ("uid", "groups", "extra")


class TokenReviewer:
    """Reviews of the clients of `/metrics`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def authenticate(self, token: str) -> Mapping[str, Any] | None:
        """Review a bearer token.

        Returns:
            The user as `TokenReview.status.user` has it, or None if the token is not valid.

        Raises:
            SyncError: ClusterUnavailable, also when the permission to create reviews is missing.
        """
        status = (await self._connection.send(token_review(token)))["status"]
        if not status.get("authenticated"):
            return None
        user: Mapping[str, Any] = status["user"]
        return user

    async def authorize(self, user: Mapping[str, Any], path: str) -> bool:
        """Return whether the cluster's roles allow that user to GET a path.

        Raises:
            SyncError: ClusterUnavailable, also when the permission to create reviews is missing.
        """
        status = (await self._connection.send(access_review(user, path)))["status"]
        return bool(status.get("allowed"))


def token_review(token: str) -> Request:
    """Create a TokenReview."""
    return Request(
        "POST",
        "/apis/authentication.k8s.io/v1/tokenreviews",
        about="TokenReview",
        fenced=False,
        body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}},
    )


def access_review(user: Mapping[str, Any], path: str) -> Request:
    """Create a SubjectAccessReview for a path that is not a resource."""
    subject = {"user": user["username"], **{name: user[name] for name in _USER_FIELDS if name in user}}
    return Request(
        "POST",
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        about=f"SubjectAccessReview of {user['username']}",
        fenced=False,
        body={
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {**subject, "nonResourceAttributes": {"path": path, "verb": "get"}},
        },
    )
