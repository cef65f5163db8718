"""The Dockerfile, its lock file and the chart agree; what is built from them is tried by `make image-test`."""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.e2e.image import debian
from tests.e2e.image.trimmed import IMPORTS_ALL, TRIMMED

ROOT: Final = Path(__file__).parents[2]
INSTRUCTIONS: Final = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())


def pins(lock: str) -> dict[str, str]:
    """What a lock file pins, with hashes, by the package and the platform that it is for."""
    blocks = re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip())
    return {block.splitlines()[0].removesuffix("\\").strip(): block for block in blocks}


def test_the_image_gets_the_packages_that_were_tested() -> None:
    assert pins("requirements-image.lock").items() <= pins("requirements.lock").items(), "run `make lock`"


def test_the_debian_of_the_tests_is_the_release_of_the_base() -> None:
    (base,) = re.findall(r"^ARG BASE=(\S+)$", INSTRUCTIONS, re.MULTILINE)

    assert debian.SUITE in re.split(r"[:@-]", base)


def test_the_builder_is_sent_what_the_dockerfile_copies() -> None:
    sent = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.*)$", INSTRUCTIONS, re.MULTILINE) for name in line.split()[:-1]
    }

    assert copied == sent


def folder_of(package: str) -> Path:
    """Where a package is installed."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def test_the_operator_imports_nothing_that_is_left_out(tmp_path: Path) -> None:
    for name in TRIMMED:
        shutil.copytree(folder_of(name), tmp_path / name)
    if not (tmp_path / "tzdata" / "zoneinfo").exists():
        pytest.skip("these packages are those of the image already")
    subprocess.run(["sh", ROOT / "trim-packages.sh", tmp_path], check=True)
    environ = {"PYTHONPATH": os.pathsep.join(map(str, (tmp_path, ROOT / "operator"))), "PYTHONDONTWRITEBYTECODE": "1"}

    program = f"{IMPORTS_ALL}\nprint(*(__import__(name).__path__[0] for name in {TRIMMED}))"
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False)

    assert (done.stderr, done.stdout.split()) == ("", [str(tmp_path / name) for name in TRIMMED])


def test_every_stage_is_built_on_one_base_which_is_named_by_its_digest() -> None:
    (base,) = re.findall(r"^ARG BASE=(\S+)$", INSTRUCTIONS, re.MULTILINE)

    assert re.fullmatch(r"docker\.io/library/python:[\w.-]+@sha256:[0-9a-f]{64}", base)
    stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", INSTRUCTIONS, re.MULTILINE)
    assert {origin for origin, _ in stages} - {name for _, name in stages} == {"${BASE}"}


def test_the_emulator_is_in_an_image_of_its_own_only() -> None:
    stages = {stage.split("\n")[0]: stage for stage in re.split(r"^FROM ", INSTRUCTIONS, flags=re.MULTILINE)[1:]}

    with_emulator = [name for name, stage in stages.items() if re.search(r"\b(demo|tests)/", stage)]

    assert with_emulator == ["runtime AS emulator"]
    assert list(stages)[-1] == "runtime", "what is built by default is the operator"


def test_the_image_names_a_user_by_number_which_is_not_root() -> None:
    assert re.findall(r"^USER (\d+):\d+$", INSTRUCTIONS, re.MULTILINE) == ["65532"]


def test_the_image_runs_by_default_what_the_chart_configures() -> None:
    golden = yaml.safe_load_all((ROOT / "tests" / "contract" / "golden" / "default.yaml").read_text())
    (deployment,) = [document for document in golden if document["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]

    (command,) = re.findall(r"^CMD (\[.*\])$", INSTRUCTIONS, re.MULTILINE)

    assert yaml.safe_load(command) == container["args"]
