"""What an operator lives through when the cluster itself changes under it: its kinds, its memory. On one of its own."""

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
from tests.e2e.cable import Cable
from tests.e2e.kubernetes import KubernetesApi
from tests.e2e.operators import RunningOperator
from tests.e2e.scene import Scene, entry, eventually, resource_version
from tests.emulator.client import ROOT, Emulator

pytestmark = pytest.mark.cluster

_ENVIRON: Final = os.environ  # noqa: TID251 - where the built programs are kept is the caller's choice
_CRD: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/vaultsecrets.vaultsync.dev"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane that knows nothing of ours."""
    with ControlPlane(ensure_tools(_ENVIRON, sys.stderr), tmp_path_factory.mktemp("plane")) as plane:
        yield plane


@pytest.fixture(scope="module")
def api(plane: ControlPlane) -> Iterator[KubernetesApi]:
    """Its API server."""
    with KubernetesApi(plane.kubeconfig) as api:
        yield api


@pytest.fixture
def scene(plane: ControlPlane, api: KubernetesApi, emulator: Emulator) -> Scene:
    """A namespace and a vault, on a cluster that has our CustomResourceDefinition."""
    if api.get(_CRD) is None:
        plane.install(ROOT / "crds")
    return Scene.new(api, emulator)


@pytest.fixture
def environ(plane: ControlPlane, emulator: Emulator) -> dict[str, str]:
    """The operator's environment."""
    return plane.environ() | emulator.environment()


def test_without_our_crd_the_operator_says_how_to_install_it_and_ends(
    api: KubernetesApi, environ: dict[str, str], tmp_path: Path
) -> None:
    api.delete(_CRD)

    with RunningOperator.start(environ, tmp_path / "operator.log") as running:
        assert running.wait() == 1

    (line,) = [line for line in running.lines() if line["message"] == "cannot start"]
    assert "`kubectl apply -f crds/`" in line["detail"]


def test_a_deletion_that_nobody_could_tell_of_is_found_out(
    scene: Scene, plane: ControlPlane, environ: dict[str, str], tmp_path: Path
) -> None:
    older, younger = scene.put("older"), scene.put("younger")
    with (
        Cable.lay(plane.ports[2]) as cable,
        RunningOperator.start(environ | rerouted(plane, cable, tmp_path), tmp_path / "operator.log") as running,
    ):
        scene.apply(entry(source="older"), name="older", target={"name": "db"}, onDelete="Retain")
        scene.await_content(password=older)
        eventually(lambda: is_younger(scene, "younger", than="older"), "another second has begun")
        scene.await_reason("TargetConflict", "younger")

        cable.pull_out()
        scene.delete("older")
        plane.apiserver.restart()  # it forgets what has happened, and can tell only what there is
        cable.plug_in()

        scene.await_content(password=younger, within=60)
        assert running.metric("vaultsync_vaultsecrets") == 1


def test_while_etcd_is_away_secrets_stay_and_afterwards_what_was_missed_is_made_up_for(
    scene: Scene, plane: ControlPlane, environ: dict[str, str], tmp_path: Path
) -> None:
    names = [f"db-{number}" for number in range(5)]
    first = {name: scene.put(name) for name in names}
    with RunningOperator.start(environ, tmp_path / "operator.log"):
        for name in names:
            scene.apply(entry(source=name), name=name)
        for name in names:
            scene.await_content(name, password=first[name])
            scene.await_reason("Synced", name)
        others = {name: resource_version(scene.secret(name)) for name in names[1:]}

        plane.etcd.stop()
        second = scene.put(names[0])
        scene.await_calls("list", more=2)
        plane.etcd.start()

        scene.await_content(names[0], password=second, within=60)
        scene.await_calls("list", more=2)
        assert {name: resource_version(scene.secret(name)) for name in others} == others
        assert {name: scene.content(name) for name in others} == {
            name: {"password": first[name].encode()} for name in others
        }


def rerouted(plane: ControlPlane, cable: Cable, folder: Path) -> dict[str, str]:
    """A kubeconfig that leads through the cable."""
    path = folder / "kubeconfig"
    path.write_text(plane.kubeconfig.read_text().replace(plane.url, f"https://127.0.0.1:{cable.port}"))
    return {"KUBECONFIG": str(path)}


def is_younger(scene: Scene, name: str, *, than: str) -> bool:
    """Make another VaultSecret for the same target; tell whether Kubernetes, which counts seconds, dates it later."""
    scene.delete(name)
    made, first = scene.apply(entry(source=name), name=name, target={"name": "db"}), scene.vault_secret(than)
    assert first is not None
    return bool(made["metadata"]["creationTimestamp"] > first["metadata"]["creationTimestamp"])


def test_a_vault_secret_that_cannot_be_read_is_told_so(
    scene: Scene, api: KubernetesApi, environ: dict[str, str], tmp_path: Path
) -> None:
    value = scene.put()
    with RunningOperator.start(environ, tmp_path / "operator.log") as running:
        running.await_ready()
        scene.apply()
        scene.await_content(password=value)
        api.apply(_CRD, without_rules(yaml.safe_load((ROOT / "crds" / "vaultsecrets.yaml").read_text())))

        eventually(lambda: accepts(scene, {"key": "no key", "secretName": "no_name"}), "the new CRD is what counts")

        ready = scene.await_reason("InvalidSpec")
        assert ready.status == "False"
        assert "spec.data[0].key: " in ready.message
        assert "spec.data[0].secretName: " in ready.message
        assert scene.content() == {"password": value.encode()}
        scene.await_told(Created=1, InvalidSpec=1)

        scene.change(data=[entry("other")])

        scene.await_content(other=value)
        scene.await_reason("Synced")


def accepts(scene: Scene, *data: dict[str, str]) -> bool:
    """Tell whether the API server takes a spec; it goes by its new CRD a moment after that was stored."""
    try:
        scene.change(data=data)
    except AssertionError:
        return False
    return True


def without_rules(crd: dict[str, Any]) -> dict[str, Any]:
    """The CRD as a version of it might be that checks nothing of a spec."""
    loose = copy.deepcopy(crd)
    for version in loose["spec"]["versions"]:
        schema = version["schema"]["openAPIV3Schema"]
        schema.pop("x-kubernetes-validations", None)
        schema["properties"]["spec"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return loose


def test_an_operator_whose_kind_is_taken_away_does_not_go_on_as_if_nothing_had_been(
    scene: Scene, api: KubernetesApi, environ: dict[str, str], tmp_path: Path
) -> None:
    scene.put()
    with RunningOperator.start(environ, tmp_path / "operator.log") as running:
        running.await_ready()
        scene.apply()
        scene.await_synced()

        api.delete(_CRD)

        assert running.wait() == 1
    assert running.lines()[-1]["message"] == "ended by an error that nobody foresaw"
