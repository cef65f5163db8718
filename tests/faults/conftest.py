"""Fixtures of the fault suite: a cluster that scenarios share, an operator for vault faults, and makers of worlds."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.controlplane.build import TOOLS, ensure_tools
from tests.e2e.concurrency import ScenarioRunner, is_scenario
from tests.e2e.lifecycle.harness import bind
from tests.e2e.operators import RunningOperator
from tests.emulator.client import Emulator
from tests.faults.harness import HOME, JournaledCluster, World, check_log
from tests.faults.plane_faults import SMALL_QUOTA

_HERE: Final = Path(__file__).parent
_ENVIRON: Final = os.environ  # noqa: TID251 - where programs are kept is the caller's choice

_MAKERS: Final = (
    ("test_control_plane.py", "new_breakable_world", 1),
    ("test_vault.py", "new_served_world", 40),
    ("test_absences.py", "new_served_world", 2),
    ("test_login.py", "new_world", 2),
    ("test_kubernetes.py", "new_world", 6),
    ("test_operator.py", "new_world", 3),
    ("test_leader.py", "new_world", 2),
)
"""Which fixture makes the worlds of a file's scenarios, and how many of these run at once; the longest come first.

A `new_world` has operators of its own: with too many of them, a machine with two cores is so busy that Leases run out.
"""


@pytest.fixture(scope="package")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JournaledCluster]:
    """A control plane for scenarios that share an operator, and its journal; they may not break its parts."""
    with JournaledCluster.start(
        ensure_tools(_ENVIRON, sys.stderr, TOOLS), tmp_path_factory.mktemp("faults")
    ) as cluster:
        yield cluster


@pytest.fixture(scope="package")
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JournaledCluster]:
    """A control plane for scenarios with operators of their own; they may not break its parts either."""
    with JournaledCluster.start(ensure_tools(_ENVIRON, sys.stderr, TOOLS), tmp_path_factory.mktemp("own")) as cluster:
        yield cluster


@pytest.fixture(scope="package")
def new_world(own_cluster: JournaledCluster, emulator: Emulator) -> Callable[[], World]:
    """Makes the world of one scenario: start its operator with `world.operator(...)` or `world.instance()`."""
    return lambda: World.in_cluster(own_cluster, emulator)


@pytest.fixture(scope="package")
def new_breakable_world(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], World]]:
    """Makes the world of a scenario that breaks the control plane, which no other scenario shares."""
    tools, folder = ensure_tools(_ENVIRON, sys.stderr, TOOLS), tmp_path_factory.mktemp("breakable")
    with JournaledCluster.start(tools, folder, flags=SMALL_QUOTA) as cluster:
        yield lambda: World.in_cluster(cluster, emulator)


@pytest.fixture(scope="package")
def operator(shared_cluster: JournaledCluster, emulator: Emulator) -> Iterator[RunningOperator]:
    """The operator that serves all namespaces, for faults of single vaults."""
    bind(shared_cluster.plane, shared_cluster.helm, account="vaultsync", namespace=HOME)
    kubeconfig = shared_cluster.plane.user("vaultsync", shared_cluster.rules)
    installation = {"VAULTSYNC_INSTALLATION": f"vaultsync.{HOME}"}
    environ = {"KUBECONFIG": str(kubeconfig), **installation, **emulator.environment()}
    with RunningOperator.start(environ, shared_cluster.folder / "operator.log") as running:
        running.await_ready()
        yield running
        check_log(running)


@pytest.fixture(scope="package")
def new_served_world(
    operator: RunningOperator, shared_cluster: JournaledCluster, emulator: Emulator
) -> Callable[[], World]:
    """Makes the world of a scenario that the shared operator serves."""
    return lambda: World.in_cluster(shared_cluster, emulator)


@pytest.fixture(scope="package")
def runner(request: pytest.FixtureRequest) -> Iterator[ScenarioRunner]:
    """All selected scenarios, while they run."""
    with ScenarioRunner() as runner:
        for file, fixture, at_once in _MAKERS:
            tests = [item for item in request.session.items if item.path == _HERE / file]
            if scenarios := list(filter(is_scenario, tests)):
                runner.start(scenarios, request.getfixturevalue(fixture), at_once=at_once)
        yield runner


@pytest.fixture(scope="package", autouse=True)
def _start_scenarios(request: pytest.FixtureRequest) -> None:
    """Start the scenarios before the first test of this folder, whichever that is."""
    if any(is_scenario(item) for item in request.session.items if item.path.is_relative_to(_HERE)):
        request.getfixturevalue("runner")
