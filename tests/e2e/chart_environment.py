"""A control plane of its own for the chart, since CustomResourceDefinitions are installed and removed with it."""

import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.chart.renders import NAMESPACE
from tests.controlplane.build import ensure_tools
from tests.controlplane.helm import Helm
from tests.controlplane.plane import ControlPlane
from tests.e2e.harness import Harness
from tests.e2e.installation import Installation
from tests.e2e.kubernetes import KubernetesApi, Object
from tests.e2e.operators import RunningOperator
from tests.e2e.recorder import ObjectRecorder
from tests.emulator.client import Emulator

_ENVIRON: Final = os.environ  # noqa: TID251 - where the built programs are kept is the caller's choice


class ChartEnvironment:
    """A control plane, helm, and namespaces for the chart that enforce the Pod Security Standard `restricted`."""

    @classmethod
    @contextmanager
    def running(cls, emulator: Emulator, folder: Path) -> Iterator["ChartEnvironment"]:
        """The environment, until the block ends."""
        tools = ensure_tools(_ENVIRON, sys.stderr)
        with (
            ControlPlane(tools, folder / "plane", audited=True) as plane,
            KubernetesApi(plane.kubeconfig) as api,
            ObjectRecorder.watching(api) as recorder,
        ):
            for namespace in (NAMESPACE, "second"):
                labels = {"pod-security.kubernetes.io/enforce": "restricted"}
                metadata = {"name": namespace, "labels": labels}
                api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
            helm = Helm(tools["helm"], folder / "helm", plane.environ())
            yield cls(plane=plane, helm=helm, api=api, recorder=recorder, emulator=emulator, logs=folder)

    def __init__(
        self,
        *,
        plane: ControlPlane,
        helm: Helm,
        api: KubernetesApi,
        recorder: ObjectRecorder,
        emulator: Emulator,
        logs: Path,
    ) -> None:
        self.plane: Final = plane
        self.helm: Final = helm
        self.api: Final = api
        self._recorder = recorder
        self.emulator: Final = emulator
        self._logs = (logs / f"operator-{number}.log" for number in itertools.count(1))

    def harness(self) -> Harness:
        """A new namespace and a new vault."""
        return Harness.new(self.api, self._recorder, self.emulator)

    @contextmanager
    def operator(self, installation: Installation) -> Iterator[RunningOperator]:
        """The operator that an installation describes, until the block ends."""
        environ = installation.environ() | self.emulator.environment()
        with RunningOperator.start(environ, next(self._logs), arguments=installation.arguments()) as running:
            running.await_ready()
            yield running
            assert running.stop() == 0


def uid(thing: Object | None) -> str:
    """The uid of an object; one that is created again has another."""
    assert thing is not None
    identity: str = thing["metadata"]["uid"]
    return identity
