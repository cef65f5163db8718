"""The harness of a scenario with its own operators, which serve only its namespace and have permissions only there.

Their Leases are the exception: those of all operators are in one namespace.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from tests.chart.renders import LEASE_NAMESPACE, RELEASE, manifests, operator_rules, render, render_policies
from tests.controlplane.cluster import Rule
from tests.controlplane.helm import Helm
from tests.controlplane.plane import ControlPlane
from tests.e2e.harness import Harness
from tests.e2e.installation import RESTARTS
from tests.e2e.operators import RunningOperator
from tests.e2e.tcp_proxy import TcpProxy


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorHarness(Harness):
    """A namespace, a vault, and an operator that can be started, disconnected, stopped and started again."""

    plane: ControlPlane
    helm: Helm
    rules: Sequence[Rule]
    """The permissions that the chart grants to an operator."""
    folder: Path
    """Where logs go."""

    @classmethod
    def on(cls, plane: ControlPlane, harness: Harness, helm: Helm, folder: Path) -> Self:
        """Add the control plane, and the rights of the chart's role, to a harness."""
        rules = operator_rules(render(helm, values={"rbac": RESTARTS}))
        given = {field.name: getattr(harness, field.name) for field in fields(harness)}
        return cls(**given, plane=plane, helm=helm, rules=rules, folder=folder)

    @property
    def log(self) -> Path:
        """Where the operators of this harness write their log, one after another, unless they have their own."""
        return self.folder / f"{self.namespace}.log"

    def user(self, rules: Sequence[Rule] | None = None) -> Path:
        """The kubeconfig of a service account with those rights in this namespace, by default the chart's.

        The chart's admission policies bind it.
        """
        bind(self.plane, self.helm, account="vaultsync", namespace=self.namespace, watched=[self.namespace])
        values = {"namespaceOverride": self.namespace, "settings": {"watchNamespaces": [self.namespace]}}
        roles = [one for one in manifests(render(self.helm, values=values)) if "rules" in one]
        everywhere = [
            rule
            for one in roles
            if one["metadata"]["name"] == f"{RELEASE}.{self.namespace}.grants"
            or one["metadata"].get("namespace") == LEASE_NAMESPACE
            for rule in one["rules"]
        ]
        ours = self.rules if rules is None else rules
        return self.plane.user("vaultsync", ours, self.namespace, everywhere=everywhere)

    def scope(self) -> dict[str, str]:
        """The variables of an operator that serves this namespace, and has the Leases that `user` may write."""
        return {
            "VAULTSYNC_WATCH_NAMESPACES": self.namespace,
            "VAULTSYNC_INSTALLATION": f"{RELEASE}.{self.namespace}",
        }

    @contextmanager
    def operator(
        self,
        kubeconfig: Path | None = None,
        *,
        through: TcpProxy | None = None,
        wait: bool = True,
        environ: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> Iterator[RunningOperator]:
        """Start an operator, by default with the rights that it needs, and return when it is ready if `wait`."""
        kubeconfig = kubeconfig or self.user()
        if through is not None:
            kubeconfig = rerouted(kubeconfig, through)
        ours = {"KUBECONFIG": str(kubeconfig)}
        variables = {**ours, **self.scope(), **self.emulator.environment(), **(environ or {})}
        with RunningOperator.start(variables, log or self.log) as running:
            if wait:
                running.await_ready()
            yield running

    @contextmanager
    def proxy(self) -> Iterator[TcpProxy]:
        """A proxy to the API server, which can be disconnected."""
        with TcpProxy.to(int(self.plane.url.rpartition(":")[2])) as proxy:
            yield proxy


def bind(plane: ControlPlane, helm: Helm, *, account: str, namespace: str, watched: Sequence[str] = ()) -> None:
    """Bind an operator by the chart's admission policies; returns when they are enforced."""
    plane.apply(*render_policies(helm, account=account, namespace=namespace, watched=watched))
    plane.await_policies()


def rerouted(kubeconfig: Path, proxy: TcpProxy) -> Path:
    """The kubeconfig of the same user who reaches the API server through a proxy."""
    config = json.loads(kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{proxy.port}"
    path = kubeconfig.with_suffix(f".{proxy.port}.kubeconfig")
    path.write_text(json.dumps(config))
    return path
