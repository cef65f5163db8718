"""The testbed of the operator's benchmark: a control plane and a Key Vault, filled; their size is a `Size`."""

import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from bench.apiserver import ApiServer, Arrivals
from bench.subject import Operator
from tests.controlplane.build import ensure_tools
from tests.controlplane.helm import Helm
from tests.controlplane.parts import free_ports
from tests.controlplane.plane import ControlPlane
from tests.e2e.installation import Installation
from tests.emulator.client import EmulatedVault, Emulator
from tests.manifests import grant

LATENCY: Final = 0.03
"""Seconds that the vault needs for each call."""

NAMESPACE: Final = "bench"
VAULT_SECRETS: Final = f"/apis/vaultsync.dev/v1alpha1/namespaces/{NAMESPACE}/vaultsecrets"
SECRETS: Final = f"/api/v1/namespaces/{NAMESPACE}/secrets"

_HOME: Final = "vaultsync"
"""The operator's own namespace."""

_PAGE: Final = 25
_CRDS: Final = Path(__file__).parents[1] / "crds"
_ENVIRON: Final = os.environ  # noqa: TID251  what starts programs passes its environment on


@dataclass(frozen=True, slots=True)
class Size:
    """The number of objects and secrets; `refresh` is in seconds."""

    name: str
    objects: int
    refresh: int
    polls: int = 5
    rotations: int = 20
    samples: int = 10

    @property
    def pages(self) -> int:
        """The calls of one listing of the vault."""
        return math.ceil(self.objects / _PAGE)


@dataclass(slots=True)
class Testbed:
    """All parts; the operator does not run yet."""

    api: ApiServer
    arrivals: Arrivals
    emulator: Emulator
    vault: EmulatedVault
    size: Size
    operator: Operator

    def manifest(self, secret: str, name: str | None = None) -> Mapping[str, Any]:
        """A VaultSecret for one secret of the vault, of the same name unless another is given."""
        return {
            "apiVersion": "vaultsync.dev/v1alpha1",
            "kind": "VaultSecret",
            "metadata": {"name": name or secret},
            "spec": {
                "vaultUrl": self.vault.url,
                "refreshInterval": f"{self.size.refresh}s",
                "data": [{"key": "password", "secretName": secret}],
            },
        }

    @property
    def secrets(self) -> list[str]:
        """The names of the vault's secrets."""
        return [f"secret-{index:05}" for index in range(self.size.objects)]


def value_of(secret: str, version: int = 0) -> str:
    """Return the value of a secret of the vault after that many rotations."""
    return f"{secret} version {version}"


def data_of(secret: str, version: int = 0) -> Mapping[str, str]:
    """Return the data of the target of a secret after that many rotations."""
    return {"password": value_of(secret, version)}


@asynccontextmanager
async def testbed(size: Size) -> AsyncIterator[Testbed]:
    """Start all parts within the context; the logs are kept if it ends with an error."""
    folder = Path(tempfile.mkdtemp(prefix="vaultsync-bench-"))
    print(f"Starting a control plane and a Key Vault with {size.objects:,} secrets; logs are in {folder} …", flush=True)
    tools = ensure_tools(_ENVIRON, sys.stderr)
    with ControlPlane(tools, folder / "controlplane") as plane, Emulator.start(folder / "emulator") as emulator:
        plane.install(_CRDS)
        for namespace in (NAMESPACE, _HOME):
            plane.kubectl("create", "namespace", namespace)
        vault = emulator.vault("shop")
        plane.apply(grant("bench", vault.url, NAMESPACE))
        port, probes_port = free_ports(2)
        environ = _installed(
            Installation(Helm(tools["helm"], folder / "helm", plane.environ()), plane, _HOME), port, probes_port
        )
        admin = json.loads(plane.kubeconfig.read_text())
        async with ApiServer.connect(admin) as api, Arrivals.watch(api, NAMESPACE) as arrivals:
            operator = Operator({**environ, **emulator.environment()}, port, probes_port, folder / "operator.log")
            ready = Testbed(api, arrivals, emulator, vault, size, operator)
            _fill(vault, ready.secrets)
            vault.latency(LATENCY)
            with closing(operator):
                yield ready
    shutil.rmtree(folder)


def _installed(installation: Installation, port: int, probes_port: int) -> Mapping[str, str]:
    """Install the chart, and return the operator's environment of it: its permissions are the chart's."""
    settings = {
        "vaultHosts": ["localhost:*"],
        "listen": f"127.0.0.1:{port}",
        "probesListen": f"127.0.0.1:{probes_port}",
    }
    installation.install({"settings": settings, "crds": {"enabled": False}})
    others = {name: text for name, text in _ENVIRON.items() if not name.startswith(("AZURE_", "VAULTSYNC_"))}
    return {**others, **installation.environ()}


def _fill(vault: EmulatedVault, secrets: Sequence[str]) -> None:
    """Set secrets that were last changed long ago, as most are."""
    long_ago = datetime.now(UTC) - timedelta(days=100)
    for start in range(0, len(secrets), 1000):
        vault.set_many(
            {"name": secret, "value": value_of(secret), "created_on": long_ago, "updated_on": long_ago}
            for secret in secrets[start : start + 1000]
        )
