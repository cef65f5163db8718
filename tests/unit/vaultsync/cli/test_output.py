"""Tables and lines: plain, with colours, and with texts that others wrote for a terminal."""

import io
import json
import sys

import pytest

from vaultsync.cli.output import Cell, Color, MissingExtra, Output, Style, open_output

HOSTILE = "a\x1b[2J\x1b]0;owned\x07b\r\nc\u202ed\x9b31m[red]"
"""What clears the screen, sets the title, forges a line, reverses the text, and looks like rich's markup."""


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def written(stream: io.StringIO, color: Color = Color.AUTO, **environ: str) -> Output:
    return open_output(stream, environ, color)


def test_a_plain_table_has_columns_and_no_escapes() -> None:
    stream = io.StringIO()

    output = written(stream)
    output.table(["NAME", "READY"], [[Cell("database"), Cell("True", Style.GOOD)], [Cell("web"), Cell("")]])
    output.row([Cell("x"), Cell("False")])

    assert stream.getvalue() == "NAME       READY\ndatabase   True\nweb\nx          False\n"


@pytest.mark.parametrize("color", [Color.NEVER, Color.ALWAYS], ids=["plain", "rich"])
def test_no_text_of_others_reaches_a_terminal_as_it_is(color: Color) -> None:
    stream = Terminal()

    output = written(stream, color)
    output.table(["MESSAGE"], [[Cell(HOSTILE)]])
    output.row([Cell(HOSTILE)])
    output.line(Cell("  ✗ ", Style.BAD), Cell(HOSTILE))
    output.json({"message": HOSTILE})

    text = stream.getvalue()
    assert "[red]" in text
    assert not {"\x07", "\r", "\u202e", "\x9b"} & set(text)
    assert "\x1b[2J" not in text
    assert "\x1b]" not in text
    assert color is Color.ALWAYS or "\x1b" not in text


def test_a_table_is_not_cut_to_the_width_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    stream = Terminal()

    written(stream).table(["NAME", "MESSAGE"], [[Cell("n" * 30), Cell("m " * 30)], [Cell("db"), Cell("")]])

    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert "n" * 30 in lines[1]
    assert "m " * 29 in lines[1]
    assert lines[2] == "db"


def test_a_text_is_bounded() -> None:
    stream = io.StringIO()

    written(stream).table(["MESSAGE"], [[Cell("x" * 100_000)]])

    assert len(stream.getvalue()) < 10_000


@pytest.mark.parametrize(
    ("stream", "color", "environ", "is_colored"),
    [
        (Terminal(), Color.AUTO, {}, True),
        (Terminal(), Color.AUTO, {"NO_COLOR": "1"}, False),
        (Terminal(), Color.AUTO, {"TERM": "dumb"}, False),
        (Terminal(), Color.NEVER, {}, False),
        (io.StringIO(), Color.AUTO, {}, False),
        (io.StringIO(), Color.ALWAYS, {"NO_COLOR": "1"}, True),
    ],
)
def test_colours_are_for_terminals(
    stream: io.StringIO, color: Color, environ: dict[str, str], is_colored: bool
) -> None:
    written(stream, color, **environ).line(Cell("ready", Style.GOOD))

    assert ("\x1b[32m" in stream.getvalue()) is is_colored


def test_without_the_extra_a_terminal_gets_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    stream = Terminal()

    written(stream).table(["NAME"], [[Cell("db", Style.GOOD)]])

    assert stream.getvalue() == "NAME\ndb\n"
    with pytest.raises(MissingExtra, match=r"pip install 'vaultsync\[cli\]'"):
        written(stream, Color.ALWAYS)


def test_json_has_no_character_that_a_terminal_interprets() -> None:
    stream = io.StringIO()

    written(stream).json({"message": HOSTILE})

    assert json.loads(stream.getvalue()) == {"message": HOSTILE}
    assert stream.getvalue().isascii()


def test_a_stream_without_utf_8_gets_what_it_can_show() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")

    Output(stream).line(Cell("✓ fine"))
    stream.flush()

    assert raw.getvalue() == b"? fine\n"
