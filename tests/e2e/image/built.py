"""The operator from its image, with the chart's ServiceAccount, arguments and variables, as a pod would start it.

Its name keeps it out of `make test`: it takes minutes, needs root, and downloads packages. `make image-test` runs it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from tests.controlplane.plane import ControlPlane
from tests.e2e.harness import Harness
from tests.e2e.image import service
from tests.e2e.image.buildah import SERVICE_ACCOUNT, Image, Pod, built, megabytes
from tests.e2e.image.contained import ContainedOperator, first_within, options_of_root, status_of
from tests.e2e.image.trimmed import IMPORTS_ALL
from tests.e2e.installation import Installation
from tests.e2e.kubernetes import KubernetesApi
from tests.e2e.recorder import ObjectRecorder
from tests.emulator.client import Emulator
from vaultsync import __version__

Environ = Mapping[str, str]

MAX_MEGABYTES: Final = 90
"""What the image may have beside its base."""

LISTS_PACKAGES: Final = """
from importlib.metadata import distributions
for each in distributions(): print(f"{each.name.lower().replace('_', '-')}=={each.version}")
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The image of this checkout."""
    with built(tmp_path_factory.mktemp("image")) as image:
        yield image


@pytest.fixture
def pod() -> Iterator[Pod]:
    """A pod that has nothing yet."""
    # Not in tmp_path, whose folders are closed to the image's user.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        pod = Pod(Path(folder) / "service-account", Path(folder) / "hosts")
        pod.service_account.mkdir()
        pod.hosts.touch()
        yield pod


@pytest.fixture
def harness(api: KubernetesApi, recorder: ObjectRecorder, emulator: Emulator) -> Harness:
    """A namespace and a vault."""
    return Harness.new(api, recorder, emulator)


def output(image: Image, pod: Pod, *command: str) -> str:
    """The output of a program that runs in the image."""
    done = subprocess.run([*image.within(pod), *command], env=image.environ, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def environ(pod: Pod, controlplane: ControlPlane, installation: Installation, emulator: Emulator) -> Iterator[Environ]:
    """The variables of a pod of the installation, whose files are written."""
    described = installation.environ()
    config = json.loads(Path(described["KUBECONFIG"]).read_text())
    (pod.service_account / "token").write_text(config["users"][0]["user"]["token"])
    (pod.service_account / "namespace").write_text(installation.namespace)
    shutil.copy(config["clusters"][0]["cluster"]["certificate-authority"], pod.service_account / "ca.crt")
    shutil.copy(emulator.ca_file, pod.service_account / "vaults.crt")
    pod.hosts.write_text(f"127.0.0.1 localhost\n{service.ADDRESS} {service.NAME}\n")
    for path in (pod.hosts, *pod.service_account.iterdir()):
        path.chmod(0o444)
    address = urlsplit(controlplane.url)
    assert address.port is not None
    with service.in_front_of(address.port):
        yield {
            **{name: value for name, value in described.items() if name.startswith("VAULTSYNC_")},
            **emulator.environment(),
            "SSL_CERT_FILE": f"/{SERVICE_ACCOUNT}/vaults.crt",
            "KUBERNETES_SERVICE_HOST": str(address.hostname),
            "KUBERNETES_SERVICE_PORT": str(address.port),
        }


def test_the_entry_point_is_the_command_line(image: Image, pod: Pod) -> None:
    assert output(image, pod, *image.entry_point, "--version") == f"vaultsync {__version__}\n"


def test_the_emulator_is_an_image_of_its_own(image: Image, pod: Pod, tmp_path: Path) -> None:
    with built(tmp_path, "emulator") as emulator:
        usage = output(emulator, pod, *emulator.entry_point, "--help")
        client = output(emulator, pod, "python", "-m", "demo.vault", "--help")

    assert "not for real secrets" in usage
    assert "generate" in client
    assert not (image.root / "opt" / "emulator").exists()


def test_nothing_can_be_written(image: Image, pod: Pod) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        output(image, pod, "touch", "/tmp/file", "/opt/vaultsync/file")  # noqa: S108 - the image's own

    assert caught.value.stderr.count("Read-only file system") == 2


def test_the_environment_holds_what_is_pinned_and_no_tool_of_the_build(image: Image, pod: Pod) -> None:
    packages = set(output(image, pod, "/opt/vaultsync/bin/python", "-c", LISTS_PACKAGES).splitlines())

    lock = (Path(__file__).parents[3] / "requirements-image.lock").read_text()
    pins = {line.split(" ")[0] for line in lock.splitlines() if "==" in line}
    assert packages - pins == {f"{own}=={__version__}" for own in ("kvsecrets", "vaultsync")}
    assert not any(package.startswith(("hatchling", "pip==")) for package in packages)


def test_the_image_is_small(image: Image) -> None:
    assert megabytes(image.own) <= MAX_MEGABYTES, "python -m tests.e2e.image size"


def test_what_is_left_out_of_the_image_is_imported_by_no_module(image: Image, pod: Pod) -> None:
    assert output(image, pod, "/opt/vaultsync/bin/python", "-c", IMPORTS_ALL) == ""


def test_a_first_process_that_handles_no_signal_is_not_stopped_by_one(image: Image, pod: Pod) -> None:
    program = [*image.within(pod), "/bin/sh", "-c", "echo begun; read -r line; echo $line"]
    with subprocess.Popen(
        program, env=image.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as outside:
        assert outside.stdin is not None
        assert outside.stdout is not None
        begun = outside.stdout.readline()

        os.kill(first_within(outside.pid), signal.SIGTERM)
        rest, _ = outside.communicate("still here\n")

    assert (begun, rest, outside.returncode) == ("begun\n", "still here\n", 0)


def test_an_operator_started_from_the_image_is_process_1_syncs_a_secret_and_stops_on_sigterm(
    *,
    image: Image,
    pod: Pod,
    environ: Environ,
    installation: Installation,
    harness: Harness,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    program = [*image.within(pod), *image.entry_point]
    made = harness.put()
    harness.apply()

    began = time.monotonic()
    with ContainedOperator.start(
        {**image.environ, **environ}, tmp_path / "log", program=program, arguments=installation.arguments()
    ) as operator:
        operator.await_ready()
        ready = time.monotonic() - began
        harness.await_content(password=made)
        seen, root = status_of(operator.first), options_of_root(operator.first)
        signalled = time.monotonic()
        status = operator.stop()
        took = time.monotonic() - signalled

    assert (seen["NSpid"][-1], set(seen["Uid"]), set(seen["Gid"])) == ("1", {"65532"}, {"65532"})
    assert "ro" in root
    assert status == 0
    with capsys.disabled():
        sizes = f"{megabytes(image.root)} MB, {megabytes(image.own)} of them beside the base"
        times = f"ready after {ready:.1f} s, and ended {took:.1f} s after SIGTERM"
        sys.stderr.write(f"\nThe image holds {sizes}; the operator, process 1, was {times}.\n")
