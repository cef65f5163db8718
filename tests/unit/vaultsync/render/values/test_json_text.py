"""Why a text is not JSON, and where: the same for every version of Python; nothing of the text is in an error."""

import json
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vaultsync.render.attempts import MARK
from vaultsync.bounded_json import TooDeepError
from vaultsync.render.values.documents import FormatError
from vaultsync.render.values.json_text import parse_json

BACKSLASH: Final = (
    r"a backslash outside of a string; if it is part of \n, line ends were replaced when the value was set"
)
UNQUOTED: Final = "a value is missing, or a text is not in double quotes"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a": "x\ny"}', r"line 1, column 9: a line end within a string; write it as \n"),
        ('{\n  "a": "x\r\ny"}', r"line 2, column 10: a line end within a string; write it as \r\n"),
        ('{"a": "x\ty"}', r"line 1, column 9: a tab within a string; write it as \t"),
        ('{"a": "x\0y"}', "line 1, column 9: a control character within a string"),
        ('{"a": 1,\n}', "line 1, column 8: a comma before a closing bracket; remove it"),
        ("[1 , ]", "line 1, column 4: a comma before a closing bracket; remove it"),
        ("{'a': 1}", 'line 1, column 2: a single quote; JSON has double quotes, "'),
        ("{\"a\": 'x'}", 'line 1, column 7: a single quote; JSON has double quotes, "'),
        ("{“a”: 1}", 'line 1, column 2: a typographic quote; JSON has straight ones, "'),
        ('{\xa0"a": 1}', "line 1, column 2: a blank that is no ordinary one; replace it"),
        ("{a: 1}", "line 1, column 2: a name in double quotes is missing"),
        ('{"a": True}', f"line 1, column 7: {UNQUOTED}"),
        ('{"a": 1} x', "line 1, column 10: more text after the end of the JSON"),
        ('{"a": 1', "line 1, column 8: it ends before the JSON is complete; it may have been cut off"),
        ('{"a": "x', "line 1, column 7: a string that is not closed"),
        (r'{"a": "\d"}', r"line 1, column 8: a backslash that begins no escape of JSON; write it as \\"),
        (r'{"a": "\u12x4"}', r"line 1, column 9: a backslash that begins no escape of JSON; write it as \\"),
        ('{"a": 1 "b": 2}', "line 1, column 9: a comma or a closing bracket is missing"),
        ('{"a" 1}', "line 1, column 6: a colon is missing"),
        (r'{\n  "a": 1\n}', f"line 1, column 2: {BACKSLASH}"),
        ('{"a": 1 // x\n}', "line 1, column 9: a comment, which JSON does not have"),
        ('{"NaN": "\\"NaN", "b": -Infinity}', "line 1, column 23: NaN or Infinity, which JSON does not have"),
        (" \n", "it is empty"),
    ],
    ids=str,
)
def test_a_mistake_has_a_place_and_a_cause(text: str, problem: str) -> None:
    with pytest.raises(FormatError) as raised:
        parse_json(text)

    assert str(raised.value) == problem


def test_json_with_raw_line_ends_as_users_store_keys() -> None:
    text = '{"app_id": "1", "private_key": "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"}'

    with pytest.raises(FormatError, match=r"^line 1, column 64: a line end within a string; write it as \\n$"):
        parse_json(text)


@given(text=st.text(alphabet=st.sampled_from("{}[]:,\"'\\ntrue01.eE+-/#NaN \n\t\ufeff")) | st.text())
def test_any_text_is_parsed_or_has_a_mistake_without_its_content(text: str) -> None:
    result = parsed_or_error(f'["{MARK}", {text}]')

    if isinstance(result, FormatError):
        assert MARK not in str(result)
        assert result.__context__ is None
    elif result is not None:
        assert result == json.loads(f'["{MARK}", {text}]', parse_int=str, parse_float=str)


def parsed_or_error(text: str) -> object:
    """The document, the error, or None if it nests too deeply."""
    try:
        return parse_json(text)
    except TooDeepError:
        return None
    except FormatError as error:
        return error
