"""What end-to-end tests share: API servers, the installed chart, its operator, and the scenarios that all run at once.

Scenarios mostly wait. They run in the background from the first end-to-end test on, and their results are read last.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.controlplane.build import ensure_tools
from tests.controlplane.helm import Helm
from tests.controlplane.plane import ControlPlane
from tests.e2e.chart_environment import ChartEnvironment
from tests.e2e.concurrency import ScenarioRunner, is_scenario
from tests.e2e.harness import Harness
from tests.e2e.installation import Installation, installed
from tests.e2e.kubernetes import KubernetesApi
from tests.e2e.lifecycle.harness import OperatorHarness
from tests.e2e.operators import RunningOperator
from tests.e2e.recorder import ObjectRecorder
from tests.e2e.scenarios.harness import ServedHarness
from tests.e2e.takeover.harness import TakeoverHarness
from tests.emulator.client import ROOT, Emulator

_HERE: Final = Path(__file__).parent
_ENVIRON: Final = os.environ  # noqa: TID251 - where programs are kept is the caller's choice

_OPERATORS_AT_ONCE: Final = 4
"""Starting an operator is two seconds of work for a processor."""

_TAKEOVERS_AT_ONCE: Final = 4
"""Each has two or three operators, that mostly wait for a Lease to run out."""

_SCENARIOS_AT_ONCE: Final = 40
"""Most of them wait; with more at once, calls would time out on a busy machine."""


class OwnCluster(NamedTuple):
    """A cluster without an operator, and where its logs and those of its operators go."""

    plane: ControlPlane
    api: KubernetesApi
    recorder: ObjectRecorder
    folder: Path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that wait for scenarios last among the end-to-end tests."""
    ours = [number for number, item in enumerate(items) if item.path.is_relative_to(_HERE)]
    last = sorted((items[number] for number in ours), key=lambda item: "runner" in getattr(item, "fixturenames", ()))
    for number, item in zip(ours, last, strict=True):
        items[number] = item


@pytest.fixture(scope="package")
def api(controlplane: ControlPlane) -> Iterator[KubernetesApi]:
    """The API server, with every right."""
    with KubernetesApi(controlplane.kubeconfig) as api:
        yield api


@pytest.fixture(scope="package")
def recorder(api: KubernetesApi) -> Iterator[ObjectRecorder]:
    """Records the states of VaultSecrets."""
    with ObjectRecorder.watching(api) as recorder:
        yield recorder


@pytest.fixture(scope="package")
def installation(
    controlplane: ControlPlane, api: KubernetesApi, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """The chart, installed for the whole cluster: the operator has the rights that it grants, and no others."""
    with installed(controlplane, api, tmp_path_factory.mktemp("helm"), "vaultsync-e2e") as installation:
        yield installation


@pytest.fixture(scope="package")
def operator(
    installation: Installation, emulator: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningOperator]:
    """The operator that serves all scenarios of the folder `scenarios`."""
    environ = installation.environ() | emulator.environment()
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    with RunningOperator.start(environ, log, arguments=installation.arguments()) as running:
        running.await_ready()
        yield running


@pytest.fixture(scope="package")
def new_served_harness(
    operator: RunningOperator,
    controlplane: ControlPlane,
    api: KubernetesApi,
    recorder: ObjectRecorder,
    emulator: Emulator,
) -> Callable[[], ServedHarness]:
    """Makes the harness of a scenario that the shared operator serves."""
    return lambda: ServedHarness.of(Harness.new(api, recorder, emulator, controlplane.environ()), operator)


@pytest.fixture(scope="package")
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnCluster]:
    """A cluster that no operator serves but those of the scenarios themselves, each for namespaces of its own."""
    folder = tmp_path_factory.mktemp("own")
    with ExitStack() as stack:
        plane = stack.enter_context(ControlPlane(ensure_tools(_ENVIRON, sys.stderr), folder / "plane", audited=True))
        plane.install(ROOT / "crds")
        api = stack.enter_context(KubernetesApi(plane.kubeconfig))
        yield OwnCluster(plane, api, stack.enter_context(ObjectRecorder.watching(api)), folder)


@pytest.fixture(scope="package")
def chart_environment(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChartEnvironment]:
    """A cluster in which the chart is installed and uninstalled, with its CustomResourceDefinitions."""
    with ChartEnvironment.running(emulator, tmp_path_factory.mktemp("chart")) as environment:
        yield environment


@pytest.fixture(scope="package")
def new_operator_harness(own_cluster: OwnCluster, emulator: Emulator, helm: Helm) -> Callable[[], OperatorHarness]:
    """Makes the harness of a scenario with its own operators."""
    plane, api, recorder, folder = own_cluster
    return lambda: OperatorHarness.on(plane, Harness.new(api, recorder, emulator), helm, folder)


@pytest.fixture(scope="package")
def new_takeover_harness(own_cluster: OwnCluster, emulator: Emulator) -> Callable[[], TakeoverHarness]:
    """Makes the harness of a scenario with several operators of one installation."""
    plane, api, recorder, folder = own_cluster
    helm = Helm(ensure_tools(_ENVIRON, sys.stderr)["helm"], folder / "helm", plane.environ())
    return lambda: TakeoverHarness.on(plane, Harness.new(api, recorder, emulator), helm, folder)


@pytest.fixture(scope="package")
def runner(request: pytest.FixtureRequest) -> Iterator[ScenarioRunner]:
    """All selected scenarios, while they run."""
    with ScenarioRunner() as runner:
        for folder, fixture, at_once in (
            ("takeover", "new_takeover_harness", _TAKEOVERS_AT_ONCE),
            ("lifecycle", "new_operator_harness", _OPERATORS_AT_ONCE),
            ("scenarios", "new_served_harness", _SCENARIOS_AT_ONCE),
        ):
            tests = [item for item in request.session.items if item.path.is_relative_to(_HERE / folder)]
            if scenarios := list(filter(is_scenario, tests)):
                runner.start(scenarios, request.getfixturevalue(fixture), at_once=at_once)
        yield runner


@pytest.fixture(scope="package", autouse=True)
def _start_scenarios(request: pytest.FixtureRequest) -> None:
    """Start the scenarios before the first end-to-end test, whichever that is."""
    if any(map(is_scenario, request.session.items)):
        request.getfixturevalue("runner")
