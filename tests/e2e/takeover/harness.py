"""The harness of a takeover: releases of the chart, each for a namespace or more, and several processes of each.

Who leads is read from the Leases, and what each process did from the API server's audit log.
"""

import itertools
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

from tests.chart.renders import LEASE_NAMESPACE
from tests.controlplane.helm import Helm
from tests.controlplane.plane import ControlPlane
from tests.e2e.harness import Harness, eventually
from tests.e2e.installation import Installation, settings_here
from tests.e2e.lifecycle.harness import rerouted
from tests.e2e.operators import RunningOperator
from tests.e2e.takeover.leadership import Term, terms, violations
from tests.e2e.takeover.trail import LEASES, Call, calls
from tests.e2e.tcp_proxy import TcpProxy
from vaultsync.policy.leases import Installation as Elected
from vaultsync.state.shards import Shards

_LEASES: Final = f"/apis/coordination.k8s.io/v1/namespaces/{LEASE_NAMESPACE}/leases"


@dataclass(frozen=True, slots=True)
class Release:
    """A release of the chart.

    Args:
        installation: What helm has installed.
        elected: How its processes know themselves: a name, and a number of shards.
        environ: The variables with which they run.
        arguments: The arguments with which they run.
    """

    installation: Installation
    elected: Elected
    environ: Mapping[str, str]
    arguments: Sequence[str]

    @classmethod
    def of(cls, installation: Installation) -> Self:
        """Read what is installed."""
        environ = installation.environ()
        elected = Elected(environ["VAULTSYNC_INSTALLATION"], int(environ["VAULTSYNC_SHARDS"]))
        return cls(installation, elected, environ, installation.arguments())


@dataclass(frozen=True, slots=True)
class Replica:
    """One process of a release, or of a developer, behind a proxy of its own.

    Args:
        name: How its identity begins; no other has the same.
        elected: To which installation it belongs.
        running: The process.
        proxy: What stands between it and the API server.
    """

    name: str
    elected: Elected
    running: RunningOperator
    proxy: TcpProxy

    def lease_of(self, namespace: str) -> str:
        """The name of the Lease that it must hold to serve a namespace; empty stands for what is in no namespace."""
        shard = Shards.all(self.elected.shards).shard_of(namespace or None)
        return self.elected.lease_name(shard)

    def is_called(self, identity: str) -> bool:
        """Whether this is its identity."""
        return identity.startswith(f"{self.name}-")

    @property
    def shards(self) -> int:
        """How many shards it says that it holds."""
        return int(self.running.metric("vaultsync_shards_held"))

    @property
    def reconciles_begun(self) -> float:
        """How many reconciles it has begun."""
        return self.running.metric("vaultsync_queue_wait_seconds_count")

    @property
    def leads(self) -> bool:
        """Whether it says that it leads."""
        return self.running.metric("vaultsync_leader") == 1

    def await_standby(self) -> None:
        """Return when it says that it stands by; it is ready then."""
        eventually(lambda: not self.leads, f"{self.name} stands by")
        self.running.await_ready()

    def await_leading(self) -> None:
        """Return when it says that it leads."""
        eventually(lambda: self.leads, f"{self.name} leads")

    def lost_at(self) -> float:
        """When it has noticed that it does not lead any more, in seconds since 1970, by its own account."""
        (line,) = [line for line in self.running.lines() if line["message"] == "shards lost"]
        return datetime.fromisoformat(line["time"]).timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeoverHarness(Harness):
    """A namespace, a vault, and releases whose processes can be lost."""

    plane: ControlPlane
    helm: Helm
    folder: Path
    """Where logs go."""
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @classmethod
    def on(cls, plane: ControlPlane, harness: Harness, helm: Helm, folder: Path) -> Self:
        """Add the control plane, and a helm for it, to a harness."""
        given = {field.name: getattr(harness, field.name) for field in fields(harness)}
        return cls(**given, plane=plane, helm=helm, folder=folder)

    def another(self) -> Harness:
        """Another namespace, with a vault of its own."""
        return Harness.new(self.api, self.recorder, self.emulator)

    @contextmanager
    def release(self, *namespaces: str, shards: int = 1) -> Iterator[Release]:
        """Install the chart for these namespaces, by default for that of the harness, until the block ends."""
        # Its cluster roles have its name.
        home = f"{self.namespace}-vaultsync-{next(self._numbers)}"
        self.api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home}})
        installation = Installation(self.helm, self.plane, home, release=home)
        installation.install(values_for(namespaces or (self.namespace,), shards))
        try:
            yield Release.of(installation)
        finally:
            installation.uninstall()

    @contextmanager
    def replica(self, of: Release, *, wait: bool = True) -> Iterator[Replica]:
        """Run a process of a release until the block ends; returns when it is ready if `wait`."""
        name = f"{self.namespace}-{next(self._numbers)}"
        with self._replica(name, of.elected, of.environ, of.arguments) as replica:
            if wait:
                replica.running.await_ready()
            yield replica

    @contextmanager
    def laptop(self) -> Iterator[Replica]:
        """Run `vaultsync run` with the administrator's kubeconfig, for the namespace of the harness."""
        name = f"{self.namespace}-laptop"
        settings = {"VAULTSYNC_WATCH_NAMESPACES": self.namespace, "VAULTSYNC_INSTALLATION": name}
        with self._replica(name, Elected(name), {**self.plane.environ(), **settings}, ["run"]) as replica:
            replica.running.await_ready()
            yield replica

    def upgrade(self, of: Release, *namespaces: str, shards: int) -> Release:
        """Upgrade a release to another number of shards; its processes run on."""
        of.installation.upgrade(values_for(namespaces, shards))
        return Release.of(of.installation)

    @contextmanager
    def replicas(self, of: Release, number: int = 2) -> Iterator[list[Replica]]:
        """Run so many processes of a release; all are ready, and the first one leads."""
        with ExitStack() as stack:
            first = stack.enter_context(self.replica(of))
            first.await_leading()
            yield [first, *(stack.enter_context(self.replica(of)) for _ in range(number - 1))]

    @contextmanager
    def _replica(
        self, name: str, elected: Elected, environ: Mapping[str, str], arguments: Sequence[str]
    ) -> Iterator[Replica]:
        """Run the operator behind a proxy, in a pod of that name."""
        with TcpProxy.to(int(self.plane.url.rpartition(":")[2])) as proxy:
            ours = {
                "KUBECONFIG": str(rerouted(Path(environ["KUBECONFIG"]), proxy)),
                "POD_NAME": name,
                "VAULTSYNC_LISTEN": "127.0.0.1:0",
                "VAULTSYNC_PROBES_LISTEN": "127.0.0.1:0",
            }
            variables = {**environ, **self.emulator.environment(), **ours}
            with RunningOperator.start(variables, self.folder / f"{name}.log", arguments=arguments) as running:
                yield Replica(name, elected, running, proxy)

    # Leases

    def holder(self, of: Release, shard: int = 0) -> str:
        """The identity of the one who holds a shard; empty if no one does."""
        spec = (self.api.get(f"{_LEASES}/{of.elected.lease_name(shard)}") or {}).get("spec", {})
        holder: str = spec.get("holderIdentity") or ""
        return holder

    def await_leader(self, of: Release, replica: Replica, shard: int = 0) -> None:
        """Return when a replica holds a shard."""
        eventually(lambda: replica.is_called(self.holder(of, shard)), f"{replica.name} holds shard {shard}")

    # the audit log

    def trail(self) -> list[Call]:
        """What the processes of this harness have asked the API server for so far."""
        return calls(self.plane.audit_log, of=self.namespace)

    def looks(self, replica: Replica) -> int:
        """How often a replica has asked for Leases so far."""
        return sum(call.resource == LEASES and replica.is_called(call.identity) for call in self.trail())

    def await_looks(self, replica: Replica, *, more: int) -> None:
        """Return when a replica has asked for Leases so many more times: it knows by then who leads."""
        enough = self.looks(replica) + more
        eventually(lambda: self.looks(replica) >= enough, f"{replica.name} looks at the Leases")

    def terms(self, of: Release, shard: int = 0) -> list[Term]:
        """The terms of a shard's leaders so far."""
        return terms(self.trail(), of.elected.lease_name(shard))

    def check(self, *replicas: Replica, besides: Collection[str] = ()) -> None:
        """Fail if one of these, which are all, has written for a namespace while it did not hold its Lease.

        Args:
            replicas: All that ran.
            besides: The kinds of objects whose writes may come late.
        """

        def lease_of(call: Call) -> str:
            (sender,) = [replica for replica in replicas if replica.is_called(call.identity)]
            return sender.lease_of(call.namespace)

        trail = [call for call in self.trail() if call.resource not in besides]
        found = list(violations(trail, lease_of))
        assert not found, "\n".join(found)

    def writers(self, *among: Replica, namespace: str = "") -> dict[str, list[int]]:
        """Who has written each Secret of a namespace, in order: the places of the writers among these replicas."""
        found: dict[str, list[int]] = {}
        for call in self.trail():
            if call.is_write and (call.resource, call.namespace) == ("secrets", namespace or self.namespace):
                (place,) = [at for at, replica in enumerate(among) if replica.is_called(call.identity)]
                found.setdefault(call.name, []).append(place)
        return found


def values_for(watched: Sequence[str], shards: int = 1) -> dict[str, Any]:
    """The values of a release for some namespaces; the CRDs are there already."""
    settings = settings_here(watchNamespaces=list(watched))
    return {"settings": settings, "crds": {"enabled": False}, "shards": shards}


def now() -> float:
    """The time by which the API server dates what it logs, in seconds since 1970."""
    return time.time()  # noqa: TID251 - both run on this machine


def measured(what: str, seconds: float) -> None:
    """Show a figure with the output of the tests: it depends on the machine."""
    print(f"{what}: {seconds:.1f} s")  # noqa: T201 - pytest -rP shows it
