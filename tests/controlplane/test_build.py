"""The build of the programs, with a stand-in for the compiler; the real one builds those that tests run."""

import io
import os
import stat
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.controlplane.build import TOOLS, BuildFailed, ensure_tools, kubernetes_modules
from tests.controlplane.golang import GoMissing, find_go

NAMES = {tool.name for tool in TOOLS}

COMPILER = """#!/bin/sh
if [ "$1" = env ]; then echo go{version}; exit; fi
if [ "$1" = list ]; then echo "go: downloading one" >&2; echo fmt; echo main; exit; fi
echo build >> "$(dirname "$0")/builds"
{body}
"""
WRITES_THE_PROGRAM = 'echo main >&2; while [ "$1" != -o ]; do shift; done; echo program > "$2"'
REFUSES = 'while [ "$1" != -o ]; do shift; done; echo half > "$2"; echo "module lookup failed" >&2; exit 1'


def compiler(folder: Path, body: str = WRITES_THE_PROGRAM, version: str = "1.99.0") -> dict[str, str]:
    """The environment of a user who has this Go, and an empty home."""
    folder.mkdir(exist_ok=True)
    program(folder / "go").write_text(COMPILER.format(version=version, body=body))
    return {"PATH": f"{folder}{os.pathsep}{os.defpath}", "HOME": str(folder / "home")}


def program(path: Path) -> Path:
    """An executable file."""
    path.touch()
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def build_count(environ: Mapping[str, str]) -> int:
    """How often the stand-in was called to build."""
    log = Path(environ["PATH"].split(os.pathsep)[0]) / "builds"
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_every_program_is_built_and_announced(tmp_path: Path) -> None:
    out = io.StringIO()

    tools = ensure_tools(compiler(tmp_path), out)

    assert set(tools) == NAMES
    assert all(place.read_text() == "program\n" for place in tools.values())
    assert all(
        f"{number} of {len(TOOLS)}: {tool.name}: 1 of at most 2 packages compiled" in out.getvalue()
        for number, tool in enumerate(TOOLS, start=1)
    )


def test_what_is_built_is_not_built_again(tmp_path: Path) -> None:
    environ = compiler(tmp_path)
    first = ensure_tools(environ, io.StringIO())

    second = ensure_tools(environ, io.StringIO())

    assert second == first
    assert build_count(environ) == len(TOOLS)


def test_two_builders_at_once_build_once(tmp_path: Path) -> None:
    environ = compiler(tmp_path)
    builders = [threading.Thread(target=ensure_tools, args=[environ, io.StringIO()]) for _ in range(2)]

    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()

    assert build_count(environ) == len(TOOLS)


def test_programs_of_another_origin_are_taken_and_only_the_rest_is_built(tmp_path: Path) -> None:
    assets = tmp_path / "assets"
    assets.mkdir()
    given = {name: program(assets / name) for name in ("etcd", "kube-apiserver", "kubectl")}
    environ = {**compiler(tmp_path / "go"), "KUBEBUILDER_ASSETS": str(assets)}

    tools = ensure_tools(environ, io.StringIO())

    assert {name: tools[name] for name in given} == given
    assert build_count(environ) == len(TOOLS) - len(given)


OTHER_VERSIONS = list(kubernetes_modules())[1:]


@pytest.mark.parametrize("version", OTHER_VERSIONS)
def test_another_version_of_kubernetes_is_built_beside_the_default_one(version: str, tmp_path: Path) -> None:
    environ = compiler(tmp_path)
    default = ensure_tools(environ, io.StringIO())

    tools = ensure_tools({**environ, "CONTROLPLANE_KUBERNETES": version}, io.StringIO())

    others = {name for name in NAMES if tools[name] != default[name]}
    assert others == {"kube-apiserver", "kube-controller-manager", "kubectl"}
    assert {tools[name].parent.name.rpartition("-")[0] for name in others} == {f"kubernetes-{version}"}


def test_the_default_version_of_kubernetes_can_be_named(tmp_path: Path) -> None:
    environ = compiler(tmp_path)
    default = ensure_tools(environ, io.StringIO())

    tools = ensure_tools({**environ, "CONTROLPLANE_KUBERNETES": next(iter(kubernetes_modules()))}, io.StringIO())

    assert tools == default


def test_a_version_of_kubernetes_that_is_not_pinned_is_refused_with_those_that_are(tmp_path: Path) -> None:
    environ = {**compiler(tmp_path), "CONTROLPLANE_KUBERNETES": "1.0"}

    with pytest.raises(BuildFailed, match=f"choose one of .*{OTHER_VERSIONS[0]}"):
        ensure_tools(environ, io.StringIO())


def test_programs_of_another_origin_give_way_to_the_version_asked_for(tmp_path: Path) -> None:
    assets = tmp_path / "assets"
    assets.mkdir()
    given = {name: program(assets / name) for name in ("etcd", "kube-apiserver")}
    wanted = {"KUBEBUILDER_ASSETS": str(assets), "CONTROLPLANE_KUBERNETES": OTHER_VERSIONS[0]}

    tools = ensure_tools({**compiler(tmp_path / "go"), **wanted}, io.StringIO())

    assert tools["etcd"] == given["etcd"]
    assert tools["kube-apiserver"] != given["kube-apiserver"]


def test_a_refused_build_says_why_and_leaves_nothing_that_looks_built(tmp_path: Path) -> None:
    environ = compiler(tmp_path, REFUSES)

    with pytest.raises(BuildFailed, match="module lookup failed"):
        ensure_tools(environ, io.StringIO())

    left = {path.name for path in (tmp_path / "home").rglob("*") if path.is_file()}
    assert left == {"lock", "etcd.log", "etcd.packages"}


def test_the_cache_moves_with_the_users_wish(tmp_path: Path) -> None:
    environ = {**compiler(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "elsewhere")}

    tools = ensure_tools(environ, io.StringIO())

    assert all(place.is_relative_to(tmp_path / "elsewhere" / "vaultsync") for place in tools.values())


@pytest.mark.parametrize("version", ["1.26.0", "1.26.1", "1.30", "2.0.0"])
def test_a_go_that_is_new_enough_is_taken_from_path(version: str, tmp_path: Path) -> None:
    environ = compiler(tmp_path, version=version)

    assert find_go("1.26.0", environ) == tmp_path / "go"


def test_a_go_that_is_too_old_gives_way_to_the_one_beside_python(tmp_path: Path) -> None:
    environ = compiler(tmp_path, version="1.9.7")

    assert find_go("1.26.0", environ).parent != tmp_path


def test_without_any_go_the_message_says_where_to_get_one(tmp_path: Path) -> None:
    environ = compiler(tmp_path, version="1.25.9")

    with pytest.raises(GoMissing, match="`make install` brings one along"):
        find_go("99.0", environ)
