"""The kopf edge: events of VaultSecrets become entries of the inventory and keys in the queue; nothing clever here.

Only `on.event` is used, on a registry of our own: kopf's other handlers write annotations or finalizers to the objects.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import kopf

from vaultsync.adapters.kube import Access
from vaultsync.api import GROUP, PLURAL, REFRESH_ANNOTATION, RELEASE_ANNOTATION, VERSION, ObjectKey
from vaultsync.api.moments import is_newer
from vaultsync.api.v1alpha1 import InvalidSpec, OnDelete, VaultSecret, VaultSecretMeta
from vaultsync.controller.queue import Priority, WorkQueue
from vaultsync.sources.pollers import Polls
from vaultsync.state.vaultsecrets import VaultSecretCache


@dataclass(frozen=True, slots=True)
class VaultSecretEvents:
    """Takes in what the watch of VaultSecrets says.

    `refuse` tells people that one cannot be read, and why; `doubt` is called when deletions may have been missed, or
    have left a target behind.
    """

    vaultsecrets: VaultSecretCache
    queue: WorkQueue
    polls: Polls
    refuse: Callable[[VaultSecretMeta, str], Awaitable[None]]
    doubt: Callable[[], None]

    async def listed(self, body: Mapping[str, Any]) -> None:
        """Take in what a listing says: one that brings what is known already means that the watch had to begin anew."""
        if self.vaultsecrets.get(key_of(body)) is not None:
            self.doubt()
        await self.changed(body)

    async def changed(self, body: Mapping[str, Any]) -> None:
        """Remember a VaultSecret, and let it be reconciled if more than its status has changed."""
        key = key_of(body)
        if "deletionTimestamp" in body["metadata"]:
            # It waits for its dependents, or for somebody's finalizer: a target that is deleted now must stay away.
            self.gone(key, body["metadata"]["uid"])
            return
        known = self.vaultsecrets.get(key)
        if known is not None and not _is_newer(body, known):
            return
        try:
            vault_secret = VaultSecret.parse(body)
        except InvalidSpec as error:
            # The schema refuses such objects; one that comes all the same was let through by another version of it.
            self.gone(key, body["metadata"]["uid"])
            self.vaultsecrets.refuse(key)
            await self.refuse(VaultSecretMeta.parse(body), str(error))
            return
        self.vaultsecrets.put(vault_secret)
        if known is not None and _asks_the_same(known, vault_secret):
            return
        self._adapt(known, vault_secret)
        self.queue.add(key, _priority(known, vault_secret))

    def deleted(self, body: Mapping[str, Any]) -> None:
        """Forget a VaultSecret that is no more; who counts the others finds the target that it may leave behind.

        Its last word is asked, since one that was being deleted, or could not be read, was forgotten before.
        """
        self.gone(key_of(body), body["metadata"]["uid"])
        if body.get("spec", {}).get("onDelete") == OnDelete.RETAIN:
            self.doubt()

    def gone(self, key: ObjectKey, uid: str) -> None:
        """Forget a VaultSecret, but not the one that was made in its place; who wants the same target gets their turn.

        kopf keeps the order of one object's events, not that between an object and its successor of the same name.
        """
        known = self.vaultsecrets.get(key)
        if known is None or known.metadata.uid != uid:
            return
        self.vaultsecrets.drop(key)
        self.queue.forget(key)
        self._adapt(known, None)

    def _adapt(self, before: VaultSecret | None, after: VaultSecret | None) -> None:
        self.polls.adapt()
        if after is not None:
            self.polls.hurry(after.spec.vault_url)
        if before is None or (after is not None and before.target_key == after.target_key):
            return
        for target in {one.target_key for one in (before, after) if one is not None}:
            for claimant in self.vaultsecrets.keys_for_target(target):
                self.queue.add(claimant, Priority.URGENT)


def _asks_the_same(before: VaultSecret, after: VaultSecret) -> bool:
    return _asked(before) == _asked(after)


def _asked(vault_secret: VaultSecret) -> tuple[object, ...]:
    """What of it counts: annotations are no part of the spec that the generation counts."""
    metadata = vault_secret.metadata
    annotations = (metadata.annotations.get(name) for name in (REFRESH_ANNOTATION, RELEASE_ANNOTATION))
    return metadata.uid, metadata.generation, *annotations


def _priority(before: VaultSecret | None, after: VaultSecret) -> Priority:
    """Let those stand back that were served before a restart: most are in place, and somebody may be waiting."""
    served = before is None and after.status.observed_generation == after.metadata.generation
    return Priority.ROUTINE if served else Priority.URGENT


def _is_newer(body: Mapping[str, Any], known: VaultSecret) -> bool:
    """Tell whether the watch says something new: it brings back our own writes, and what they have overtaken."""
    return is_newer(body["metadata"]["resourceVersion"], known.metadata.resource_version)


def key_of(body: Mapping[str, Any]) -> ObjectKey:
    """The key of any namespaced object."""
    return ObjectKey(body["metadata"]["namespace"], body["metadata"]["name"])


def connection_info(access: Access) -> kopf.ConnectionInfo:
    """Put it in kopf's words."""
    return kopf.ConnectionInfo(
        server=access.server,
        insecure=not access.verify,
        ca_path=access.ca_file,
        certificate_path=access.certificate_file,
        private_key_path=access.key_file,
        scheme="Bearer",
        token=access.token,
        proxy_url=access.proxy,
    )


def register(
    registry: kopf.OperatorRegistry,
    events: VaultSecretEvents,
    *,
    access: Callable[[], Awaitable[Access]],
    start: Callable[[], Awaitable[None]],
    stop: Callable[[], Awaitable[None]],
) -> None:
    """Hang our handlers into kopf.

    Args:
        registry: Where to hang them.
        events: Takes in what the watch says.
        access: How to get to the cluster, asked again when the login has run out. kopf's own search could find another
            cluster than ours.
        start: Awaited before the watch begins.
        stop: Awaited after it has ended.
    """

    @kopf.on.startup(registry=registry)
    async def begin(settings: kopf.OperatorSettings, **_: object) -> None:
        settings.posting.enabled = False
        settings.scanning.disabled = True
        settings.networking.request_timeout = 60.0
        # The objects of a chunk are taken in without a break: this bounds how long, and the memory that they take.
        settings.watching.chunk_size = 500
        # Seconds for which kopf keeps a task for an object that it has heard of: thousands of tasks are much memory.
        settings.queueing.idle_timeout = 1.0
        await start()

    @kopf.on.cleanup(registry=registry)
    async def end(**_: object) -> None:
        await stop()

    @kopf.on.login(registry=registry)
    async def login(**_: object) -> kopf.ConnectionInfo:
        return connection_info(await access())

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def watch(type: str | None, body: kopf.Body, **_: object) -> None:  # noqa: A002  the name is kopf's
        match type:
            case "DELETED":
                events.deleted(body)
            case None:
                await events.listed(body)
            case _:
                await events.changed(body)
