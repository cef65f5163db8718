"""The processes behind the picture of the dashboard: control plane, vaults, the chart's operator, a Prometheus.

They are those of the end-to-end tests, and end with the block.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.chart.renders import rule_groups
from tests.controlplane.build import MONITORING, TOOLS, ensure_tools
from tests.controlplane.helm import Helm
from tests.controlplane.plane import ControlPlane
from tests.controlplane.prometheus import Prometheus
from tests.e2e.installation import RESTARTS, Installation, settings_here
from tests.e2e.kubernetes import KubernetesApi
from tests.e2e.operators import RunningOperator
from tests.emulator.client import Emulator

_HOME: Final = "vaultsync"
_CRDS: Final = Path(__file__).parents[2] / "crds"
_ENVIRON: Final = os.environ  # noqa: TID251  programs are started with this environment


@dataclass(frozen=True, slots=True)
class Environment:
    """The running processes; for each vault there is a namespace of the same name."""

    api: KubernetesApi
    emulator: Emulator
    prometheus: Prometheus


@contextmanager
def environment(vaults: Sequence[str]) -> Iterator[Environment]:
    """Start all processes until the block ends; the logs are kept if it ends with an error."""
    folder = Path(tempfile.mkdtemp(prefix="vaultsync-dashboard-"))
    tools = ensure_tools(_ENVIRON, sys.stderr, (*TOOLS, *MONITORING))
    print(f"Starting a control plane, {len(vaults)} vaults and a Prometheus; logs are in {folder} …", flush=True)
    with (
        ControlPlane(tools, folder / "controlplane") as plane,
        Emulator.start(folder / "emulator", vaults=vaults) as emulator,
    ):
        plane.install(_CRDS)
        for namespace in (_HOME, *vaults):
            plane.kubectl("create", "namespace", namespace)
        installation = Installation(Helm(tools["helm"], folder / "helm", plane.environ()), plane, _HOME)
        installation.install({"settings": settings_here(logLevel="info"), "crds": {"enabled": False}, "rbac": RESTARTS})
        environ: Mapping[str, str] = installation.environ() | emulator.environment()
        with (
            KubernetesApi(plane.kubeconfig) as api,
            RunningOperator.start(environ, folder / "operator.log", arguments=installation.arguments()) as operator,
        ):
            operator.await_ready()
            groups = rule_groups(Helm(tools["helm"], folder / "helm", plane.environ()))
            scraped = Prometheus.start(
                tools["prometheus"], folder / "prometheus", target_port=operator.port, groups=groups
            )
            with scraped as prometheus:
                yield Environment(api, emulator, prometheus)
    shutil.rmtree(folder)
