"""The wheels of vaultsync and kvsecrets: what they contain and require, and the library without the operator."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement

import kvsecrets
import vaultsync

pytestmark = pytest.mark.slow

ROOT: Final = Path(__file__).parents[2]
LIBRARY: Final = ROOT / "operator" / "kvsecrets"

USES_THE_LIBRARY: Final = """
from kvsecrets import SecretClient
from kvsecrets.testing import FakeCredential, FakeVault

vault = FakeVault()
with SecretClient(vault.url, FakeCredential(), transport=vault.transport()) as client:
    client.set_secret("db-password", "first")
    client.set_secret("db-password", "second")
    print(client.get_secret("db-password").value.reveal())
"""

OPENS_AN_ASYNC_CLIENT: Final = """
from kvsecrets import AsyncSecretClient
from kvsecrets.testing import AsyncFakeCredential, FakeVault

AsyncSecretClient(FakeVault().url, AsyncFakeCredential(), transport=FakeVault().async_transport())
try:
    AsyncSecretClient(FakeVault().url, AsyncFakeCredential())
except ImportError as error:
    print(error)
"""

NEEDED_BY_ITS_TESTS: Final = (
    "azure-identity",
    "azure-keyvault-secrets",
    "cryptography",
    "hypothesis",
    "mypy",
    "opentelemetry-sdk",
    "pytest",
    "pytest-asyncio",
    "pytest-timeout",
    "trustme",
)


def run(*command: object, cwd: Path = ROOT) -> str:
    """Run a program, and return its output."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def uv(*arguments: object) -> str:
    """Run uv, which is much faster than pip, and return its output."""
    return run(sys.executable, "-m", "uv", *arguments)


def install(folder: Path, *packages: object) -> Path:
    """Make an environment with packages, and return its Python."""
    python = folder / "bin" / "python"
    uv("venv", "--python", sys.executable, folder)
    uv("pip", "install", "--python", python, "--constraint", "requirements.lock", *packages)
    return python


def built(project: Path, folder: Path) -> Path:
    """Build a wheel as `make build` does."""
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder, cwd=project)
    (wheel,) = folder.iterdir()
    return wheel


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(LIBRARY, tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(ROOT, tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="module")
def python(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the library and what it requires."""
    return install(tmp_path_factory.mktemp("user"), library)


def files(wheel: Path) -> set[str]:
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


def metadata(wheel: Path) -> Message:
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(archive.read(name).decode())


def sources(package: Path) -> Iterable[str]:
    """The modules of a package, its type marker and its page of reasons, as they are named in a wheel."""
    for path in package.rglob("*"):
        if path.suffix == ".py" or path.name in {"py.typed", "reasons.md"}:
            yield str(path.relative_to(package.parent))


def test_each_wheel_has_its_package_and_nothing_else(library: Path, operator: Path) -> None:
    assert files(library) == set(sources(LIBRARY))
    assert files(operator) == set(sources(ROOT / "operator" / "vaultsync"))


def test_the_operator_requires_the_library_at_its_own_version(library: Path, operator: Path) -> None:
    assert kvsecrets.__version__ == vaultsync.__version__ == metadata(library)["Version"]
    assert f"kvsecrets[asyncio]=={vaultsync.__version__}" in metadata(operator).get_all("Requires-Dist", [])


def test_the_licences_are_the_same() -> None:
    assert (LIBRARY / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_library_requires_httpx_alone_and_brings_no_command(library: Path, python: Path) -> None:
    required = metadata(library).get_all("Requires-Dist", [])
    assert [Requirement(one).name for one in required if "extra" not in one] == ["httpx"]
    listed = {line.partition("=")[0] for line in uv("pip", "list", "--format=freeze", "--python", python).splitlines()}
    assert {"httpx", "kvsecrets"} <= listed
    assert listed.isdisjoint({"aiohttp", "azure-identity", "kopf", "kubernetes", "pydantic", "vaultsync"})
    assert not any(name.endswith("entry_points.txt") for name in zipfile.ZipFile(library).namelist())


def test_the_library_works_alone(python: Path, tmp_path: Path) -> None:
    assert run(python, "-W", "error", "-c", USES_THE_LIBRARY, cwd=tmp_path) == "second\n"


def test_a_client_for_asyncio_says_which_extra_it_needs(python: Path, tmp_path: Path) -> None:
    said = run(python, "-W", "error", "-c", OPENS_AN_ASYNC_CLIENT, cwd=tmp_path)

    assert "aiohttp is not installed: pip install 'kvsecrets[asyncio]'" in said


def test_the_library_passes_its_own_tests_from_its_wheel(library: Path, tmp_path: Path) -> None:
    python = install(tmp_path / "venv", f"{library}[asyncio]", *NEEDED_BY_ITS_TESTS)
    checkout = tmp_path / "checkout"
    for part in ("tests/unit/kvsecrets", "tests/typing", "docs/samples"):
        shutil.copytree(ROOT / part, checkout / part, ignore=shutil.ignore_patterns("__pycache__"))
    for package in ("tests", "tests/unit"):
        (checkout / package / "__init__.py").touch()

    options = ("-q", "-p", "no:cacheprovider", "--import-mode=importlib", "-o", "asyncio_mode=auto", "-m", "not slow")
    run(python, "-m", "pytest", *options, "tests/unit/kvsecrets", "docs/samples", cwd=checkout)
    run(python, "-m", "mypy", "--strict", "tests/typing/public_api.py", cwd=checkout)
