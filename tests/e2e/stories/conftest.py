"""One operator for all stories of this folder, with no more rights than it needs, over the whole cluster."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.controlplane.plane import ControlPlane
from tests.e2e.kubernetes import KubernetesApi
from tests.e2e.operators import OperatorProcess
from tests.e2e.rbac import RULES
from tests.e2e.scene import Scene
from tests.e2e.together import Stories
from tests.emulator.client import Emulator

_HERE: Final = Path(__file__).parent


@pytest.fixture(scope="package")
def operator(
    controlplane: ControlPlane, emulator: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """The operator that all stories of this folder are about."""
    environ = controlplane.environ(os.defpath, controlplane.user("vaultsync", RULES))
    with OperatorProcess.start(
        environ | emulator.environment(), tmp_path_factory.mktemp("operator") / "operator.log"
    ) as running:
        running.await_ready()
        yield running


@pytest.fixture(scope="package")
def stories(
    request: pytest.FixtureRequest, operator: OperatorProcess, api: KubernetesApi, emulator: Emulator
) -> Iterator[Stories]:
    """The stories of this folder, being played."""
    tests = [test for test in request.session.items if test.path.is_relative_to(_HERE)]
    with Stories(tests, lambda: Scene.new(api, emulator)) as stories:
        yield stories
    for scene in stories.scenes:
        api.delete(f"/api/v1/namespaces/{scene.namespace}")
