"""Which programs that others installed are used: stand-ins that tell their version."""

import io
import os
from pathlib import Path

import pytest

from tests.controlplane.build import API_SERVER, version_of
from tests.controlplane.installed import find_tools
from tests.controlplane.test_build import build_count, compiler, program

NAMES = {tool.name for tool in API_SERVER}
KUBERNETES = version_of(API_SERVER[1])
MINOR = ".".join(KUBERNETES.removeprefix("v").split(".")[:2])
ENVTEST = """#!/bin/sh
[ "$*" = "use --installed-only --print=path {minor}.x" ] && echo {folder}
"""


def installed(folder: Path, **versions: str) -> Path:
    """A folder of programs that tell these versions, by default those that are wanted."""
    folder.mkdir()
    for tool in API_SERVER:
        version = versions.get(tool.name.replace("-", "_"), version_of(tool))
        program(folder / tool.name).write_text(f"#!/bin/sh\necho 'Some words: {version}'\n")
    return folder


def with_path(environ: dict[str, str], folder: Path) -> dict[str, str]:
    """The same environment with one more folder on PATH."""
    first, _, others = environ["PATH"].partition(os.pathsep)
    return {**environ, "PATH": os.pathsep.join([first, str(folder), others])}


def test_programs_of_this_minor_version_on_path_are_used(tmp_path: Path) -> None:
    folder = installed(tmp_path / "bin", kube_apiserver=f"v{MINOR}.99")
    environ = with_path(compiler(tmp_path / "go"), folder)

    assert find_tools(environ, io.StringIO()) == {name: folder / name for name in NAMES}
    assert build_count(environ) == 0


@pytest.mark.parametrize("version", ["v1.2.3", "no version"])
def test_a_program_of_another_version_is_built_instead(version: str, tmp_path: Path) -> None:
    folder = installed(tmp_path / "bin", kubectl=version)
    environ = with_path(compiler(tmp_path / "go"), folder)

    tools = find_tools(environ, io.StringIO())

    assert tools["kubectl"].read_text() == "program\n"
    assert {tools["etcd"], tools["kube-apiserver"]} == {folder / "etcd", folder / "kube-apiserver"}


def test_what_setup_envtest_has_installed_is_used(tmp_path: Path) -> None:
    folder = installed(tmp_path / "1.x")
    environ = compiler(tmp_path / "go")
    program(tmp_path / "go" / "setup-envtest").write_text(ENVTEST.format(minor=MINOR, folder=folder))

    assert find_tools(environ, io.StringIO()) == {name: folder / name for name in NAMES}


def test_without_them_everything_is_built(tmp_path: Path) -> None:
    environ = compiler(tmp_path / "go")

    assert find_tools(environ, io.StringIO()).keys() == NAMES
    assert build_count(environ) == len(NAMES)
