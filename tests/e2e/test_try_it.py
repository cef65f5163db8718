"""docs/try-it.md on a real API server: the emulator's chart and command, and the operator with the values for it.

There is no kubelet and no DNS: both Deployments are started as processes, and the Service's host is a port of loopback.
"""

import base64
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.controlplane.build import ensure_tools
from tests.controlplane.helm import Helm
from tests.controlplane.parts import free_ports
from tests.controlplane.plane import ControlPlane
from tests.e2e.harness import eventually
from tests.e2e.installation import Installation
from tests.e2e.kubernetes import KubernetesApi
from tests.e2e.operators import RunningOperator

pytestmark = pytest.mark.cluster

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "charts" / "vaultsync-emulator"
PAGE: Final = (ROOT / "docs" / "try-it.md").read_text()
HOME: Final = "vaultsync-system"
NAME: Final = "vaultsync-emulator"
HOST: Final = f"{NAME}.{HOME}.svc"
_ENVIRON: Final = os.environ  # noqa: TID251 - where the built programs are kept is the caller's choice

Object = dict[str, Any]


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """A control plane in which nothing else is installed."""
    with ControlPlane(ensure_tools(_ENVIRON, sys.stderr), tmp_path / "plane") as plane:
        for namespace in (HOME, "shop"):
            plane.kubectl("create", "namespace", namespace)
        yield plane


@pytest.fixture
def api(plane: ControlPlane) -> Iterator[KubernetesApi]:
    """The administrator of that control plane."""
    with KubernetesApi(plane.kubeconfig) as api:
        yield api


class Here:
    """The emulator's pod on this machine: its files, and a port in place of its Service's host."""

    def __init__(self, folder: Path, secret: Object) -> None:
        (port,) = free_ports(1)
        self.folder = folder
        self.address = f"localhost:{port}"
        self.listen = f"127.0.0.1:{port}"
        for name, content in secret["data"].items():
            (folder / name).write_bytes(base64.b64decode(content))

    def of(self, text: str) -> str:
        """A text with this machine's address and files."""
        return text.replace(HOST, self.address).replace("/etc/vaultsync-emulator", str(self.folder))


@contextmanager
def started(here: Here, container: Object, environ: Mapping[str, str]) -> Iterator[None]:
    """The emulator, as its image starts it, with the arguments of its container."""
    (entry,) = re.findall(r"^ENTRYPOINT (.*demo.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    command = [sys.executable, *yaml.safe_load(entry)[1:], *map(here.of, container["args"]), f"--listen={here.listen}"]
    with subprocess.Popen(command, env=dict(environ), cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert "Put no real secret here" in process.stdout.readline()
            yield
        finally:
            process.terminate()
    assert process.returncode == 0


def test_the_page_leads_to_a_secret_and_its_rotation(plane: ControlPlane, api: KubernetesApi, tmp_path: Path) -> None:
    helm = Helm(ensure_tools(_ENVIRON, sys.stderr)["helm"], tmp_path / "helm", plane.environ())
    notes = helm("install", NAME, CHART, "--namespace", HOME)
    installed = stored(plane, "secret")
    helm("upgrade", NAME, CHART, "--namespace", HOME)
    assert "WARNING: this is an emulator" in notes
    secret = stored(plane, "secret")
    assert secret["data"] == installed["data"]
    (container,) = stored(plane, "deployment")["spec"]["template"]["spec"]["containers"]
    trusted = tmp_path / "trusted.crt"
    trusted.write_text(stored(plane, "configmap")["data"]["ca.crt"])

    installation = Installation(helm, plane, HOME)
    installation.install(yaml.safe_load((CHART / "operator.yaml").read_text()))

    with tempfile.TemporaryDirectory() as folder:
        here = Here(Path(folder), secret)
        own = {each["name"]: here.of(each["value"]) for each in container["env"]}
        own |= {"PATH": os.defpath, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'operator'}"}
        of_operator = {name: here.of(value) for name, value in installation.environ().items()} | {
            "VAULTSYNC_CA_FILE": str(trusted),
            "VAULTSYNC_LISTEN": "127.0.0.1:0",
            "VAULTSYNC_PROBES_LISTEN": "127.0.0.1:0",
            "VAULTSYNC_LOG_FORMAT": "json",
        }
        (manifests,) = re.findall(r"kubectl apply -f - <<EOF\n(.*?)^EOF$", PAGE, re.DOTALL | re.MULTILINE)
        (rotation,) = re.findall(r"-- python -m (demo\.vault generate \S+)$", PAGE, re.MULTILINE)
        with (
            started(here, container, own),
            RunningOperator.start(of_operator, tmp_path / "operator.log", arguments=installation.arguments()),
        ):
            for manifest in yaml.safe_load_all(here.of(manifests)):
                plane.apply(manifest)
            eventually(lambda: password(api) is not None, "a Secret with the emulated vault's value")
            first = password(api)

            subprocess.run([sys.executable, "-m", *rotation.split()], env=own, cwd=ROOT, check=True)

            eventually(lambda: password(api) not in {None, first}, "the rotated value")


def stored(plane: ControlPlane, kind: str) -> Object:
    """An object of the emulator's chart."""
    found: Object = json.loads(plane.kubectl("get", kind, NAME, "-n", HOME, "-o", "json"))
    return found


def password(api: KubernetesApi) -> str | None:
    """The value in the Secret, in base64, if there is one."""
    found = api.get("/api/v1/namespaces/shop/secrets/db")
    return found["data"]["password"] if found else None
