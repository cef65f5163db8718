"""An API server and vaults with certificates of authorities that Python 3.13 refuses by default."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.authorities import Authority
from tests.controlplane.build import ensure_tools
from tests.controlplane.plane import ControlPlane
from tests.e2e.harness import Harness, eventually
from tests.e2e.kubernetes import KubernetesApi
from tests.e2e.operators import RunningOperator
from tests.e2e.recorder import ObjectRecorder
from tests.emulator.client import ROOT, Emulator

pytestmark = pytest.mark.cluster

_ENVIRON: Final = os.environ  # noqa: TID251 - where the built programs are kept is the caller's choice


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane whose authority has neither key identifiers nor critical constraints."""
    folder = tmp_path_factory.mktemp("plane")
    authority = Authority.make(has_key_ids=False, critical=False)
    files = {name: folder / name for name in ("ca.crt", "tls.crt", "tls.key")}
    for file, text in zip(files.values(), (authority.pem, *authority.issue("127.0.0.1")), strict=True):
        file.write_text(text)
    flags = {"tls-cert-file": files["tls.crt"], "tls-private-key-file": files["tls.key"]}
    tools = ensure_tools(_ENVIRON, sys.stderr)
    with ControlPlane(tools, folder, flags={"kube-apiserver": flags}, authority=files["ca.crt"]) as plane:
        plane.install(ROOT / "crds")
        yield plane


@pytest.fixture
def harness(plane: ControlPlane, emulator: Emulator) -> Iterator[Harness]:
    """A namespace of that cluster, and a vault."""
    with KubernetesApi(plane.kubeconfig) as api, ObjectRecorder.watching(api) as recorder:
        yield Harness.new(api, recorder, emulator)


def test_the_operator_serves_such_a_cluster_and_is_ready(
    harness: Harness, plane: ControlPlane, emulator: Emulator, tmp_path: Path
) -> None:
    value = harness.put()
    with RunningOperator.start(plane.environ() | emulator.environment(), tmp_path / "operator.log") as running:
        running.await_ready()
        harness.apply()
        harness.await_content(password=value)
        assert running.stop() == 0

    failed = {"vaultsecret watch request failed", "vaultsecret watch restarted", "secret watch interrupted"}
    assert [line for line in running.lines() if line["message"] in failed] == []


def test_an_authority_of_vaults_is_trusted_while_a_file_has_it_without_a_restart(
    harness: Harness, plane: ControlPlane, emulator: Emulator, tmp_path: Path
) -> None:
    ca_file = tmp_path / "ca.crt"
    ca_file.write_text(Authority.make(has_key_ids=True, critical=True).pem)
    environ = plane.environ() | emulator.environment() | {"VAULTSYNC_CA_FILE": str(ca_file)}
    del environ["SSL_CERT_FILE"]
    value = harness.put()
    with RunningOperator.start(environ, tmp_path / "operator.log") as running:
        harness.apply()
        assert "its certificate is of an unknown authority" in harness.await_reason("VaultUnreachable").message

        ca_file.write_text(emulator.ca_file.read_text())
        running.await_line(message="certificate reloaded")

        harness.await_content(password=value)
        eventually(lambda: running.is_ready, "a ready operator")


def test_an_api_server_of_another_authority_is_named_and_the_operator_never_ready(
    plane: ControlPlane, emulator: Emulator, tmp_path: Path
) -> None:
    other = tmp_path / "ca.crt"
    other.write_text(Authority.make(has_key_ids=True, critical=True).pem)
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(plane.kubeconfig.read_text().replace(str(plane.authority), str(other)))
    environ = plane.environ(kubeconfig=kubeconfig) | emulator.environment()
    with RunningOperator.start(environ, tmp_path / "operator.log") as running:
        eventually(lambda: any("certificate" in line.get("detail", "") for line in running.lines()), "why it waits")

        assert running.get("/healthz").is_success
        assert not running.is_ready
