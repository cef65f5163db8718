"""The wheel, installed without the extra `operator` into a separate environment."""

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

pytestmark = pytest.mark.slow

ROOT: Final = Path(__file__).parents[2]

USES_THE_LIBRARY: Final = """
from kvsecrets import SecretClient
from kvsecrets.testing import FakeCredential, FakeVault

vault = FakeVault()
with SecretClient(vault.url, FakeCredential(), transport=vault.transport()) as client:
    client.set_secret("db-password", "first")
    client.set_secret("db-password", "second")
    print(client.get_secret("db-password").value.reveal())
"""


def uv(*arguments: str) -> str:
    """Run uv, which is much faster than pip, and return its output."""
    done = subprocess.run([sys.executable, "-m", "uv", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as `make build` builds it."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.iterdir()
    return wheel


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment with the wheel and its dependencies."""
    folder = tmp_path_factory.mktemp("user")
    uv("venv", "--python", sys.executable, str(folder))
    uv("pip", "install", "--python", str(folder / "bin" / "python"), str(wheel))
    return folder / "bin"


def installed(programs: Path) -> set[str]:
    """The distributions in this environment."""
    listed = uv("pip", "list", "--format=freeze", "--python", str(programs / "python"))
    return {line.partition("=")[0] for line in listed.splitlines()}


def test_the_wheel_contains_the_two_packages_and_their_type_markers(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"kvsecrets", "vaultsync"}
    assert {"kvsecrets/py.typed", "vaultsync/py.typed"} <= set(names)


def test_the_library_works_from_the_wheel_alone(programs: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [programs / "python", "-W", "error", "-c", USES_THE_LIBRARY],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("second\n", "")


def test_the_library_depends_on_its_http_clients_and_nothing_of_the_operators(programs: Path) -> None:
    assert {"aiohttp", "httpx"} <= installed(programs)
    assert installed(programs).isdisjoint({"azure-identity", "kopf", "kubernetes", "pydantic", "PyYAML"})


def test_the_operator_says_which_extra_it_needs(programs: Path, tmp_path: Path) -> None:
    done = subprocess.run([programs / "vaultsync", "run"], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert "vaultsync[operator]" in done.stderr
    assert "Traceback" not in done.stderr
