"""Parses the lines of an .env file as python-dotenv does; interpolates nothing.

A line is `NAME=value`, with `export` before it or not, a comment, or blank. A value without quotes ends at the end of
its line, or at a blank that `#` follows. Within single quotes, backslashes escape only themselves and quotes; within
double quotes, they escape the usual letters, too, such as `n` for a line end. Quoted values may have several lines. Of
two lines with the same name, the last one counts.

Any other line is an error. python-dotenv skips it, and its key would go from the Secret.
"""

import re
from typing import Final

from vaultsync.render.values.documents import FormatError

_BETWEEN: Final = re.compile(r"(?:\s++|#[^\r\n]*+)*+")
"""Blank lines, comments, and what is before a name."""

_NAME: Final = re.compile(r"(?:export[ \t]++)?([-._a-zA-Z0-9]++)[ \t]*+=")
_BLANKS: Final = re.compile("[ \t]*+")
_SINGLE_QUOTED: Final = re.compile(r"[ \t]*+'((?:[^'\\]|\\.)*+)'", re.DOTALL)
_DOUBLE_QUOTED: Final = re.compile(r'[ \t]*+"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_PLAIN: Final = re.compile(r"""[ \t]*+(?!['"])[^\r\n]*+""")
_COMMENT: Final = re.compile("[ \t]#")
_END: Final = re.compile(r"[ \t]*+(?:#[^\r\n]*+)?+(?=[\r\n]|\Z)")

_ESCAPED: Final = re.compile(r"""\\([\\'"abfnrtv])""")
_QUOTE_ESCAPED: Final = re.compile(r"\\([\\'])")
_ESCAPES: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def parse_env(text: str) -> dict[str, str]:
    """Parse the text of an .env file.

    Raises:
        FormatError: It is none.
    """
    fields: dict[str, str] = {}
    place = _skip(_BETWEEN, text, 0)
    while place < len(text):
        named = _NAME.match(text, place)
        if named is None:
            raise FormatError("a line that is neither NAME=value nor a comment", text, place)
        fields[named[1]], place = _value(text, named.end())
        place = _skip(_BETWEEN, text, place)
    return fields


def _skip(pattern: re.Pattern[str], text: str, place: int) -> int:
    found = pattern.match(text, place)
    return place if found is None else found.end()


def _value(text: str, place: int) -> tuple[str, int]:
    """Return the value that begins after an equals sign, and where its line ends."""
    plain = _PLAIN.match(text, place)
    if plain is not None:
        # Not one pattern for blanks and comment: its time could grow with the square of the number of blanks.
        return _COMMENT.split(plain[0], maxsplit=1)[0].strip(" \t"), plain.end()
    if (single := _SINGLE_QUOTED.match(text, place)) is not None:
        quoted, value = single, _QUOTE_ESCAPED.sub(r"\1", single[1])
    elif (double := _DOUBLE_QUOTED.match(text, place)) is not None:
        quoted, value = double, _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), double[1])
    else:
        raise FormatError("a quote that is not closed", text, _skip(_BLANKS, text, place))
    end = _END.match(text, quoted.end())
    if end is None:
        raise FormatError("text after the closing quote", text, quoted.end())
    return value, end.end()
