"""Fixtures for every test: one control plane and one emulator for the whole run; a namespace and a vault for each."""

import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import settings

from tests.controlplane.build import ACTIONLINT, FLUX, MONITORING, READERS, TOOLS, BuildFailed, Tool, ensure_tools
from tests.controlplane.flux import Flux
from tests.controlplane.golang import GoMissing
from tests.controlplane.helm import Helm
from tests.controlplane.plane import ControlPlane
from tests.controlplane.promtool import Promtool
from tests.controlplane.readers import Readers
from tests.e2e.kubernetes import KubernetesApi
from tests.emulator.client import EmulatedVault, Emulator

_ROOT: Final = Path(__file__).parents[1]
_ENVIRON: Final = os.environ  # noqa: TID251 - where the built programs are kept is the caller's choice
_NEED_PROGRAMS: Final = {
    "actionlint": ACTIONLINT,
    "controlplane": TOOLS,
    "flux": FLUX,
    "helm": TOOLS,
    "prometheus": MONITORING,
    "promtool": MONITORING,
    "readers": READERS,
    "own_cluster": TOOLS,
    "runner": TOOLS,
    "shared_cluster": TOOLS,
}

# A deadline depends on the machine. Without --hypothesis-profile=ci examples are new in each run; those of `ci` are the
# same each time, so more of them would find nothing that the first run has not.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True, max_examples=40)
settings.register_profile("fast", deadline=None, max_examples=10)
settings.register_profile("ci-fast", settings.get_profile("ci"), max_examples=10)
settings.register_profile("soak", deadline=None, max_examples=5000, print_blob=True)
settings.load_profile("local")


def aloud(config: pytest.Config) -> AbstractContextManager[None]:
    """Shows what is printed meanwhile on the terminal."""
    capture: Any = config.pluginmanager.getplugin("capturemanager")
    uncaptured: AbstractContextManager[None] = capture.global_and_fixture_disabled()
    return uncaptured


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks each test that needs programs which have to be built: `-m "not cluster"` leaves them out."""
    for item in items:
        if not _NEED_PROGRAMS.keys().isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.cluster)


def _needed_by(item: pytest.Item) -> tuple[Tool, ...]:
    """The programs that a test needs: its fixtures say so, or else its mark."""
    used = _NEED_PROGRAMS.keys() & set(getattr(item, "fixturenames", ()))
    if used:
        return tuple(tool for name in sorted(used) for tool in _NEED_PROGRAMS[name])
    return TOOLS if item.get_closest_marker("cluster") else ()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds what the chosen tests will start: here a minutes-long first build runs into no test's time limit."""
    needed = {tool: None for item in session.items for tool in _needed_by(item)}
    if session.config.option.collectonly or not needed:
        return
    with aloud(session.config):
        try:
            ensure_tools(_ENVIRON, sys.stderr, tuple(needed))
        except (BuildFailed, GoMissing) as error:
            pytest.exit(f"{error}\n`make tools` tries again; -m 'not cluster' leaves these tests out.", returncode=1)


@pytest.fixture(scope="session")
def controlplane(request: pytest.FixtureRequest) -> Iterator[ControlPlane]:
    """The control plane that all tests of this run share, with our CRDs; its logs are kept when a test failed."""
    folder = Path(tempfile.mkdtemp(prefix="vaultsync-tests-"))
    with ControlPlane(ensure_tools(_ENVIRON, sys.stderr), folder) as plane:
        plane.install(_ROOT / "crds")
        yield plane
    if request.session.testsfailed:
        kept = Path(tempfile.mkdtemp(prefix="vaultsync-logs-"))
        shutil.copytree(plane.logs, kept, dirs_exist_ok=True)
        with aloud(request.config):
            sys.stderr.write(f"\nThe control plane's logs are kept in {kept}\n")
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """The program helm, without a cluster."""
    return Helm(ensure_tools(_ENVIRON, sys.stderr)["helm"], tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def promtool() -> Promtool:
    """The program that judges metrics, queries and rules."""
    return Promtool(ensure_tools(_ENVIRON, sys.stderr, MONITORING)["promtool"])


@pytest.fixture(scope="session")
def actionlint() -> Path:
    """Where the program actionlint is."""
    return ensure_tools(_ENVIRON, sys.stderr, ACTIONLINT)["actionlint"]


@pytest.fixture(scope="session")
def flux() -> Flux:
    """How Flux sees objects."""
    return Flux(ensure_tools(_ENVIRON, sys.stderr, FLUX)["flux-health"])


@pytest.fixture(scope="session")
def readers() -> Readers:
    """The programs that read Secrets."""
    return Readers(ensure_tools(_ENVIRON, sys.stderr, READERS)["readers"])


@pytest.fixture(scope="session")
def prometheus() -> Path:
    """Where the program prometheus is."""
    return ensure_tools(_ENVIRON, sys.stderr, MONITORING)["prometheus"]


@pytest.fixture(scope="session")
def _administrator(controlplane: ControlPlane) -> Iterator[KubernetesApi]:
    """The API server for what every test needs; a kubectl process for each request would take a third of the time."""
    with KubernetesApi(controlplane.kubeconfig) as api:
        yield api


@pytest.fixture
def namespace(_administrator: KubernetesApi) -> Iterator[str]:
    """A namespace of the test's own, deleted after it."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    metadata = {"name": name}
    _administrator.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    yield name
    _administrator.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The Key Vault emulator that all tests of this run share."""
    with Emulator.start(tmp_path_factory.mktemp("emulator")) as running:
        yield running


@pytest.fixture
def vault(emulator: Emulator) -> EmulatedVault:
    """A vault of the test's own: its calls, refusals and closed doors are no other test's."""
    return emulator.add_vault(f"test-{uuid.uuid4().hex[:8]}")
