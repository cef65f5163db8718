"""Lines of an .env file: as python-dotenv reads them, without interpolation; and mistakes with their place."""

from contextlib import suppress
from io import StringIO
from typing import Final

import pytest
from dotenv.parser import parse_stream
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vaultsync.render.attempts import MARK, cpu_units
from vaultsync.render.values.documents import FormatError
from vaultsync.render.values.env_text import parse_env


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=x", "x"),
        ("A =\tx ", "x"),
        ("export A=x", "x"),
        (" export\tA=x", "x"),
        ("A=", ""),
        ("A= # nothing", ""),
        ("A=#x", "#x"),
        ("A=x#y", "x#y"),
        ("A=x # y", "x"),
        ("A=x y", "x y"),
        ("A=it's", "it's"),
        ("A=x=y==", "x=y=="),
        ("A=${B}$C\\n", "${B}$C\\n"),
        ("A='x # y' # z", "x # y"),
        ("A='\\n\\'\\\\'", "\\n'\\"),
        ('A="x # y"#z', "x # y"),
        ('A="a\\n\\"b\\"\\\\n\\d$"', 'a\n"b"\\n\\d$'),
        ('A="a\nb"', "a\nb"),
        ("A='a\r\nb'\r", "a\r\nb"),
        ('A=""', ""),
        ("#A=y\n\n  # B=z\nA=x\r\n", "x"),
        ("A=y\nA=x", "x"),
    ],
    ids=repr,
)
def test_the_value_of_a_line(line: str, value: str) -> None:
    assert parse_env(line) == {"A": value} == reference(line)


def test_a_file_of_comments_has_no_fields() -> None:
    assert parse_env("\n# a\n") == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("A=1\nB", "line 2, column 1: a line that is neither NAME=value nor a comment"),
        ("A: 1", "line 1, column 1: a line that is neither NAME=value nor a comment"),
        ("\n  A B=1", "line 2, column 3: a line that is neither NAME=value nor a comment"),
        ("=1", "line 1, column 1: a line that is neither NAME=value nor a comment"),
        ("export A", "line 1, column 1: a line that is neither NAME=value nor a comment"),
        ("A= 'x", "line 1, column 4: a quote that is not closed"),
        ('A="x\\"', "line 1, column 3: a quote that is not closed"),
        ('B=1\nA="x"y', "line 2, column 6: text after the closing quote"),
        ("A='x' 'y'", "line 1, column 6: text after the closing quote"),
    ],
    ids=repr,
)
def test_a_mistake_has_a_place_and_a_cause(text: str, problem: str) -> None:
    with pytest.raises(FormatError) as raised:
        parse_env(text)

    assert str(raised.value) == problem


def reference(text: str) -> dict[str, str] | None:
    """What python-dotenv reads; None if it would skip a line, or a line has no value."""
    bindings = list(parse_stream(StringIO(text, newline="")))
    if any(one.error or (one.key is not None and one.value is None) for one in bindings):
        return None
    return {one.key: one.value for one in bindings if one.key is not None and one.value is not None}


_LINES: Final = st.builds(
    lambda before, name, equals, value, after: before + name + equals + value + after,
    st.sampled_from(["", " ", "export ", "# ", "\n"]),
    st.sampled_from(["A", "B_1", "c.d-e"]),
    st.sampled_from(["=", " = ", "=\t"]),
    st.text(alphabet="ab'\"\\n #$={}\n\r\té", max_size=8),
    st.sampled_from(["", "\n", "\r\n", " # c\n"]),
)


@given(text=st.lists(_LINES, max_size=4).map("".join))
def test_any_lines_are_read_as_python_dotenv_reads_them_or_refused(text: str) -> None:
    try:
        fields = parse_env(text)
    except FormatError as error:
        problem = str(error)
    else:
        assert fields == reference(text)
        return
    assert reference(text) is None or "neither NAME=value" in problem  # python-dotenv allows any other name


@pytest.mark.parametrize(
    "text",
    [
        "A=x" + " " * 25_000 + "y",
        "A='" + "\\'" * 12_000,
        'A="' + "\\\\" * 12_000,
        "#\n" * 12_000,
        " " * 25_000,
        "A=\n" * 8_000,
    ],
    ids=["blanks", "escaped quotes", "escaped backslashes", "comments", "nothing", "lines"],
)
def test_the_longest_value_takes_linear_time(text: str) -> None:
    def work() -> None:
        with suppress(FormatError):
            parse_env(text)

    assert cpu_units(work) < 10  # blanks take python-dotenv thirty times as long


@pytest.mark.parametrize("text", [MARK, f"A='{MARK}", f'A="x"{MARK}', f"{MARK} {MARK}=1"])
def test_no_error_holds_anything_of_the_text(text: str) -> None:
    with pytest.raises(FormatError) as raised:
        parse_env(text)

    assert MARK not in str(raised.value)
