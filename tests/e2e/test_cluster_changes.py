"""Changes of the cluster itself: CRDs that are missing, changed or deleted, and API servers and etcd that restart."""

import copy
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.controlplane.build import ensure_tools
from tests.controlplane.plane import ControlPlane
from tests.e2e.harness import Harness, entry, eventually, resource_version
from tests.e2e.kubernetes import KubernetesApi
from tests.e2e.operators import RunningOperator
from tests.e2e.recorder import ObjectRecorder
from tests.e2e.tcp_proxy import TcpProxy
from tests.emulator.client import ROOT, Emulator
from vaultsync.__main__ import main
from vaultsync.api import ADOPT_BY_ANNOTATION

pytestmark = pytest.mark.cluster

_ENVIRON: Final = os.environ  # noqa: TID251 - where the built programs are kept is the caller's choice
_CRD: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/vaultsecrets.vaultsync.dev"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane without our CRDs."""
    with ControlPlane(ensure_tools(_ENVIRON, sys.stderr), tmp_path_factory.mktemp("plane")) as plane:
        yield plane


@pytest.fixture(scope="module")
def api(plane: ControlPlane) -> Iterator[KubernetesApi]:
    """Its API server."""
    with KubernetesApi(plane.kubeconfig) as api:
        yield api


@pytest.fixture(scope="module")
def recorder(api: KubernetesApi) -> Iterator[ObjectRecorder]:
    """Records the states of VaultSecrets there."""
    with ObjectRecorder.watching(api) as recorder:
        yield recorder


@pytest.fixture
def harness(plane: ControlPlane, api: KubernetesApi, recorder: ObjectRecorder, emulator: Emulator) -> Harness:
    """A namespace and a vault, on a cluster that has our CustomResourceDefinition."""
    if api.get(_CRD) is None:
        plane.install(ROOT / "crds")
    return Harness.new(api, recorder, emulator)


@pytest.fixture
def environ(plane: ControlPlane, emulator: Emulator) -> dict[str, str]:
    """The operator's environment."""
    return plane.environ() | emulator.environment()


def test_without_our_crd_the_operator_ends_and_says_how_to_install_it(
    api: KubernetesApi, environ: dict[str, str], tmp_path: Path
) -> None:
    api.delete(_CRD)

    with RunningOperator.start(environ, tmp_path / "operator.log") as running:
        assert running.wait() == 1

    (line,) = [line for line in running.lines() if line.get("level") == "ERROR"]
    assert "`kubectl apply -f crds/`" in line["detail"]


def test_doctor_reports_a_crd_that_is_missing_older_or_of_other_rules(
    plane: ControlPlane, api: KubernetesApi, capsys: pytest.CaptureFixture[str]
) -> None:
    crd = yaml.safe_load((ROOT / "crds" / "vaultsecrets.yaml").read_text())
    name = crd["metadata"]["name"]

    def said() -> str:
        assert main(["doctor", "--kubeconfig", str(plane.kubeconfig)]) == 1
        lines = capsys.readouterr().out.splitlines()
        return next(line for line in lines if f"CustomResourceDefinition {name} " in line)

    api.delete(_CRD)
    eventually(lambda: api.get(_CRD) is None, "a cluster without the CRD")
    assert said() == f"  ✗ CustomResourceDefinition {name} is not installed."

    older, looser = copy.deepcopy(crd), copy.deepcopy(crd)
    del older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["deleteAfter"]
    del looser["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"]
    api.apply(_CRD, older)
    eventually(lambda: _is_established(api), "the older CRD is in use")
    assert said().endswith(" it lacks spec.deleteAfter.")
    api.apply(_CRD, looser)
    assert f"{name} has other rules than that of vaultsync " in said()

    api.delete(_CRD)
    eventually(lambda: api.get(_CRD) is None, "a cluster without the CRD")


def _is_established(api: KubernetesApi) -> bool:
    conditions = (api.get(_CRD) or {}).get("status", {}).get("conditions") or []
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def test_a_deletion_that_no_watch_reports_is_noticed(
    harness: Harness, plane: ControlPlane, environ: dict[str, str], tmp_path: Path
) -> None:
    older, younger = harness.put("older"), harness.put("younger")
    with (
        TcpProxy.to(plane.ports[2]) as proxy,
        RunningOperator.start(environ | rerouted(plane, proxy, tmp_path), tmp_path / "operator.log") as running,
    ):
        harness.apply(entry(source="older"), name="older", target={"name": "db"}, onDelete="Retain")
        harness.await_content(password=older)
        eventually(lambda: is_younger(harness, "younger", than="older"), "a younger VaultSecret")
        harness.await_reason("TargetConflict", name="younger")

        proxy.disconnect()
        harness.delete("older")
        plane.apiserver.restart()  # it forgets its history, and reports only what exists
        proxy.connect()

        eventually(lambda: running.metric("vaultsync_vaultsecrets") == 1, "the deletion is noticed")
        consent = {ADOPT_BY_ANNOTATION: "younger"}  # the Secret is retained for the other one
        harness.api.patch(harness.path("secrets", "db"), {"metadata": {"annotations": consent}})
        harness.await_content(password=younger)
        assert running.stop() == 0


def test_secrets_stay_during_an_etcd_outage_and_changes_are_synced_after_it(
    harness: Harness, plane: ControlPlane, environ: dict[str, str], tmp_path: Path
) -> None:
    names = [f"db-{number}" for number in range(5)]
    first = {name: harness.put(name) for name in names}
    with RunningOperator.start(environ, tmp_path / "operator.log") as running:
        for name in names:
            harness.apply(entry(source=name), name=name)
        for name in names:
            harness.await_content(name, password=first[name])
            harness.await_reason("Synced", name=name)
        others = {name: resource_version(harness.secret(name)) for name in names[1:]}

        plane.etcd.stop()
        second = harness.put(names[0])
        eventually(lambda: running.metric("vaultsync_leader") == 0, "the Lease is not renewed any more")
        plane.etcd.start()

        harness.await_content(names[0], password=second)
        harness.await_calls("list", more=2)
        assert {name: resource_version(harness.secret(name)) for name in others} == others
        assert {name: harness.content(name) for name in others} == {
            name: {"password": first[name].encode()} for name in others
        }
        assert running.stop() == 0


def rerouted(plane: ControlPlane, proxy: TcpProxy, folder: Path) -> dict[str, str]:
    """A kubeconfig that leads through the proxy."""
    path = folder / "kubeconfig"
    path.write_text(plane.kubeconfig.read_text().replace(plane.url, f"https://127.0.0.1:{proxy.port}"))
    return {"KUBECONFIG": str(path)}


def is_younger(harness: Harness, name: str, *, than: str) -> bool:
    """Create another VaultSecret for the same target; whether its creation time, in seconds, is later."""
    harness.delete(name)
    made, first = harness.apply(entry(source=name), name=name, target={"name": "db"}), harness.vault_secret(than)
    assert first is not None
    return bool(made["metadata"]["creationTimestamp"] > first["metadata"]["creationTimestamp"])


def test_a_vaultsecret_that_cannot_be_parsed_is_reported(
    harness: Harness, api: KubernetesApi, environ: dict[str, str], tmp_path: Path
) -> None:
    value = harness.put()
    with RunningOperator.start(environ, tmp_path / "operator.log") as running:
        running.await_ready()
        harness.apply()
        harness.await_content(password=value)
        api.apply(_CRD, without_rules(yaml.safe_load((ROOT / "crds" / "vaultsecrets.yaml").read_text())))

        eventually(lambda: accepts(harness, {"key": "no key", "secretName": "no_name"}), "the new CRD is in use")

        ready = harness.await_reason("InvalidSpec")
        assert ready.status == "False"
        assert "spec.data[0].key: " in ready.message
        assert "spec.data[0].secretName: " in ready.message
        assert harness.content() == {"password": value.encode()}
        harness.await_event_counts(Created=1, InvalidSpec=1)

        harness.change(data=[entry("other")])

        harness.await_content(other=value)
        harness.await_reason("Synced")
        assert running.stop() == 0


def accepts(harness: Harness, *data: dict[str, str]) -> bool:
    """Whether the API server accepts a spec; it uses a new CRD a moment after that was stored."""
    try:
        harness.change(data=data)
    except AssertionError:
        return False
    return True


def without_rules(crd: dict[str, Any]) -> dict[str, Any]:
    """A CRD that does not validate the spec."""
    loose = copy.deepcopy(crd)
    for version in loose["spec"]["versions"]:
        schema = version["schema"]["openAPIV3Schema"]
        schema.pop("x-kubernetes-validations", None)
        schema["properties"]["spec"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version.pop("selectableFields", None)  # they must be in the schema
    return loose


def test_an_operator_whose_crd_is_deleted_goes_on_when_it_is_installed_again(
    harness: Harness, plane: ControlPlane, environ: dict[str, str], tmp_path: Path
) -> None:
    harness.put()
    with RunningOperator.start(environ, tmp_path / "operator.log") as running:
        running.await_ready()
        harness.apply()
        harness.await_synced()

        harness.api.delete(_CRD)
        eventually(lambda: not running.is_ready, "an operator that is not ready")
        eventually(lambda: harness.api.get(_CRD) is None, "a cluster without the CRD")
        plane.install(ROOT / "crds")

        harness.apply()
        harness.await_synced()
        running.await_ready()
        assert running.stop() == 0
