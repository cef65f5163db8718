"""What a user may see of a cluster, with the user's own rights; what is denied is named by the right that shows it.

Of Secrets only the metadata is requested: a value never leaves the API server.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

from vaultsync import __version__
from vaultsync.adapters.kube.connection import Connection
from vaultsync.adapters.kube.errors import Conflict, Forbidden, Unauthorized, api_error
from vaultsync.adapters.kube.kubeconfig import user_configuration
from vaultsync.adapters.kube.paging import list_all
from vaultsync.adapters.kube.requests import JSON, MERGE, METADATA, WATCH_SECONDS, Request
from vaultsync.api import (
    GRANT_PLURAL,
    GROUP,
    PLURAL,
    REFRESH_ANNOTATION,
    VERSION,
    ObjectKey,
)
from vaultsync.errors import Reason, SyncError

_CONNECTIONS: Final = 8
_FIELD_MANAGER: Final = "vaultsync-cli"

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object, as paths and rights name it."""

    group: str
    version: str
    plural: str
    is_namespaced: bool = True
    is_metadata_only: bool = False

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str | None, name: str = "") -> str:
        """Return the path of the objects in a namespace or in all, or of the one with that name."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        where = f"/namespaces/{quote(namespace, safe='')}" if self.is_namespaced and namespace is not None else ""
        return f"{root}{where}/{self.plural}" + (f"/{quote(name, safe='')}" if name else "")


VAULTSECRETS: Final = Resource(GROUP, VERSION, PLURAL)
VAULTGRANTS: Final = Resource(GROUP, VERSION, GRANT_PLURAL, is_namespaced=False)
PODS: Final = Resource("", "v1", "pods")
SECRETS: Final = Resource("", "v1", "secrets", is_metadata_only=True)
NAMESPACES: Final = Resource("", "v1", "namespaces", is_namespaced=False, is_metadata_only=True)
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases")
CRDS: Final = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", is_namespaced=False)


@dataclass(frozen=True, slots=True)
class Right:
    """What RBAC allows or denies."""

    verb: str
    resource: Resource
    namespace: str | None = None
    """None for all namespaces, or for what is in none."""
    name: str = ""

    def __str__(self) -> str:
        what = f"{self.verb} {self.resource}" + (f"/{self.name}" if self.name else "")
        if not self.resource.is_namespaced:
            return what
        return f"{what} in " + ("all namespaces" if self.namespace is None else f"namespace {self.namespace}")


class Denied(SyncError):
    """The user lacks a right."""

    def __init__(self, right: Right) -> None:
        super().__init__(Reason.CLUSTER_UNAVAILABLE, f"You may not {right}.")
        self.right = right


class KindMissing(SyncError):
    """The cluster does not have a kind of object."""

    def __init__(self, resource: Resource) -> None:
        text = (
            f"The cluster has no {resource}: install the chart, or the CustomResourceDefinitions alone by "
            "`vaultsync crds | kubectl apply --server-side -f -`."
        )
        super().__init__(Reason.CLUSTER_UNAVAILABLE, text)


class ClusterReader:
    """Reads objects; every failure is a `SyncError`, and `Denied` where the user lacks a right."""

    def __init__(self, connection: Connection, *, namespace: str = "default") -> None:
        """Send nothing yet; `namespace` is that of commands that name none."""
        self._connection = connection
        self.namespace = namespace

    @classmethod
    async def connect(
        cls, environ: Mapping[str, str], *, kubeconfig: str | None = None, context: str | None = None
    ) -> Self:
        """Find the cluster as kubectl does; sends no request yet.

        Raises:
            NoCluster: There is no configuration, or it cannot be used.
        """
        load = partial(user_configuration, environ, kubeconfig=kubeconfig, context=context)
        found = await load()

        async def reload() -> Any:  # noqa: ANN401  a class of the client library
            return (await load()).configuration

        connection = Connection(
            found.configuration, user_agent=f"vaultsync-cli/{__version__}", connections=_CONNECTIONS, reload=reload
        )
        return cls(connection, namespace=found.namespace)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return self._connection.server

    async def list(
        self,
        resource: Resource,
        namespace: str | None,
        read: Callable[[Mapping[str, Any]], _Item],
        *,
        labels: str = "",
    ) -> tuple[list[_Item], str]:
        """List the objects of a namespace, or of all, page by page.

        Returns:
            What `read` returns for each object, and the resource version from which a watch goes on.

        Raises:
            Denied: The user may not list them.
            KindMissing: The cluster has no such kind.
            SyncError: ClusterUnavailable.
        """

        def page(position: str | None, limit: int) -> Request:
            query = {"limit": str(limit)}
            query |= {"continue": position} if position else {}
            query |= {"labelSelector": labels} if labels else {}
            return _get(resource, namespace, query=query, is_list=True)

        try:
            return await list_all(self._connection, page, read)
        except SyncError as error:
            raise _for_user(error, Right("list", resource, namespace)) from None

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Mapping[str, Any] | None:
        """Get an object, of a Secret its metadata; None if there is none of that name. Raises as `list`."""
        try:
            return await self._connection.send(_get(resource, namespace, name))
        except Conflict:
            return None
        except SyncError as error:
            raise _for_user(error, Right("get", resource, namespace, name)) from None

    async def has_kind(self, resource: Resource) -> bool:
        """Return whether the cluster serves a kind, by its discovery, which every user may read."""
        path = f"/apis/{resource.group}/{resource.version}"
        try:
            document = await self._connection.send(Request("GET", path, about=f"the API {resource.group}"))
        except Conflict:
            return False
        except SyncError as error:
            raise _for_user(error, Right("get", resource)) from None
        return any(item.get("name") == resource.plural for item in document.get("resources") or ())

    async def watch(
        self, resource: Resource, namespace: str | None, resource_version: str
    ) -> AsyncGenerator[tuple[str, Mapping[str, Any]], None]:
        """Watch objects from a resource version on; the server ends it after a while.

        Yields:
            ADDED, MODIFIED, DELETED or BOOKMARK, and the object.

        Raises:
            Denied: The user may not watch them.
            ResourceExpired: That resource version is too old: list again.
            SyncError: ClusterUnavailable.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        request = _get(resource, namespace, query=query)
        try:
            async with aclosing(self._connection.documents(request)) as documents:
                async for document in documents:
                    item: Mapping[str, Any] = document["object"]
                    if document["type"] == "ERROR":
                        raise api_error(int(item.get("code") or 500), item, request.about)
                    yield document["type"], item
        except SyncError as error:
            raise _for_user(error, Right("watch", resource, namespace)) from None

    async def request_refresh(self, key: ObjectKey, text: str) -> Mapping[str, Any] | None:
        """Set the annotation by which every secret of a VaultSecret is read again; return it, None if there is none.

        Raises:
            Denied: The user may not patch it.
            SyncError: ClusterUnavailable.
        """
        request = Request(
            "PATCH",
            VAULTSECRETS.path(*key),
            about=f"VaultSecret {key}",
            query={"fieldManager": _FIELD_MANAGER},
            content_type=MERGE,
            body={"metadata": {"annotations": {REFRESH_ANNOTATION: text}}},
        )
        try:
            return await self._connection.send(request)
        except Conflict:
            return None
        except SyncError as error:
            raise _for_user(error, Right("patch", VAULTSECRETS, key.namespace, key.name)) from None

    async def may(self, right: Right) -> bool:
        """Return whether RBAC, or another authorizer, allows the user something; it is not tried.

        https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access

        Raises:
            SyncError: ClusterUnavailable; of the kind Denied if the user may not even ask.
        """
        attributes = {"group": right.resource.group, "resource": right.resource.plural, "verb": right.verb}
        attributes |= {"namespace": right.namespace} if right.namespace else {}
        attributes |= {"name": right.name} if right.name else {}
        request = Request(
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            about="SelfSubjectAccessReview",
            fenced=False,
            body={
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": attributes},
            },
        )
        try:
            review = await self._connection.send(request)
        except SyncError as error:
            raise _for_user(error, Right("create", _REVIEWS)) from None
        return bool((review.get("status") or {}).get("allowed"))


_REVIEWS: Final = Resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews", is_namespaced=False)


def _get(
    resource: Resource,
    namespace: str | None,
    name: str = "",
    *,
    query: Mapping[str, str] | None = None,
    is_list: bool = False,
) -> Request:
    accept = JSON
    if resource.is_metadata_only:
        kind = "PartialObjectMetadataList" if is_list else "PartialObjectMetadata"
        accept = METADATA.replace("PartialObjectMetadata", kind)
    about = f"{resource}" + (f" {name}" if name else "") + (f" in namespace {namespace}" if namespace else "")
    return Request("GET", resource.path(namespace, name), about=about, query=query or {}, accept=accept)


def _for_user(error: SyncError, right: Right) -> SyncError:
    """Return an error as it concerns a user, who is not the operator."""
    if isinstance(error, Forbidden):
        return Denied(right)
    if isinstance(error, Conflict):
        return KindMissing(right.resource)
    if isinstance(error, Unauthorized):
        text = "The Kubernetes API rejected your credentials: log in again, and try kubectl auth whoami."
        return SyncError(Reason.CLUSTER_UNAVAILABLE, text)
    return error
