"""The stories of operators' lives, each with operators of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.controlplane.plane import ControlPlane
from tests.e2e.installation import Installation
from tests.e2e.kubernetes import KubernetesApi
from tests.e2e.life.scenes import LifeScene
from tests.e2e.together import Stories
from tests.emulator.client import Emulator

_HERE: Final = Path(__file__).parent
_AT_ONCE: Final = 5
"""Starting an operator is two seconds of work for a processor."""


@pytest.fixture(scope="package")
def set_scene(
    controlplane: ControlPlane,
    api: KubernetesApi,
    emulator: Emulator,
    installation: Installation,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[], LifeScene]:
    """Sets the scene of one story."""
    folder = tmp_path_factory.mktemp("life")
    return lambda: LifeScene.on(controlplane, api, emulator, folder)


@pytest.fixture(scope="package")
def stories(
    request: pytest.FixtureRequest, api: KubernetesApi, set_scene: Callable[[], LifeScene]
) -> Iterator[Stories]:
    """The stories of this folder, being played."""
    tests = [test for test in request.session.items if test.path.is_relative_to(_HERE)]
    with Stories(tests, set_scene, at_once=_AT_ONCE) as stories:
        yield stories
    for scene in stories.scenes:
        api.delete(f"/api/v1/namespaces/{scene.namespace}")
