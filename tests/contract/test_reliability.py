"""docs/reliability.md names every fault of the fault suite and its tests, and has a place for the figures of a soak."""

import ast
import re
from itertools import takewhile
from pathlib import Path
from typing import Final

import pytest

from tests.faults.fault import all_faults
from tests.faults.report import Figures, Resources, publish
from tests.faults.soak import episodes
from vaultsync.adapters.metrics.per_vaultsecret import MAX_SERIES
from vaultsync.controller.pace import BURST, SECONDS
from vaultsync.sources.poller import MAX_RETRIES, RETRY_SECONDS

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "reliability.md").read_text()
SECTIONS: Final = {
    "vault": "Faults of a vault",
    "login": "Faults of the login",
    "kubernetes": "Faults of Kubernetes",
    "process": "Faults of the operator's process",
    "leader": "Faults of the leader",
}


def rows(layer: str) -> list[str]:
    """The rows of the table of a layer."""
    _, _, after = PAGE.partition(f"## {SECTIONS[layer]}\n")
    return [
        line
        for line in takewhile(lambda line: not line.startswith("## "), after.splitlines())
        if re.match(r"\|.*`", line)
    ]


@pytest.mark.parametrize("layer", SECTIONS)
def test_each_fault_is_named_once_and_no_other(layer: str) -> None:
    cells = [row.split("|")[1] for row in rows(layer)]
    named = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]

    assert sorted(named) == sorted(fault.name for fault in all_faults() if fault.layer == layer)


def test_each_test_that_is_named_is_there() -> None:
    named = re.findall(r"`(tests/[a-z_/]+\.py)(?:::(\w+))?`", PAGE)

    assert named
    for file, name in named:
        functions = {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if hasattr(node, "name")}
        assert not name or name in functions


def test_the_bounds_are_those_of_the_code() -> None:
    assert f"reconciled {BURST} times at once, and then every {SECONDS:.0f} seconds" in PAGE
    assert f"tried {60 / RETRY_SECONDS * MAX_RETRIES:.0f} times a minute" in PAGE
    assert f"at most {MAX_SERIES:,} series" in PAGE


def test_no_two_faults_have_the_same_name() -> None:
    names = [str(fault) for fault in all_faults()]

    assert len(names) == len(set(names))


def figures() -> Figures:
    return Figures(
        7, 30, recoveries={"vault: refused": [1.0, 9.0]}, events={"rotate": 3}, resources=Resources(80.5, 9, 4)
    )


def test_figures_survive_their_file() -> None:
    assert Figures.from_json(figures().to_json()) == figures()


def test_the_page_has_a_place_for_the_figures_of_the_last_soak() -> None:
    once = publish(PAGE, figures())

    assert "| vault: refused | 2 | 5 | 9 |" in once
    assert publish(once, figures()) == once


def test_a_schedule_comes_from_the_seed_alone_and_has_each_fault() -> None:
    faults = all_faults()
    first, again, other = (
        [str(episode) for episode, _ in zip(episodes(seed, faults), faults, strict=False)] for seed in ("7", "7", "8")
    )

    assert first == again != other
    assert all(any(str(fault) in line for line in first) for fault in faults)
