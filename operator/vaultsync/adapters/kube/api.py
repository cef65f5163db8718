"""The operations that vaultsync performs on the Kubernetes API: targets, VaultSecrets, events and workloads."""

import json
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Final, Self

import aiohttp

from kvsecrets import SecretValue
from vaultsync import __version__
from vaultsync.adapters.kube import requests as wire
from vaultsync.adapters.kube import workloads
from vaultsync.adapters.kube.client_credentials import ClientCredentials
from vaultsync.adapters.kube.connection import Connection, RequestObserver, configuration_from
from vaultsync.adapters.kube.errors import AlreadyExists, Conflict, Forbidden, InvalidFields
from vaultsync.adapters.kube.leases import LeaseKind, Leases
from vaultsync.adapters.kube.paging import Item, list_all
from vaultsync.adapters.kube.token_reviews import TokenReviewer
from vaultsync.api import APPLIED_ANNOTATION, GRANT_KIND, KIND, ObjectKey
from vaultsync.api.grants import GrantMeta
from vaultsync.api.v1alpha1 import ObjectMeta, VaultSecretMeta, WorkloadKind, with_labels
from vaultsync.errors import ObjectChanged, ObjectGone, Reason, SyncError
from vaultsync.policy.alterations import altered_fields
from vaultsync.policy.leases import Installation
from vaultsync.policy.rollout import Workload
from vaultsync.state.applied import annotation_hash
from vaultsync.state.observed import Observed, Unclaimed, observed_from
from vaultsync.state.shards import Shards
from vaultsync.state.snapshots import (
    ClusterEvent,
    ClusterKind,
    ClusterList,
    CurrentVersions,
    Kept,
    ListSnapshot,
    TargetEvent,
    TargetList,
)
from vaultsync.status.events import Event

logger = logging.getLogger(__name__)

_KINDS: Final = {ClusterKind.GRANTS: GRANT_KIND, ClusterKind.NAMESPACES: "Namespace"}


class NotInstalled(Exception):
    """The cluster does not have the CustomResourceDefinition; the text says how to install it."""


class KubeApi:
    """The Kubernetes API; every failure is a `SyncError` that holds no value. Calls may overlap."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    async def connect(
        cls,
        environ: Mapping[str, str],
        *,
        connections: int = 32,
        identity: str = "",
        shards: Shards | None = None,
    ) -> Self:
        """Find the cluster; sends no request yet.

        Args:
            environ: `KUBECONFIG` is used if it is set, otherwise the service account of the pod.
            connections: The number of concurrent requests; watches are not counted.
            identity: The name of this replica, for the API server's audit log.
            shards: The shards for which this replica may write; all if None.

        Raises:
            NoCluster: The environment does not say where the API is.
        """
        connection = Connection(
            await configuration_from(environ),
            user_agent=f"vaultsync/{__version__} ({identity})" if identity else f"vaultsync/{__version__}",
            connections=connections,
            shards=shards,
            reload=partial(configuration_from, environ),
        )
        return cls(connection)

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return self._connection.server

    async def open_session(self, observer: RequestObserver | None = None) -> aiohttp.ClientSession:
        """Open an HTTP session for another client of the same API, that reads VaultSecrets and parses JSON itself.

        The caller closes it, and opens another one when the API server responds with HTTP status 401.
        """
        return await self._connection.open_session(observer)

    @property
    def token_reviewer(self) -> TokenReviewer:
        """Authenticates and authorizes bearer tokens."""
        return TokenReviewer(self._connection)

    @property
    def client_credentials(self) -> ClientCredentials:
        """What Azure identities log in with."""
        return ClientCredentials(self._connection)

    def leases(self, kind: LeaseKind, *, namespace: str, installation: Installation, identity: str) -> Leases:
        """Return the Leases of the election in a namespace, as this replica reads and writes them."""
        return Leases(self._connection, namespace=namespace, kind=kind, installation=installation, identity=identity)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def get_target(self, key: ObjectKey) -> Observed | None:
        """Get a Secret's metadata.

        Returns:
            The metadata, or None if there is no such Secret.

        Raises:
            SyncError: ClusterUnavailable.
        """
        try:
            return _observed(await self._connection.send(wire.get_secret(key)))
        except Conflict:
            return None

    async def get_target_data(self, key: ObjectKey, *, observed: Observed) -> Mapping[str, SecretValue]:
        """Get what a Secret holds, in base64.

        Args:
            key: The Secret.
            observed: The Secret as it was observed.

        Raises:
            SyncError: ClusterUnavailable; of the kind Conflict if it is gone, or was changed since.
        """
        document = await self._whole(key, observed)
        return {name: SecretValue(text) for name, text in (document.get("data") or {}).items()}

    async def get_target_manifest(self, key: ObjectKey, *, observed: Observed) -> SecretValue:
        """Get the manifest, as JSON, that creates the same Secret again. Arguments and errors as `get_target_data`."""
        return SecretValue(json.dumps(wire.manifest_of(await self._whole(key, observed))))

    async def _whole(self, key: ObjectKey, observed: Observed) -> Mapping[str, Any]:
        document = await self._connection.send(wire.get_secret_data(key))
        metadata = document["metadata"]
        if (metadata["uid"], metadata["resourceVersion"]) != (observed.uid, observed.resource_version):
            raise Conflict(Reason.CLUSTER_UNAVAILABLE, f"Secret {key} was changed at the same time.", retry_after=1.0)
        return document

    async def apply_target(self, key: ObjectKey, manifest: Mapping[str, Any], *, onto: Observed | None) -> Observed:
        """Apply a manifest to a Secret by server-side apply; fields of other managers stay.

        Each request names the state that it is based on, so one that is carried out twice, or late, changes nothing.

        Args:
            key: The Secret.
            manifest: All fields that vaultsync owns from now on; those that it owned before and that are not in the
                manifest are removed.
            onto: The Secret as it was observed. Its fields are taken over by force, but only of the object with that
                uid. None creates a Secret; one that exists is not changed, whoever created it.

        Returns:
            The metadata of the Secret after the write, and which fields are not as they were sent.

        Raises:
            SyncError: TargetInvalid, TargetTooLarge, TargetImmutable, ClusterUnavailable.
            Conflict: The Secret was created, deleted or replaced since it was observed, or another process of this
                operator wrote it, which may have read newer versions.
            ObjectGone: The namespace is being deleted.
        """
        try:
            return await self._apply(key, manifest, onto)
        except Conflict:
            current = None if onto is None else await self.get_target(key)
            if onto is None or current is None or not _may_follow(current, onto, manifest):
                raise
        # The same Secret was changed since: by another writer, or by this very request, whose response was lost.
        return await self._apply(key, manifest, current)

    async def _apply(self, key: ObjectKey, manifest: Mapping[str, Any], onto: Observed | None) -> Observed:
        """Apply a manifest, and compare the response with it; nothing of the data in the response is kept."""
        stored = await self._connection.send(wire.apply_secret(key, manifest, onto=onto))
        return replace(_observed(stored), altered=altered_fields(manifest, stored))

    async def check_creation(self, key: ObjectKey, manifest: Mapping[str, Any]) -> None:
        """Check, without storing anything, that a Secret could be created if there were none of its name.

        It is validated, and admitted by all policies, webhooks and quotas.

        Raises:
            SyncError: As `apply_target`.
            ObjectGone: The namespace is being deleted.
        """
        with suppress(AlreadyExists):
            await self._connection.send(wire.check_creation(key, manifest))

    async def announce_replacement(self, key: ObjectKey, *, observed: Observed) -> Observed:
        """Annotate the Secret as it was observed. This proves that the API server stores writes of Secrets.

        Returns:
            The metadata of the Secret after the write.

        Raises:
            SyncError: ClusterUnavailable.
            Conflict: The Secret was changed, replaced or deleted since it was observed; nothing is written.
        """
        request = wire.announce_replacement(key, uid=observed.uid, resource_version=observed.resource_version)
        return _observed(await self._connection.send(request))

    async def delete_target(self, key: ObjectKey, *, observed: Observed) -> None:
        """Delete the Secret if its uid and resource version are those observed; one that is gone is not an error.

        Raises:
            SyncError: ClusterUnavailable.
            Conflict: The Secret was changed or replaced since it was observed; nothing is deleted.
        """
        request = wire.delete_secret(key, uid=observed.uid, resource_version=observed.resource_version)
        try:
            await self._connection.send(request)
        except Conflict:
            if await self.get_target(key) is not None:
                raise

    async def remove_keys(self, key: ObjectKey, names: Iterable[str], *, observed: Observed) -> Observed:
        """Remove keys of the Secret's data, whatever their owners, if its resource version is the one observed.

        Returns:
            The metadata of the Secret after the write.

        Raises:
            SyncError: ClusterUnavailable.
            Conflict: The Secret was changed, replaced or deleted since it was observed; nothing is removed.
        """
        request = wire.remove_keys(key, names, resource_version=observed.resource_version)
        return _observed(await self._connection.send(request))

    async def remove_owners(self, key: ObjectKey, *, observed: Observed) -> Observed:
        """Remove all owner references from the Secret as it was observed, and the mark of a released one.

        Returns:
            The metadata of the Secret after the write.

        Raises:
            SyncError: ClusterUnavailable.
            Conflict: The Secret was changed, replaced or deleted since it was observed; nothing is removed.
        """
        request = wire.remove_owners(key, uid=observed.uid, resource_version=observed.resource_version)
        return _observed(await self._connection.send(request))

    async def remove_annotations(self, key: ObjectKey, names: Iterable[str], *, observed: Observed) -> Observed:
        """Remove annotations from the Secret as it was observed, whatever their managers.

        Returns:
            The metadata of the Secret after the write.

        Raises:
            SyncError: ClusterUnavailable.
            Conflict: The Secret was changed, replaced or deleted since it was observed; nothing is removed.
        """
        request = wire.remove_annotations(key, names, uid=observed.uid, resource_version=observed.resource_version)
        return _observed(await self._connection.send(request))

    async def orphan_target(self, key: ObjectKey, *, observed: Observed | Unclaimed, retained_by: str) -> None:
        """Remove vaultsync's labels and annotation from the Secret as it was observed; its data and all else stays.

        Args:
            key: The Secret.
            observed: The Secret as it was observed.
            retained_by: The uid of the VaultSecret that may take it up again. An owner reference to it is removed.

        Raises:
            SyncError: ClusterUnavailable.
            Conflict: The Secret was changed, replaced or deleted since it was observed; nothing is removed.
        """
        request = wire.orphan_secret(
            key,
            uid=observed.uid,
            resource_version=observed.resource_version,
            retained_by=retained_by,
            owners=_references(observed, retained_by),
        )
        await self._connection.send(request)

    async def ensure_current(self, vault_secret: VaultSecretMeta) -> None:
        """Check that the VaultSecret exists with that uid and generation, and is not being deleted.

        Raises:
            SyncError: ClusterUnavailable.
            ObjectGone: It is gone, replaced, or being deleted.
            ObjectChanged: Its spec has changed; the watch delivers the change.
        """
        key, expected = vault_secret.key, vault_secret.metadata
        with suppress(Conflict):
            metadata = (await self._connection.send(wire.get_vaultsecret(key)))["metadata"]
            if metadata["uid"] == expected.uid and "deletionTimestamp" not in metadata:
                if metadata["generation"] != expected.generation:
                    raise ObjectChanged(Reason.CLUSTER_UNAVAILABLE, f"The spec of VaultSecret {key} has changed.")
                return
        raise ObjectGone(Reason.CLUSTER_UNAVAILABLE, f"VaultSecret {key} is gone, or being deleted.")

    async def patch_status(self, vault_secret: VaultSecretMeta, status: Mapping[str, Any]) -> ObjectMeta | None:
        """Replace the status of the VaultSecret with that uid.

        Returns:
            The VaultSecret's metadata after the write. None if it is gone, or was written to at the same time;
            `ensure_current` distinguishes the two.

        Raises:
            SyncError: ClusterUnavailable.
        """
        try:
            with _fitting(KIND):
                written = await self._connection.send(wire.patch_status(vault_secret, status))
        except Conflict:
            return None
        return ObjectMeta.parse(with_labels(written["metadata"], vault_secret.label_keys))

    async def patch_grant_status(self, grant: GrantMeta, status: Mapping[str, Any]) -> None:
        """Replace the status of the VaultGrant with that uid. One that is gone, or another one, is not changed.

        Raises:
            SyncError: ClusterUnavailable.
        """
        with suppress(Conflict), _fitting(GRANT_KIND):
            await self._connection.send(wire.patch_grant_status(grant, status))

    async def create_event(self, key: ObjectKey, event: Event, *, event_id: str, uid: str, at: datetime) -> None:
        """Create an event about the VaultSecret of that uid, unless an earlier attempt has, or its namespace is gone.

        Args:
            key: The VaultSecret.
            event: The event; a long message is cut.
            event_id: Distinguishes events; it is the same for each attempt.
            uid: The uid of the VaultSecret.
            at: When it happened.

        Raises:
            SyncError: It was not created, or it is not known whether it was.
        """
        with suppress(AlreadyExists, ObjectGone):
            await self._connection.send(wire.create_event(key, event, event_id=event_id, uid=uid, at=at))

    async def check_installed(self, namespace: str | None) -> None:
        """Check that the cluster has VaultSecrets and that they may be listed, in one namespace or in all.

        Raises:
            NotInstalled: The CustomResourceDefinition is not installed.
            SyncError: ClusterUnavailable.
        """
        with _installed():
            await self._connection.send(wire.list_vaultsecrets(namespace, None, 1))

    async def list_vaultsecrets(self, namespace: str | None) -> ListSnapshot:
        """List the metadata of VaultSecrets in one namespace or in all, page by page, at one resource version.

        Returns:
            Their keys, versions and uids, those that are being deleted included.

        Raises:
            NotInstalled: The CustomResourceDefinition is not installed any more.
            SyncError: ClusterUnavailable.
            ResourceExpired: The server dropped that resource version before the last page.
        """
        with _installed():
            listed, resource_version = await self._list(partial(wire.list_vaultsecrets, namespace), _identity)
        return ListSnapshot(
            versions={key: version for key, _, version, _ in listed},
            uids=frozenset(uid for _, uid, _, _ in listed),
            resource_version=resource_version,
            terminating=frozenset(key for key, _, _, is_terminating in listed if is_terminating),
        )

    async def current_versions(self, namespace: str | None) -> CurrentVersions:
        """Get the current resource versions, by two lists of at most one object: they are those of the storage itself.

        https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-get-and-list

        Raises:
            NotInstalled: The CustomResourceDefinition is not installed any more.
            SyncError: ClusterUnavailable.
        """
        targets = await self._connection.send(wire.list_no_secrets(namespace))
        with _installed():
            vaultsecrets = await self._connection.send(wire.list_vaultsecrets(namespace, None, 1))
        return CurrentVersions(
            targets=targets["metadata"]["resourceVersion"],
            vaultsecrets=vaultsecrets["metadata"]["resourceVersion"],
        )

    async def find_vaultsecret(self, namespace: str, *, uid: str) -> VaultSecretMeta | None:
        """Find a VaultSecret by its uid.

        Returns:
            Its metadata, or None if there is no such VaultSecret in the namespace.

        Raises:
            SyncError: ClusterUnavailable.
        """

        def matching(item: Mapping[str, Any]) -> VaultSecretMeta | None:
            return VaultSecretMeta.parse(item) if item["metadata"]["uid"] == uid else None

        found, _ = await self._list(partial(wire.list_vaultsecrets, namespace), matching)
        return next(filter(None, found), None)

    async def list_targets(
        self, namespace: str | None, keep: Callable[[ObjectKey, Observed], Kept]
    ) -> TargetList[Kept]:
        """List the Secrets with vaultsync's label in one namespace or in all, page by page, at one resource version.

        Args:
            namespace: The namespace; None for all.
            keep: Returns what is kept of a Secret: only that of all Secrets is in memory at the same time.

        Raises:
            SyncError: ClusterUnavailable.
            ResourceExpired: The server dropped that resource version before the last page.
        """

        def read(item: Mapping[str, Any]) -> tuple[ObjectKey, Kept]:
            key = wire.key_of(item["metadata"])
            return key, keep(key, observed_from(item["metadata"]))

        targets, resource_version = await self._list(partial(wire.list_secrets, namespace), read)
        return TargetList(dict(targets), resource_version)

    async def watch_targets(
        self, namespace: str | None, resource_version: str, on_open: Callable[[], None] = lambda: None
    ) -> AsyncGenerator[TargetEvent, None]:
        """Watch the Secrets with vaultsync's label from a resource version on; the server ends it after a while.

        `on_open` is called once the API server has accepted the watch, before anything changes.

        Raises:
            SyncError: ClusterUnavailable when the connection breaks.
            ResourceExpired: That resource version is too old: list again.
        """
        request = wire.watch_secrets(namespace, resource_version)
        async with aclosing(self._connection.documents(request, on_open)) as documents:
            async for document in documents:
                yield wire.target_event(document)

    async def list_cluster(self, kind: ClusterKind, name: str | None = None) -> ClusterList:
        """List the objects of a kind, or the one of that name, page by page, at one resource version.

        Raises:
            NotInstalled: The CustomResourceDefinition is not installed.
            SyncError: ClusterUnavailable.
            ResourceExpired: The server dropped that resource version before the last page.
        """
        with _installed(_KINDS[kind]):
            objects, resource_version = await self._list(partial(wire.list_cluster, kind, name), _named)
        return ClusterList(dict(objects), resource_version)

    async def watch_cluster(
        self, kind: ClusterKind, name: str | None, resource_version: str
    ) -> AsyncGenerator[ClusterEvent, None]:
        """Watch the objects of a kind, or the one of that name; the server ends it after a while.

        Raises:
            SyncError: ClusterUnavailable when the connection breaks.
            ResourceExpired: That resource version is too old: list again.
        """
        request = wire.watch_cluster(kind, name, resource_version)
        async with aclosing(self._connection.documents(request)) as documents:
            async for document in documents:
                yield wire.cluster_event(document)

    async def get_workload(self, kind: WorkloadKind, key: ObjectKey) -> Workload | None:
        """Get a workload's metadata.

        Returns:
            What a restart needs to know of it, or None if there is no such workload.

        Raises:
            SyncError: ClusterUnavailable, also when the permission is missing, which the chart grants on request.
        """
        with suppress(Conflict), _granted_by_chart():
            document = await self._connection.send(workloads.get_workload(kind, key))
            return workloads.workload_from(document["metadata"])
        return None

    async def restart_workload(self, kind: WorkloadKind, key: ObjectKey, workload: Workload, *, at: datetime) -> bool:
        """Change the pod template, so that the workload's controller replaces its pods by its own strategy.

        Args:
            kind: The kind of workload.
            key: The workload.
            workload: The workload as `get_workload` returned it. If it has changed since, nothing is written: of
                several VaultSecrets that restart it at the same time, exactly one does.
            at: The time that is written into the annotation, with a resolution of a second.

        Returns:
            Whether it was restarted.

        Raises:
            SyncError: ClusterUnavailable, also when the permission is missing; TargetInvalid when an admission policy
                denies it.
        """
        try:
            with _granted_by_chart():
                await self._connection.send(workloads.restart_workload(kind, key, workload, at=at))
        except Conflict:
            return False
        return True

    async def _list(
        self, page: Callable[[str | None, int], wire.Request], read: Callable[[Mapping[str, Any]], Item]
    ) -> tuple[list[Item], str]:
        """List page by page; return what `read` returns for each item, and the resource version of the list."""
        return await list_all(self._connection, page, read)


@contextmanager
def _installed(kind: str = KIND) -> Iterator[None]:
    try:
        yield
    except Conflict:
        raise NotInstalled(
            f"The CustomResourceDefinition of {kind}s is not installed: run `kubectl apply -f crds/` "
            "or `vaultsync crds | kubectl apply -f -`."
        ) from None


@contextmanager
def _fitting(kind: str) -> Iterator[None]:
    """Say what to do if a status does not fit its schema: the operator always writes all that its own one requires."""
    try:
        yield
    except InvalidFields as error:
        raise SyncError(
            Reason.CLUSTER_UNAVAILABLE,
            f"{error.message} The CustomResourceDefinition of {kind}s is of another version than this operator "
            f"({__version__}): upgrade it with the chart (crds.enabled), or apply the folder crds/ of this version.",
        ) from None


@contextmanager
def _granted_by_chart() -> Iterator[None]:
    """Name the chart's value that grants a permission which the chart grants only on request."""
    try:
        yield
    except Forbidden as error:
        hint = "set rbac.restartWorkloads in the chart's values"
        raise SyncError(error.reason, f"{error.message.removesuffix('.')}; {hint}.") from None


def _references(observed: Observed | Unclaimed, uid: str) -> list[str]:
    """Return the uids of the Secret's owner references to a VaultSecret; one that is released by a resync has none."""
    owners = observed.owners if isinstance(observed, Observed) else ()
    return [owner.uid for owner in owners if owner.uid == uid]


def _may_follow(current: Observed, onto: Observed, manifest: Mapping[str, Any]) -> bool:
    """Return whether a Secret as it is now is the one that was observed, with nothing applied since but the manifest.

    The annotation of each apply has the versions that it wrote. Whom it may be taken over by, and whose it is, must be
    as it was when that was decided.
    """
    written = annotation_hash(manifest["metadata"].get("annotations", {}).get(APPLIED_ANNOTATION))
    if current.uid != onto.uid:
        return False
    is_same = (current.adopt_by, current.owners) == (onto.adopt_by, onto.owners)
    return (
        current.applied_hash == onto.applied_hash and is_same
    ) or current.applied_hash == written != onto.applied_hash


def _observed(document: Mapping[str, Any]) -> Observed:
    return observed_from(document["metadata"])


def _named(item: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    return item["metadata"]["name"], item


def _identity(item: Mapping[str, Any]) -> tuple[ObjectKey, str, str, bool]:
    """Key, uid, resource version, and whether it is being deleted."""
    metadata = item["metadata"]
    return wire.key_of(metadata), metadata["uid"], metadata["resourceVersion"], "deletionTimestamp" in metadata
