"""The informer of VaultGrants, and of the labels of namespaces; decides nothing.

What cannot be listed or watched stays as it was observed last: a failure is never evidence that a grant was revoked.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from vaultsync.adapters.kube import Forbidden, NotInstalled
from vaultsync.api.grants import VaultGrant
from vaultsync.api.model import InvalidSpec
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.controller.queue import is_cancelled
from vaultsync.errors import SyncError, error_fields
from vaultsync.interfaces import KubeApi
from vaultsync.policy.grants import is_for
from vaultsync.policy.requeue import Jitter, watch_backoff
from vaultsync.sources.denials import Denials
from vaultsync.sources.targets import MIN_WATCH
from vaultsync.sources.vaultsecrets import VaultSecretSource
from vaultsync.state.grants import GrantView, grant_from, labels_from
from vaultsync.state.snapshots import ClusterEvent, ClusterKind, ClusterList
from vaultsync.state.stores import State

logger = logging.getLogger(__name__)

_Value = TypeVar("_Value")

RELIST_AFTER = 600.0
"""Seconds after which everything is listed again: it bounds how long a change that the watch missed goes unnoticed."""


class GrantInformer:
    """Keeps the grants and the labels of namespaces up to date while it runs.

    `has_synced` is set once the grants were listed, and the namespaces as well, but for those that are denied.
    """

    def __init__(
        self,
        kube: KubeApi,
        state: State,
        source: VaultSecretSource,
        *,
        namespaces: Sequence[str],
        jitter: Jitter,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """If `namespaces` is empty, the labels of all are watched."""
        self._kube = kube
        self._state = state
        self._source = source
        self._jitter = jitter
        self._clock = clock
        self._sleep = sleep
        self.denials = {kind: Denials(kind.value) for kind in ClusterKind}
        names: Sequence[str | None] = namespaces or (None,)
        self._pending = {(ClusterKind.GRANTS, None), *((ClusterKind.NAMESPACES, name) for name in names)}
        self._scopes = tuple(self._pending)
        self.has_synced = asyncio.Event()

    async def check_installed(self) -> None:
        """Check that the cluster has VaultGrants; what prevents the check is retried and reported by `run`.

        Raises:
            NotInstalled: The cluster lacks the CustomResourceDefinition.
        """
        with suppress(SyncError):
            await self._kube.list_cluster(ClusterKind.GRANTS)

    async def run(self) -> None:
        """List and watch until cancelled; failures are retried."""
        async with asyncio.TaskGroup() as tasks:
            for kind, name in self._scopes:
                tasks.create_task(self._follow(kind, name), name=f"watch of {kind} {name or ''}".strip())

    async def _follow(self, kind: ClusterKind, name: str | None) -> None:
        failures = 0
        while True:
            detail, begun = "nothing was received", self._clock()
            try:
                async for _ in self._observe(kind, name):
                    failures = 0
                if self._clock() - begun > MIN_WATCH:
                    continue
            except Forbidden:
                self.denials[kind].add(name)
                if kind is ClusterKind.NAMESPACES:
                    # Without its labels, no selector matches the namespace; names do.
                    self._sync(kind, name)
                detail = "denied"
            except (NotInstalled, SyncError) as error:
                detail = str(error)
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and is_cancelled():
                    raise
                # A task group ignores a task that is cancelled by itself.
                logger.error("grant watch error", extra={"kind": kind.value, **error_fields(error)})  # noqa: TRY400  without its text
                detail = type(error).__name__
            failures += 1
            logger.warning("grant watch interrupted", extra={"kind": kind.value, "object": name, "detail": detail})
            await self._sleep(watch_backoff(failures, jitter=self._jitter))

    async def _observe(self, kind: ClusterKind, name: str | None) -> AsyncIterator[None]:
        """List, and watch from there on until it is time to list again; yields after each response."""
        begun = self._clock()
        listed = await self._kube.list_cluster(kind, name)
        self.denials[kind].remove(name)
        await self._handle_list(kind, name, listed)
        self._sync(kind, name)
        yield
        position = listed.resource_version
        while self._clock() - begun < RELIST_AFTER:
            started = self._clock()
            async with aclosing(self._kube.watch_cluster(kind, name, position)) as events:
                async for event in events:
                    position = event.resource_version
                    await self._handle_event(kind, event)
                    yield
            if self._clock() - started < MIN_WATCH:
                return

    def _sync(self, kind: ClusterKind, name: str | None) -> None:
        self._pending.discard((kind, name))
        if not self._pending:
            self.has_synced.set()

    async def _handle_list(self, kind: ClusterKind, name: str | None, listed: ClusterList) -> None:
        view = self._state.grants.view
        if kind is ClusterKind.NAMESPACES:
            known = {} if name is None else {one: labels for one, labels in view.labels.items() if one != name}
            labels = {one: labels_from(body) for one, body in listed.objects.items()}
            await self._source.handle_grants(GrantView(view.grants, {**known, **labels}))
            return
        read = {one: _read_grant(body) for one, body in listed.objects.items()}
        grants = {one: grant for one, grant in read.items() if grant is not None}
        await self._source.handle_grants(GrantView(grants, view.labels))

    async def _handle_event(self, kind: ClusterKind, event: ClusterEvent) -> None:
        if event.name is None:
            return
        if kind is ClusterKind.GRANTS:
            await self._handle_grant(event.name, None if event.body is None else _read_grant(event.body))
        else:
            await self._handle_namespace(event.name, None if event.body is None else labels_from(event.body))

    async def _handle_grant(self, name: str, grant: VaultGrant | None) -> None:
        view = self._state.grants.view
        before, after = view.grants.get(name), GrantView(_with(view.grants, name, grant), view.labels)
        if before is not None and grant is not None and before.spec == grant.spec:
            self._state.grants.view = after  # only its status has changed
            return
        changed = [one for one in (before, grant) if one is not None]

        def affects(one: VaultSecret) -> bool:
            return any(is_for(grant, one.key.namespace, one.spec.vault_url, after) for grant in changed)

        await self._source.handle_grants(after, affects=affects)

    async def _handle_namespace(self, name: str, labels: Mapping[str, str] | None) -> None:
        view = self._state.grants.view
        if labels != view.labels.get(name):
            after = GrantView(view.grants, _with(view.labels, name, labels))
            await self._source.handle_grants(after, affects=lambda one: one.key.namespace == name)


def _with(known: Mapping[str, _Value], name: str, value: _Value | None) -> dict[str, _Value]:
    others = {one: each for one, each in known.items() if one != name}
    return others if value is None else {**others, name: value}


def _read_grant(body: Mapping[str, Any]) -> VaultGrant | None:
    """Read a grant; one that is being deleted, or that this version does not accept, allows nothing."""
    try:
        return grant_from(body)
    except InvalidSpec as error:
        fields = {"vaultgrant": body["metadata"]["name"], "detail": str(error)}
        logger.error("VaultGrant not accepted", extra=fields)  # noqa: TRY400  the text is ours
        return None
