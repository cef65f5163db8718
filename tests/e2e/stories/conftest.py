"""One operator for all stories of this folder: the one that the chart describes, with the rights that it gives."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.controlplane.plane import ControlPlane
from tests.e2e.installation import Installation
from tests.e2e.kubernetes import KubernetesApi
from tests.e2e.operators import RunningOperator
from tests.e2e.scene import Scene
from tests.e2e.stories.scenes import ServedScene
from tests.e2e.together import Stories
from tests.emulator.client import Emulator

_HERE: Final = Path(__file__).parent


@pytest.fixture(scope="package")
def operator(
    installation: Installation, emulator: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningOperator]:
    """The operator that all stories of this folder are about."""
    environ = installation.environ() | emulator.environment()
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    with RunningOperator.start(environ, log, arguments=installation.arguments()) as running:
        running.await_ready()
        yield running


@pytest.fixture(scope="package")
def stories(
    request: pytest.FixtureRequest,
    operator: RunningOperator,
    controlplane: ControlPlane,
    api: KubernetesApi,
    emulator: Emulator,
) -> Iterator[Stories]:
    """The stories of this folder, being played."""
    tests = [test for test in request.session.items if test.path.is_relative_to(_HERE)]

    def set_scene() -> Scene:
        return ServedScene.of(Scene.new(api, emulator, controlplane.environ()), operator)

    with Stories(tests, set_scene) as stories:
        yield stories
    for scene in stories.scenes:
        api.delete(f"/api/v1/namespaces/{scene.namespace}")
