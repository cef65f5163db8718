"""The pictures of the demo: drawn from the recordings beside them, readable, and without anything to load."""

import io
import xml.etree.ElementTree as ET  # our own files
from pathlib import Path
from typing import Final

import pytest

from demo.recording.__main__ import RECORDING, drawings
from demo.recording.cast import Output, Recorder, load, save, without_idle_time
from demo.recording.svg import animated, rows_of, still
from demo.terminal import Terminal

MAX_BYTES: Final = 300_000
DRAWN: Final = drawings()


def texts(svg: str) -> list[str]:
    """All texts of a picture, but its title."""
    return [element.text or "" for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")][1:]  # noqa: S314


@pytest.mark.parametrize("path", DRAWN, ids=lambda path: path.name)
def test_a_picture_is_that_of_its_recording(path: Path) -> None:
    assert path.read_text() == DRAWN[path], "make recording ARGS=--again"


@pytest.mark.parametrize("path", DRAWN, ids=lambda path: path.name)
def test_a_picture_is_small_and_loads_nothing(path: Path) -> None:
    svg = DRAWN[path]

    assert len(svg.encode()) < MAX_BYTES
    assert not any(word in svg for word in ("<script", "href", "url(", "@import"))


def test_the_recording_is_a_whole_run() -> None:
    shown = "".join(output.text for output in load(RECORDING))

    assert "1. A control plane" in shown
    assert "Results" in shown
    assert "\N{BALLOT X}" not in shown


def test_the_steps_of_a_terminal_are_recorded_with_their_styles_and_survive_a_file(tmp_path: Path) -> None:
    with Recorder(io.StringIO()) as screen:
        terminal = Terminal({"PATH": "/bin:/usr/bin"}, screen)
        terminal.title("A step")
        terminal.run("printf '\\033[31mred\\033[0m on a terminal\\n'; test -t 1")
        outputs = screen.outputs

    save(outputs, tmp_path / "cast")

    assert load(tmp_path / "cast") == outputs
    assert texts(still(rows_of(outputs), "title")) == [
        "1. A step",
        "$",
        "printf '\\033[31mred\\033[0m on a terminal\\n'; test -t 1",
        "red",
        "on a terminal",
    ]


def test_a_long_line_is_wrapped_like_a_terminal_does() -> None:
    rows = rows_of([Output(0, "x" * 25 + "\n\n"), Output(1, "y\n")], columns=10)

    assert [row.text.plain for row in rows] == ["x" * 10, "x" * 10, "x" * 5, "", "y"]


def test_long_waits_are_cut_and_short_ones_kept() -> None:
    outputs = without_idle_time([Output(0.5, "a"), Output(60.5, "b"), Output(60.75, "c")])

    assert [output.seconds for output in outputs] == pytest.approx([0.5, 1.7, 1.95])


def test_rows_appear_when_they_were_written_and_scroll_when_the_window_is_full() -> None:
    svg = animated([Output(index / 10, f"line {index}\n") for index in range(40)], "title")

    assert texts(svg) == [f"line {index}" for index in range(40)]
    assert "translateY(-144px)" in svg
    assert "prefers-reduced-motion" in svg
