"""The layers of the code: modules import only what they may and no cycle, and parts refer to those before them."""

import ast
import operator
import subprocess
import sys
import sysconfig
import types
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Final

import pytest

from tests.harness import MemoryHarness, running_harness
from vaultsync.controller.reconcile import Reconciler
from vaultsync.state.stores import State
from vaultsync.state.vaults import VaultStore

ROOT: Final = Path(__file__).parents[2]


def test_every_import_contract_is_kept() -> None:
    program = Path(sysconfig.get_path("scripts")) / "lint-imports"

    done = subprocess.run([program, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_the_source_root_holds_packages_and_no_module() -> None:
    modules = [path.name for path in (ROOT / "operator").glob("*.py")]

    assert modules == [], "a module here would make a package of operator/, which shadows the standard library's"


def test_import_operator_finds_the_standard_librarys_from_the_root_of_the_checkout() -> None:
    program = "import operator; print(operator.__file__)"

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == operator.__file__
    assert Path(operator.__file__).is_relative_to(sysconfig.get_path("stdlib"))


# which module imports which


def imported_by(path: Path, modules: Collection[str]) -> Iterator[str]:
    """Yield the modules of ours that a file imports, wherever in the file that is."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names):
                yield from (alias.name for alias in names if alias.name in modules)
            case ast.ImportFrom(module=str(package), names=names, level=0):
                for alias in names:
                    name = f"{package}.{alias.name}"
                    yield name if name in modules else package
            case ast.ImportFrom():
                raise AssertionError(f"{path} has a relative import")


def import_graph() -> dict[str, set[str]]:
    """Return which of our modules each of them imports."""
    paths = {
        ".".join(path.relative_to(ROOT / "operator").with_suffix("").parts).removesuffix(".__init__"): path
        for path in (ROOT / "operator").rglob("*.py")
    }
    return {name: {one for one in imported_by(path, paths) if one in paths} for name, path in paths.items()}


def test_no_two_modules_import_each_other() -> None:
    graph = import_graph()

    assert "vaultsync.policy.requeue" in graph["vaultsync.controller.queue"]
    assert cycle_of(graph) is None


def test_the_composition_root_postpones_no_name_by_a_lambda() -> None:
    trees = {
        path.name: ast.parse(path.read_text()) for path in (ROOT / "operator" / "vaultsync" / "manager").glob("*.py")
    }

    assert "build.py" in trees
    assert [name for name, tree in trees.items() for node in ast.walk(tree) if isinstance(node, ast.Lambda)] == []


# which part refers to which


def cycle_of(graph: Mapping[Any, Collection[Any]]) -> list[Any] | None:
    """Return a cycle of a graph, if there is one."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle: list[Any] = error.args[1]
        return cycle
    return None


def is_ours(value: object) -> bool:
    return type(value).__module__.partition(".")[0] == "vaultsync"


def held_by(value: object) -> Iterator[object]:
    """Yield the objects that a value refers to and that our calls can reach."""
    match value:
        case dict():
            yield from (*value.keys(), *value.values())
        case list() | tuple() | set() | frozenset():
            yield from value
        case types.MethodType():
            yield value.__self__
        case partial():
            yield from (value.func, *value.args, *value.keywords.values())
        case types.FunctionType():
            yield from (cell.cell_contents for cell in value.__closure__ or ())
        case _ if is_ours(value) or isinstance(value, MemoryHarness):
            yield from getattr(value, "__dict__", {}).values()
            names = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
            yield from (getattr(value, name) for name in names if hasattr(value, name))


def object_graph(*roots: object) -> tuple[dict[int, set[int]], dict[int, object]]:
    """Return which object refers to which, by id, and the objects."""
    graph: dict[int, set[int]] = {}
    objects: dict[int, object] = {}
    left = list(roots)
    while left:
        value = left.pop()
        if id(value) in objects or isinstance(value, (str, bytes, int, float, type, types.ModuleType)):
            continue
        held = list(held_by(value))
        graph[id(value)], objects[id(value)] = {id(one) for one in held}, value
        left += held
    return graph, objects


def cyclic_parts(*roots: object) -> list[str]:
    """Return the types of a cycle of references, if there is one."""
    graph, objects = object_graph(*roots)
    return [type(objects[one]).__qualname__ for one in cycle_of(graph) or ()]


@pytest.fixture
async def harness() -> Any:  # noqa: ANN401  pytest wraps it
    """An operator that runs and has synced a VaultSecret."""
    async with running_harness() as harness:
        harness.apply()
        await harness.drain()
        await harness.poll()
        assert harness.ready().status == "True"
        yield harness


async def test_no_part_of_the_operator_refers_to_itself_by_way_of_others(harness: MemoryHarness) -> None:
    _, objects = object_graph(harness.controller)

    assert {State, Reconciler, VaultStore} <= {type(one) for one in objects.values()}
    assert cyclic_parts(harness.controller) == []


async def test_a_cycle_of_parts_is_found(harness: MemoryHarness) -> None:
    harness.state.vaults.callback = partial(harness.controller.pollers.sync)  # type: ignore[attr-defined]

    assert {"Pollers", "PollerContext", "State", "VaultStore"} <= set(cyclic_parts(harness.controller))


async def test_state_refers_to_no_source_and_to_no_controller(harness: MemoryHarness) -> None:
    _, objects = object_graph(harness.state)

    modules = {type(one).__module__ for one in objects.values() if is_ours(one)}
    assert "vaultsync.state.vaults" in modules
    assert [name for name in modules if name.startswith(("vaultsync.sources", "vaultsync.controller"))] == []
