"""Attacks on an operator in namespaced mode: whoever takes a namespace away from it takes nothing from the others."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.controlplane.build import ensure_tools
from tests.controlplane.helm import Helm
from tests.controlplane.plane import ControlPlane
from tests.e2e.harness import Harness, eventually
from tests.e2e.installation import Installation, settings_here
from tests.e2e.kubernetes import KubernetesApi
from tests.e2e.operators import RunningOperator
from tests.e2e.recorder import ObjectRecorder
from tests.emulator.client import ROOT, Emulator

_ENVIRON: Final = os.environ  # noqa: TID251 - where programs are kept is the caller's choice

pytestmark = pytest.mark.cluster


class Shops:
    """Two namespaces, each with a vault, and one operator that the chart has installed for both, and for no others."""

    def __init__(self, api: KubernetesApi, recorder: ObjectRecorder, emulator: Emulator, plane: ControlPlane) -> None:
        self.lost = Harness.new(api, recorder, emulator)
        self.kept = Harness.new(api, recorder, emulator)
        self.plane = plane
        self._emulator = emulator
        self._home = f"home-of-{self.kept.namespace}"
        api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self._home}})
        helm = Helm(ensure_tools(_ENVIRON, sys.stderr)["helm"], plane.kubeconfig.parent / "helm", plane.environ())
        self._installation = Installation(helm, plane, self._home)
        self.role: Final = f"vaultsync.{self._home}.operator"
        namespaces = [self.lost.namespace, self.kept.namespace]
        self._values = {"settings": settings_here(watchNamespaces=namespaces), "crds": {"enabled": False}}
        self._installation.install(self._values)

    @contextmanager
    def operator(self, log: Path) -> Iterator[RunningOperator]:
        """Run the operator, which is ready, until the block ends."""
        environ = self._installation.environ() | self._emulator.environment()
        with RunningOperator.start(environ, log, arguments=self._installation.arguments()) as running:
            running.await_ready()
            yield running
            assert running.stop() == 0

    def sync(self, *shops: Harness) -> None:
        """Have a rotation arrive in namespaces."""
        for shop in shops:
            value = shop.put()
            shop.apply()
            shop.await_content(password=value)

    def give_back(self) -> None:
        """Create what the chart has created in both namespaces."""
        self._installation.upgrade(self._values)

    def uninstall(self) -> None:
        """Uninstall the chart."""
        self._installation.uninstall()


@pytest.fixture(scope="module")
def own_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A cluster that no other operator serves."""
    with ControlPlane(ensure_tools(_ENVIRON, sys.stderr), tmp_path_factory.mktemp("namespaces") / "plane") as plane:
        plane.install(ROOT / "crds")
        yield plane


@pytest.fixture
def shops(own_plane: ControlPlane, emulator: Emulator) -> Iterator[Shops]:
    """The namespaces of one test."""
    with KubernetesApi(own_plane.kubeconfig) as api, ObjectRecorder.watching(api) as recorder:
        shops = Shops(api, recorder, emulator, own_plane)
        yield shops
        shops.uninstall()


def denied(operator: RunningOperator, shop: Harness) -> float:
    """The number of resources that the operator may not list and watch in a namespace, by its metric."""
    return operator.metric("vaultsync_namespace_denied", namespace=shop.namespace)


def test_whoever_removes_the_operators_rolebinding_from_his_namespace_does_not_stop_the_others(
    shops: Shops, tmp_path: Path
) -> None:
    """The administrator of one namespace takes the operator's rights away there, so that it fails for all."""
    log, lost, kept = tmp_path / "operator.log", shops.lost, shops.kept
    with shops.operator(log) as operator:
        shops.sync(lost, kept)

        shops.plane.kubectl("delete", "rolebinding", "--all", "-n", lost.namespace)
        eventually(lambda: denied(operator, lost) == 2, "both resources are denied")
        shops.sync(kept)
        assert operator.is_ready
        operator.await_line(message="namespace denied", namespace=lost.namespace)
    with shops.operator(log) as operator:
        assert denied(operator, lost) == 2
        shops.sync(kept)

        shops.give_back()
        shops.sync(lost, kept)
        eventually(lambda: denied(operator, lost) == 0, "nothing is denied")
        operator.await_line(message="namespace no longer denied", namespace=lost.namespace)


def test_whoever_deletes_his_namespace_does_not_stop_the_others(shops: Shops, tmp_path: Path) -> None:
    """The administrator of one namespace deletes it with everything in it, the operator's rights included."""
    log, lost, kept = tmp_path / "operator.log", shops.lost, shops.kept
    with shops.operator(log) as operator:
        shops.sync(lost, kept)

        shops.plane.kubectl("delete", "namespace", lost.namespace, "--wait")
        eventually(lambda: denied(operator, lost) == 2, "both resources are denied")
        shops.sync(kept)
        assert operator.is_ready
    with shops.operator(log) as operator:
        shops.sync(kept)
        assert denied(operator, lost) == 2

        shops.plane.kubectl("create", "namespace", lost.namespace)
        shops.give_back()
        shops.sync(lost, kept)
        eventually(lambda: denied(operator, lost) == 0, "nothing is denied")


def test_whoever_takes_the_right_to_secrets_away_in_his_namespace_learns_it_from_the_condition(
    shops: Shops, tmp_path: Path
) -> None:
    """The administrator of one namespace takes away only the right to Secrets: its VaultSecrets say what is missing."""
    lost, kept = shops.lost, shops.kept
    with shops.operator(tmp_path / "operator.log") as operator:
        shops.sync(lost, kept)

        path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{lost.namespace}/roles/{shops.role}"
        role = lost.api.get(path)
        assert role is not None
        lost.api.patch(path, {"rules": [rule for rule in role["rules"] if rule["resources"] != ["secrets"]]})
        eventually(lambda: denied(operator, lost) == 1, "Secrets are denied")
        lost.put()
        assert "secrets" in lost.await_reason("ClusterUnavailable").message
        shops.sync(kept)
        assert operator.is_ready

        shops.give_back()
        shops.sync(lost, kept)
