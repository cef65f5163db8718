"""What vaultsync asks of the Kubernetes API: look at targets, write them, tell how a VaultSecret fares."""

import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Literal, Self, TypeVar

from vaultsync import __version__
from vaultsync.adapters.kube import requests as wire
from vaultsync.adapters.kube.connection import Access, Answer, Connection, configuration_from
from vaultsync.adapters.kube.errors import Conflict
from vaultsync.adapters.kube.token_reviews import Reviews
from vaultsync.adapters.kube.workloads import Workloads
from vaultsync.api import FIELD_MANAGER, ObjectKey
from vaultsync.api.v1alpha1 import VaultSecretMeta
from vaultsync.errors import NotYet, ObjectGone, Reason, SyncError
from vaultsync.state.observed import Observed, observed_from
from vaultsync.state.snapshots import ListSnapshot, TargetEvent, TargetList

logger = logging.getLogger(__name__)

_Item = TypeVar("_Item")


class NotInstalled(Exception):
    """The cluster does not know our CustomResourceDefinitions; the text says how to install them."""


class KubeApi:
    """The Kubernetes API; every failure is a `SyncError` that holds no value. Calls may overlap as they like."""

    def __init__(self, connection: Connection, *, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now

    @classmethod
    async def connect(cls, environ: Mapping[str, str], *, now: Callable[[], datetime], connections: int = 32) -> Self:
        """Find the cluster; nothing is sent yet.

        Args:
            environ: `KUBECONFIG` decides if it is set, otherwise what Kubernetes gives to a pod.
            now: The clock that dates events.
            connections: How many requests may be under way at once; watches come on top.

        Raises:
            NoCluster: Nothing tells where the API is.
        """
        configuration = await configuration_from(environ)
        return cls(Connection(configuration, user_agent=f"vaultsync/{__version__}", connections=connections), now=now)

    async def access(self) -> Access:
        """Tell how to get to the same API as the same user. Raises `SyncError` if the token cannot be read."""
        return await self._connection.access()

    @property
    def reviews(self) -> Reviews:
        """Who knows people and their rights."""
        return Reviews(self._connection)

    @property
    def workloads(self) -> Workloads:
        """What runs pods."""
        return Workloads(self._connection)

    async def aclose(self) -> None:
        """Drop all connections."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def observe(self, key: ObjectKey) -> Observed | None:
        """Look at a Secret's metadata; None if there is no such Secret."""
        try:
            return _observed(await self._connection.send(wire.look(key)))
        except Conflict:
            return None

    async def apply(self, key: ObjectKey, manifest: Mapping[str, Any], *, onto: Observed | None) -> Observed:
        """Make the Secret hold what the manifest says, by server-side apply; what others own beside it stays.

        Args:
            key: Where.
            manifest: All that we want to own of it; what we owned before and don't name any more goes.
            onto: The Secret as it was seen. Its fields are taken over by force, whoever owns them, but only of that
                very object, never of one that somebody else has made since. None makes a new Secret; should one have
                appeared meanwhile, it is left, or put back, as it was.

        Raises:
            SyncError: TargetConflict when a new Secret met another, TargetInvalid, TargetTooLarge, ClusterUnavailable.
            GoingAway: The namespace is being deleted.
        """
        answer = await self._connection.send(wire.apply(key, manifest, onto=None if onto is None else onto.uid))
        observed = _observed(answer)
        if onto is not None or answer.status == HTTPStatus.CREATED:
            return observed
        # It was there already: apply cannot say "only if absent", and merges with a stranger's other keys in silence.
        # If nobody else ever wrote to it, it is ours, made by a request whose answer got lost.
        foreign = [manager for manager in observed.managers if manager != FIELD_MANAGER]
        if not foreign:
            return observed
        await self.withdraw(key, onto=observed)
        raise SyncError(Reason.TARGET_CONFLICT, f"Secret {key} belongs to somebody else: {', '.join(foreign)} made it.")

    async def withdraw(self, key: ObjectKey, *, onto: Observed) -> None:
        """Give up all that we own of that very Secret; what others own too stays. Fine if it is gone.

        Raises:
            SyncError: ClusterUnavailable.
        """
        with suppress(Conflict):
            await self._connection.send(wire.give_up(key, uid=onto.uid))

    async def discard(self, key: ObjectKey, *, observed: Observed) -> None:
        """Delete that very Secret, as it was observed; fine if it is gone.

        Raises:
            SyncError: ClusterUnavailable; of the kind OutOfDate if somebody has changed or replaced it since.
        """
        try:
            await self._connection.send(wire.discard(key, uid=observed.uid, resource_version=observed.resource_version))
        except Conflict:
            if await self.observe(key) is not None:
                raise

    async def drop_keys(self, key: ObjectKey, names: Iterable[str], *, observed: Observed) -> Observed:
        """Remove keys of the Secret's data, whoever owns them, provided that it is still as observed.

        Raises:
            SyncError: ClusterUnavailable; of the kind OutOfDate if it has changed meanwhile, and nothing was removed.
        """
        request = wire.drop(key, names, resource_version=observed.resource_version)
        return _observed(await self._connection.send(request))

    async def release(self, key: ObjectKey, *, observed: Observed) -> None:
        """Take our labels and annotation off that very Secret, as it was observed; its content and all else stays.

        Raises:
            SyncError: ClusterUnavailable; of the kind OutOfDate if it is gone, or was changed or replaced since.
        """
        await self._connection.send(wire.release(key, uid=observed.uid, resource_version=observed.resource_version))

    async def ensure_current(self, vault_secret: VaultSecretMeta) -> None:
        """Make sure that this very VaultSecret is still there, there to stay, and asks for the same.

        Raises:
            SyncError: ClusterUnavailable.
            GoingAway: It is gone, or being deleted.
            NotYet: Its spec has changed; the watch will tell of it in a moment.
        """
        with suppress(Conflict):
            metadata = (await self._connection.send(wire.look_at_vault_secret(vault_secret.key))).document["metadata"]
            if metadata["uid"] == vault_secret.metadata.uid and "deletionTimestamp" not in metadata:
                if metadata["generation"] != vault_secret.metadata.generation:
                    raise NotYet(Reason.CLUSTER_UNAVAILABLE, f"VaultSecret {vault_secret.key} has just been changed.")
                return
        raise ObjectGone(Reason.CLUSTER_UNAVAILABLE, f"VaultSecret {vault_secret.key} is gone, or being deleted.")

    async def write_status(self, vault_secret: VaultSecretMeta, status: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Write the status of that very VaultSecret, and return the whole object.

        None means that it is gone meanwhile, or was changed in the same moment; `confirm` tells.

        Raises:
            SyncError: ClusterUnavailable.
        """
        try:
            return (await self._connection.send(wire.status(vault_secret, status))).document
        except Conflict:
            return None

    async def post_event(
        self, vault_secret: VaultSecretMeta, *, kind: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        """Tell people, so that `kubectl describe` shows it; a long message is cut. Failure is logged, never raised."""
        request = wire.event(vault_secret, kind=kind, reason=reason, message=message, now=self._now())
        try:
            await self._connection.send(request)
        except ObjectGone:
            return
        except SyncError as error:
            logger.warning("event not posted", extra={"vaultsecret": str(vault_secret.key), "detail": error.message})

    async def check_installed(self, namespace: str | None) -> None:
        """Make sure that VaultSecrets are known and may be listed, in one namespace or in all.

        Raises:
            NotInstalled: The cluster knows no VaultSecrets.
            SyncError: ClusterUnavailable.
        """
        with _known_kind():
            await self._connection.send(wire.vault_secrets(namespace, None, limit=1))

    async def list_vault_secrets(self, namespace: str | None) -> ListSnapshot:
        """Say which VaultSecrets there are, in one namespace or in all: page by page, but as of one moment.

        Raises:
            NotInstalled: The cluster knows no VaultSecrets any more.
            SyncError: ClusterUnavailable; of the kind HistoryExpired if the server forgets that moment meanwhile.
        """
        with _known_kind():
            listed, moment = await self._all(partial(wire.vault_secrets, namespace), _identity)
        terminating = frozenset(key for key, _, leaves in listed if leaves)
        return ListSnapshot(
            frozenset(key for key, *_ in listed), frozenset(uid for _, uid, _ in listed), moment, terminating
        )

    async def find_vault_secret(self, namespace: str, *, uid: str) -> VaultSecretMeta | None:
        """Look for a VaultSecret by its uid; None if there is none.

        Raises:
            SyncError: ClusterUnavailable.
        """

        def wanted(item: Mapping[str, Any]) -> VaultSecretMeta | None:
            return VaultSecretMeta.parse(item) if item["metadata"]["uid"] == uid else None

        found, _ = await self._all(partial(wire.vault_secrets, namespace), wanted)
        return next(filter(None, found), None)

    async def list_targets(self, namespace: str | None) -> TargetList:
        """List what carries our label, in one namespace or in all: page by page, but as of one moment.

        Raises:
            SyncError: ClusterUnavailable; of the kind HistoryExpired if the server forgets that moment meanwhile.
        """
        targets, moment = await self._all(partial(wire.page, namespace), _target)
        return TargetList(dict(targets), moment)

    async def watch_targets(self, namespace: str | None, resource_version: str) -> AsyncGenerator[TargetEvent, None]:
        """Follow what happens to what carries our label, from a moment on, until the server ends it after minutes.

        Raises:
            SyncError: ClusterUnavailable when the connection breaks; of the kind HistoryExpired when that moment is
                too long ago.
        """
        async with aclosing(self._connection.documents(wire.watch(namespace, resource_version))) as documents:
            async for document in documents:
                yield wire.target_event(document)

    async def _all(
        self, page: Callable[[str | None], wire.Request], read: Callable[[Mapping[str, Any]], _Item]
    ) -> tuple[list[_Item], str]:
        """List page by page, keeping of each item what is read of it; gives that and the moment of the list."""
        items: list[_Item] = []
        position: str | None = None
        while True:
            document = (await self._connection.send(page(position))).document
            items += map(read, document["items"] or ())  # an empty list comes as null
            position = document["metadata"].get("continue")
            if not position:
                return items, document["metadata"]["resourceVersion"]


@contextmanager
def _known_kind() -> Iterator[None]:
    try:
        yield
    except Conflict:
        raise NotInstalled(
            "The cluster knows no VaultSecrets: install their CustomResourceDefinition with `kubectl apply -f crds/` "
            "or `vaultsync crds | kubectl apply -f -`."
        ) from None


def _observed(answer: Answer) -> Observed:
    return observed_from(answer.document["metadata"])


def _identity(item: Mapping[str, Any]) -> tuple[ObjectKey, str, bool]:
    """Key, uid, and whether it is being deleted."""
    metadata = item["metadata"]
    return wire.key_of(metadata), metadata["uid"], "deletionTimestamp" in metadata


def _target(item: Mapping[str, Any]) -> tuple[ObjectKey, Observed]:
    return wire.key_of(item["metadata"]), observed_from(item["metadata"])
