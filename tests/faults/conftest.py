"""Fixtures of the fault suite: a stage for faults of its parts that all scenarios share, and makers of worlds."""

import os
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.controlplane.build import TOOLS, ensure_tools
from tests.emulator.client import Emulator
from tests.faults.harness import Stage, World

_ENVIRON = os.environ  # noqa: TID251 - where programs are kept is the caller's choice


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A control plane that no other test uses, and its journal; scenarios may not break its parts."""
    with Stage.start(ensure_tools(_ENVIRON, sys.stderr, TOOLS), tmp_path_factory.mktemp("faults")) as stage:
        yield stage


@pytest.fixture(scope="package")
def new_world(stage: Stage, emulator: Emulator) -> Callable[[], World]:
    """Makes the world of one scenario: start its operator with `world.operator(...)`."""
    return lambda: World.on_stage(stage, emulator)
