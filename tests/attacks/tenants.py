"""Several tenants of one operator in memory, each in a namespace of his own, on clocks that stand still."""

import asyncio
from collections.abc import Mapping, Sequence

import httpx

from tests.builders import ACCESS
from tests.clocks import freeze, until_idle
from tests.harness import MemoryHarness
from tests.manifests import ENTRY, Spec, manifest, spec
from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecretStatus


class Tenants(MemoryHarness):
    """An operator whose vault responds, beside hosts that hang and hosts that do not exist."""

    def vault_transport(self) -> httpx.AsyncBaseTransport:
        return _Hosts(super().vault_transport())

    async def start(self, observed: Sequence[str]) -> None:
        await freeze()
        await super().start(observed)
        self.run_beside(self.controller.pollers.run())

    async def settle(self) -> None:
        await until_idle()

    async def pass_time(self, seconds: float = 60) -> None:
        """Advance the clock by that time, in steps in which everything that is due goes on."""
        while seconds > 0:
            step = min(seconds, 10)
            await super().pass_time(step)
            await self.settle()
            seconds -= step

    # what tenants do; `db` is the VaultSecret of each, unless another is named

    def request(
        self,
        namespace: str,
        *lines: Spec,
        name: str = "db",
        annotations: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        **changes: object,
    ) -> None:
        """Apply a VaultSecret's manifest in a namespace, which the watch reports; a grant allows it."""
        applied = manifest(spec(**{"data": list(lines) or [ENTRY], **changes}), name=name)
        self.grant(applied["spec"]["vaultUrl"])
        written = {"annotations": dict(annotations or {}), "labels": dict(labels or {})}
        applied["metadata"] |= {"namespace": namespace, **written}
        self.users.put_vault_secret(applied)
        key = ObjectKey(namespace, name)
        self.controller.source.handle_changed(self.users.vault_secret_body(key))

    def withdraw(self, namespace: str, name: str = "db") -> None:
        """Delete a VaultSecret, which the watch reports."""
        key = ObjectKey(namespace, name)
        body = self.users.vault_secret_body(key)
        self.users.delete_vault_secret(key)
        self.controller.source.handle_deleted(body)

    def tamper(self, namespace: str, name: str = "db") -> None:
        """Write to a target as another field manager."""
        self.kube.edit(ObjectKey(namespace, name), "mallory", data={"password": "tampered"})

    # what can be seen

    def values_in(self, namespace: str, name: str = "db") -> dict[str, str] | None:
        """Return what pods of that namespace read from a target."""
        return self.users.values(ObjectKey(namespace, name))

    def status_in(self, namespace: str, name: str = "db") -> VaultSecretStatus:
        return self.users.vault_secret(ObjectKey(namespace, name)).status

    def ready_reason(self, namespace: str, name: str = "db") -> str:
        """Return the reason of the Ready condition."""
        (reason,) = (one.reason for one in self.status_in(namespace, name).conditions if one.type == "Ready")
        return reason

    @property
    def polls(self) -> int:
        """How many polls have begun since the last reset."""
        return len(self.traced.polled)

    def reset_counts(self) -> None:
        super().reset_counts()
        self.traced.polled.clear()

    def matched_globs(self) -> Mapping[tuple[str, tuple[str, ...]], tuple[str, ...]]:
        """Return the names in the listing that each glob matches: one object as long as none is matched again."""
        listing = self.state.vaults.view(ACCESS).listing
        assert listing is not None
        return listing._matches._results

    def kept_per_vault(self) -> dict[str, Sequence[object]]:
        """Return the vaults of which the operator keeps something, by what that is."""
        controller, turns = self.controller, self.controller.queue._turns
        return {
            "pollers": sorted(map(str, controller.pollers._tasks)),
            "clients": sorted(map(str, self.vaults.opened())),
            "views": sorted(map(str, self.state.vaults._views)),
            "requests": sorted(map(str, self.state.vaults._requests)),
            "users": sorted(map(str, self.state.vaultsecrets.accesses())),
            "series": sorted(self.recorded.vaults),
            "partitions": [name for pool in turns._pools.values() for name in pool.lanes],
            "offers": [lane for pool in turns._pools.values() for lanes in pool.offers.values() for lane in lanes],
            "tasks": sorted(repr(task.get_coro()).partition(" at ")[0] for task in asyncio.all_tasks()),
        }

    def reconciles_in(self, namespace: str) -> int:
        """Return how many reconciles of that namespace have ended."""
        return self.order().count(namespace)

    def order(self) -> list[str]:
        """Return the namespaces of the reconciles that have ended, in their order."""
        return [key.namespace for key, _ in self.traced.results]


class _Hosts(httpx.AsyncBaseTransport):
    """Sends requests to the vault; hosts whose names start with `hanging` never respond."""

    def __init__(self, vault: httpx.AsyncBaseTransport) -> None:
        self._vault = vault

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host.startswith("hanging"):
            await asyncio.Event().wait()
        return await self._vault.handle_async_request(request)
