"""The testbed of the operator's benchmark: a control plane and a Key Vault, filled, and one program on them."""

import json
import math
import os
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from bench.apiserver import ApiServer, Arrivals
from bench.site import Site
from bench.subject import Program, Subject
from tests.controlplane.build import ensure_tools
from tests.controlplane.plane import ControlPlane
from tests.emulator.client import ROOT, EmulatedVault, Emulator

LATENCY: Final = 0.03
"""Seconds that the vault needs for each call."""

NAMESPACE: Final = "bench"
_TOOLS: Final = ROOT / "tests" / "controlplane" / "tools"
_PAGE: Final = 25

SECRETS: Final = f"/api/v1/namespaces/{NAMESPACE}/secrets"

_ENVIRON: Final = os.environ  # noqa: TID251  what starts programs passes its environment on


@dataclass(frozen=True, slots=True)
class Testbed:
    """A site with one program, which does not run yet, and the clients of the benchmark."""

    site: Site
    subject: Subject
    program: Program
    api: ApiServer
    arrivals: Arrivals
    secrets: Sequence[str]
    """The names of the vault's secrets."""

    def manifest(self, secret: str, name: str | None = None, namespace: str = NAMESPACE) -> Mapping[str, object]:
        """The program's object for one secret of the vault, of the same name unless another is given."""
        return self.subject.manifest(self.site, secret, name or secret, namespace)


def kubernetes() -> str:
    """Return the version of the control plane."""
    found = re.search(r"^\s*k8s\.io/kubernetes v(\S+)", (_TOOLS / "kubernetes" / "go.mod").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def pages_of(secrets: int) -> int:
    """Return the calls of one listing of a vault with so many secrets."""
    return math.ceil(secrets / _PAGE)


def value_of(secret: str, version: int = 0) -> str:
    """Return the value of a secret of the vault after that many rotations."""
    return f"{secret} version {version}"


def data_of(secret: str, version: int = 0) -> Mapping[str, str]:
    """Return the data of the target of a secret after that many rotations."""
    return {"password": value_of(secret, version)}


@asynccontextmanager
async def testbed(subject: Subject, *, secrets: int, refresh: int) -> AsyncIterator[Testbed]:
    """Start all parts within the context; the logs are kept if it ends with an error."""
    names = [f"secret-{index:05}" for index in range(secrets)]
    with _site(refresh, names) as site:
        admin = json.loads(site.plane.kubeconfig.read_text())
        async with (
            subject.installed(site) as program,
            ApiServer.connect(admin) as api,
            Arrivals.watch(api, SECRETS) as arrivals,
        ):
            with closing(program):
                yield Testbed(site, subject, program, api, arrivals, names)


@contextmanager
def _site(refresh: int, secrets: Sequence[str]) -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="vaultsync-bench-"))
    print(
        f"\nStarting a control plane and a Key Vault with {len(secrets):,} secrets; logs are in {folder} …", flush=True
    )
    tools = ensure_tools(_ENVIRON, sys.stderr)
    with ControlPlane(tools, folder / "controlplane") as plane, Emulator.start(folder / "emulator") as emulator:
        plane.kubectl("create", "namespace", NAMESPACE)
        vault = emulator.vault("shop")
        fill(vault, secrets)
        vault.latency(LATENCY)
        yield Site(folder, tools, plane, emulator, vault, refresh)
    shutil.rmtree(folder)


def fill(vault: EmulatedVault, secrets: Sequence[str]) -> None:
    """Set secrets that were last changed long ago, as most are."""
    long_ago = datetime.now(UTC) - timedelta(days=100)
    for start in range(0, len(secrets), 1000):
        vault.set_many(
            {"name": secret, "value": value_of(secret), "created_on": long_ago, "updated_on": long_ago}
            for secret in secrets[start : start + 1000]
        )
