"""Marks each attack, and installs an operator with the chart's rights for those that need a real API server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.controlplane.plane import ControlPlane
from tests.e2e.harness import Harness
from tests.e2e.installation import Installation, installed
from tests.e2e.kubernetes import KubernetesApi
from tests.e2e.operators import RunningOperator
from tests.e2e.recorder import ObjectRecorder
from tests.emulator.client import Emulator

_HERE: Final = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder: `-m attack` selects them."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.attack)


@pytest.fixture(scope="package")
def api(controlplane: ControlPlane) -> Iterator[KubernetesApi]:
    """The API server, with every right."""
    with KubernetesApi(controlplane.kubeconfig) as api:
        yield api


@pytest.fixture(scope="package")
def installation(
    controlplane: ControlPlane, api: KubernetesApi, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """The chart, installed for the whole cluster: the operator has the rights that it grants, and no others."""
    with installed(controlplane, api, tmp_path_factory.mktemp("helm"), "vaultsync-attacked") as installation:
        yield installation


@pytest.fixture(scope="package")
def operator(
    installation: Installation, emulator: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningOperator]:
    """The operator that is attacked."""
    environ = installation.environ() | emulator.environment()
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    with RunningOperator.start(environ, log, arguments=installation.arguments()) as running:
        running.await_ready()
        yield running


@pytest.fixture(scope="package")
def recorder(api: KubernetesApi) -> Iterator[ObjectRecorder]:
    """Records the states of VaultSecrets."""
    with ObjectRecorder.watching(api) as recorder:
        yield recorder


@pytest.fixture
def harness(operator: RunningOperator, api: KubernetesApi, recorder: ObjectRecorder, emulator: Emulator) -> Harness:
    """A namespace and a vault of the test's own, served by the operator that is attacked."""
    return Harness.new(api, recorder, emulator)
