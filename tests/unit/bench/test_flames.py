"""Profiles: read from py-spy's lines, drawn, and summed up by function and package."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.flames import NoProfiler, Profile, profiler

RAW = (
    "main (vaultsync/__main__.py:3);reconcile (vaultsync/controller/reconcile.py:10);write (asyncio/events.py:1) 60",
    "main (vaultsync/__main__.py:3);reconcile (vaultsync/controller/reconcile.py:44) 39",
    "main (vaultsync/__main__.py:3);seldom & <small> (vaultsync/rare.py:1) 1",
)


def profile() -> Profile:
    read = Profile()
    read.read(RAW)
    return read


def test_lines_of_one_function_are_one_frame() -> None:
    assert profile().top(2) == [
        ("write (asyncio/events.py)", 0.6, 0.6),
        ("reconcile (vaultsync/controller/reconcile.py)", 0.39, 0.99),
    ]


def test_packages_have_what_they_use_themselves_and_what_they_call() -> None:
    assert profile().by_package() == [("asyncio", 0.6, 0.6), ("vaultsync", 0.4, 1.0)]


def test_a_graph_has_each_frame_with_its_share_at_the_depth_of_its_call(tmp_path: Path) -> None:
    profile().draw("a sync", tmp_path / "graph.svg")
    groups = ET.parse(tmp_path / "graph.svg").getroot().findall("{*}g")  # noqa: S314  our own
    titles = [group.findtext("{*}title") for group in groups]
    assert titles == [
        "a sync: 100.0%",
        "main (vaultsync/__main__.py): 100.0%",
        "reconcile (vaultsync/controller/reconcile.py): 99.0%",
        "write (asyncio/events.py): 60.0%",
        "seldom & <small> (vaultsync/rare.py): 1.0%",
    ]
    tops = [int(rect.get("y") or "") // 16 for group in groups if (rect := group.find("{*}rect")) is not None]
    assert tops == [0, 1, 2, 3, 2]


def test_frames_too_narrow_to_read_are_left_out(tmp_path: Path) -> None:
    wide = Profile()
    wide.read([*RAW, "other (a.py:1) 900"])
    wide.draw("a sync", tmp_path / "graph.svg")
    assert "seldom" not in (tmp_path / "graph.svg").read_text()


def test_a_sample_without_a_frame_is_the_interpreters() -> None:
    read = Profile()
    read.read([*RAW, " 100"])
    assert read.top(1) == [("the interpreter", 0.5, 0.5)]
    assert read.by_package()[0] == ("the interpreter", 0.5, 0.5)


def test_a_missing_profiler_is_named() -> None:
    with pytest.raises(NoProfiler, match="pip install py-spy"):
        profiler("no-such-program")
