"""A scene with operators of its own: they serve that namespace alone, with rights in that namespace alone."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.controlplane.cluster import Rule
from tests.controlplane.plane import ControlPlane
from tests.e2e.cable import Cable
from tests.e2e.kubernetes import KubernetesApi
from tests.e2e.operators import RunningOperator
from tests.e2e.scene import Scene
from tests.emulator.client import Emulator


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeScene(Scene):
    """A namespace, a vault, and an operator that can be started, cut off, stopped and started again."""

    plane: ControlPlane
    rules: Sequence[Rule]
    """What the chart lets an operator do."""
    folder: Path
    """Where logs go."""

    @classmethod
    def on(cls, plane: ControlPlane, api: KubernetesApi, emulator: Emulator, folder: Path) -> "LifeScene":
        """Set a scene on a control plane where the chart is installed."""
        scene = Scene.new(api, emulator)
        role = api.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/vaultsync")
        assert role is not None
        return cls(
            api=api,
            emulator=emulator,
            namespace=scene.namespace,
            vault=scene.vault,
            plane=plane,
            rules=role["rules"],
            folder=folder,
        )

    @property
    def log(self) -> Path:
        """Where all operators of this scene write their log."""
        return self.folder / f"{self.namespace}.log"

    def user(self, rules: Sequence[Rule] | None = None) -> Path:
        """The kubeconfig of a service account with those rights in this namespace, by default the chart's."""
        return self.plane.user("vaultsync", self.rules if rules is None else rules, self.namespace)

    @contextmanager
    def operator(
        self,
        kubeconfig: Path | None = None,
        *,
        through: Cable | None = None,
        wait: bool = True,
        environ: Mapping[str, str] | None = None,
    ) -> Iterator[RunningOperator]:
        """Start an operator, by default with the rights that it needs, and return when it is ready if `wait`."""
        kubeconfig = kubeconfig or self.user()
        if through is not None:
            kubeconfig = _rerouted(kubeconfig, through)
        ours = {"KUBECONFIG": str(kubeconfig), "VAULTSYNC_WATCH_NAMESPACES": self.namespace}
        with RunningOperator.start({**ours, **self.emulator.environment(), **(environ or {})}, self.log) as running:
            if wait:
                running.await_ready()
            yield running

    @contextmanager
    def cable(self) -> Iterator[Cable]:
        """Lay a cable to the API server."""
        with Cable.lay(int(self.plane.url.rpartition(":")[2])) as cable:
            yield cable


def _rerouted(kubeconfig: Path, cable: Cable) -> Path:
    config = json.loads(kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{cable.port}"
    path = kubeconfig.with_suffix(f".{cable.port}.kubeconfig")
    path.write_text(json.dumps(config))
    return path
