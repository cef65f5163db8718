"""FakeKube behind a gate: calls, responses and watch events wait there; its VaultSecrets can be watched."""

import asyncio
import functools
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, Protocol
from weakref import WeakSet

from tests.convergence.gate import Gate
from tests.fakes import FakeKube
from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecretMeta
from vaultsync.sources.vaultsecrets import VaultSecretSource
from vaultsync.state.snapshots import TargetEvent

Body = Mapping[str, Any]

_CALLS: Final = (
    "get_target",
    "get_target_data",
    "get_target_manifest",
    "apply_target",
    "check_creation",
    "announce_replacement",
    "delete_target",
    "remove_keys",
    "remove_owners",
    "remove_annotations",
    "orphan_target",
    "list_targets",
    "check_installed",
    "list_vaultsecrets",
    "find_vaultsecret",
    "ensure_current",
    "patch_status",
    "create_event",
    "get_workload",
    "restart_workload",
)


class _Resent(Exception):
    """The connection ended before the answer to a patch: it is sent again."""


class BeforeWrite(Protocol):
    """Checks a write of a target: its key, what it will hold, None if it is deleted.

    `is_checked` is whether `ensure_current` was called in the same reconcile.
    """

    def __call__(self, target: ObjectKey, data: Mapping[str, str] | None, *, is_checked: bool) -> None: ...


class GatedKube(FakeKube):
    """Uids are numbered, so that one scenario is the same in every run.

    `before_write` is called when a target is to be written or deleted, before the call is held; `on_vaultsecret` with
    every change of a VaultSecret, and whether it was deleted.
    """

    def __init__(self, *, now: Callable[[], datetime], gate: Gate) -> None:
        super().__init__(now=now)
        self.gate = gate
        self.before_write: BeforeWrite | None = None
        self.on_vaultsecret: Callable[[Body, bool], None] = lambda _body, _is_deleted: None
        self.reconciles_that_checked: WeakSet[asyncio.Task[Any]] = WeakSet()
        """The tasks that have checked that their VaultSecret is current."""
        self.meanwhile: Callable[[], None] = lambda: None
        """Acts after a write whose answer is lost, before the operator does anything else."""
        self.resends = False
        """Whether a write whose answer is lost is sent again, as the connection does, instead of failing."""
        self._uids = 0

    def bodies(self) -> list[Body]:
        """Return all VaultSecrets."""
        return list(self._vault_secrets.values())

    async def ensure_current(self, vault_secret: VaultSecretMeta) -> None:
        await super().ensure_current(vault_secret)
        task = asyncio.current_task()
        assert task is not None
        self.reconciles_that_checked.add(task)

    async def watch_targets(
        self, namespace: str | None, resource_version: str, on_open: Callable[[], None] = lambda: None
    ) -> AsyncGenerator[TargetEvent, None]:
        await self.gate("watch_targets")
        async for event in super().watch_targets(namespace, resource_version, on_open):
            await self.gate("event of a target")
            yield event

    def delete_vault_secret(self, key: ObjectKey) -> None:
        body = self._vault_secrets[key]
        super().delete_vault_secret(key)
        self.on_vaultsecret(body, True)

    def _put_body(self, key: ObjectKey, body: Body) -> None:
        if key not in self._vault_secrets:
            self._uids += 1
            body = {**body, "metadata": {**body["metadata"], "uid": f"00000000-0000-4000-8000-{self._uids:012}"}}
        super()._put_body(key, body)
        self.on_vaultsecret(self._vault_secrets[key], False)

    def _lose_answer(self) -> None:
        if self.lost_answers:
            self.meanwhile()
            if self.resends:
                self.lost_answers -= 1
                raise _Resent
        super()._lose_answer()

    def announce(self, name: str, arguments: tuple[Any, ...]) -> None:
        if self.before_write is None or name not in {"apply_target", "delete_target"}:
            return
        data = None if name == "delete_target" else arguments[1].get("data", {})
        self.before_write(arguments[0], data, is_checked=asyncio.current_task() in self.reconciles_that_checked)


def _through_gate(name: str) -> Callable[..., Any]:
    call = getattr(GatedKube, name)

    @functools.wraps(call)
    async def gated(self: GatedKube, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401  those of the call
        self.announce(name, arguments)
        await self.gate(name)
        try:
            with suppress(_Resent):
                return await call(self, *arguments, **named)
            return await call(self, *arguments, **named)
        finally:
            await self.gate(f"answer to {name}")

    return gated


for _name in _CALLS:
    setattr(GatedKube, _name, _through_gate(_name))


class VaultSecretWatch:
    """Delivers events of VaultSecrets as kopf does: those of one object in order, those of different objects in any."""

    def __init__(self, kube: GatedKube, gate: Gate) -> None:
        self.is_broken = False
        """While it is True, changes are missed."""
        self._kube = kube
        self._gate = gate
        self._events: dict[str, deque[tuple[Callable[[Body], None], Body]]] = {}
        self._source: VaultSecretSource | None = None
        self._tasks: asyncio.TaskGroup | None = None
        kube.on_vaultsecret = self._changed

    @property
    def is_idle(self) -> bool:
        """Whether every event was delivered."""
        return not self._events

    async def run(self, source: VaultSecretSource) -> None:
        """List all, and then deliver changes, until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks, self._source = tasks, source
                self.list_again()
                await asyncio.Event().wait()
        finally:
            self._tasks = None
            self._events.clear()

    def list_again(self) -> None:
        """Drop undelivered events and deliver the current objects, as after a watch that cannot continue."""
        if self._source is None or self._tasks is None:
            return
        for events in self._events.values():
            events.clear()
        for body in self._kube.bodies():
            self._add(self._source.handle_listed, body)

    def _changed(self, body: Body, is_deleted: bool) -> None:
        if self._source is None or self._tasks is None or self.is_broken:
            return
        self._add(self._source.handle_deleted if is_deleted else self._source.handle_changed, body)

    def _add(self, handle: Callable[[Body], None], body: Body) -> None:
        assert self._tasks is not None
        uid = body["metadata"]["uid"]
        if uid in self._events:
            self._events[uid].append((handle, body))
            return
        self._events[uid] = deque([(handle, body)])
        self._tasks.create_task(self._deliver(uid))

    async def _deliver(self, uid: str) -> None:
        events = self._events[uid]
        while events:
            await self._gate("event of a VaultSecret")
            if events:
                handle, body = events.popleft()
                handle(body)
        del self._events[uid]
