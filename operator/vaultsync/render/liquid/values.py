"""The values of templates: texts, bytes, numbers and lists of them; and the error that shows none of them."""

import re
from typing import Any, Final

from liquid.exceptions import FilterArgumentError
from liquid.token import Token

MAX_TEXT: Final = 1024 * 1024
"""In characters, of a filter's result: no more than a Secret can hold."""

MAX_PARTS: Final = 10_000
"""Of a list: the parts of a text that is split, or the numbers of a range."""

MAX_DIGITS: Final = 18
"""Of a whole number: products of products would grow without end."""

_WHOLE_NUMBER: Final = re.compile(rf"-?[0-9]{{1,{MAX_DIGITS}}}")


class ValueFreeError(FilterArgumentError):
    """Why a template cannot be rendered, in a text that holds nothing of any value."""

    def __init__(self, problem: str, *, token: Token | None = None) -> None:
        super().__init__(problem, token=token)
        self.problem = problem


class Binary:
    """Bytes that are not UTF-8: only `b64encode` and `sha256` accept them."""

    __slots__ = ("content",)

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __len__(self) -> int:
        return len(self.content)

    def __str__(self) -> str:
        raise ValueFreeError("a value that is not text can only be used with b64encode or sha256")


def text_or_binary(content: bytes) -> str | Binary:
    """Return bytes as text if they are UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return Binary(content)


def text_of(value: object) -> str:
    """Return the text of a string, a number or a boolean.

    Raises:
        ValueFreeError: It is something else.
    """
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float() | Binary():
            return str(value)
        case _:
            raise ValueFreeError("text is needed here; this is a list, all entries or nothing")


def bytes_of(value: object) -> bytes:
    """Return the bytes of a value, which need not be text."""
    return value.content if isinstance(value, Binary) else text_of(value).encode()


def list_of(value: object) -> list[Any]:
    """Return a list.

    Raises:
        ValueFreeError: It is something else.
    """
    if not isinstance(value, list):
        raise ValueFreeError("a list is needed here, as from split")
    return value


def whole_number(value: object) -> int:
    """Return a whole number, or the one that a text is.

    Raises:
        ValueFreeError: It is something else, or has too many digits.
    """
    number = int(value) if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value) else value
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueFreeError(f"a whole number of at most {MAX_DIGITS} digits is needed here")
    if abs(number) >= 10**MAX_DIGITS:
        raise ValueFreeError(f"a number may have {MAX_DIGITS} digits, and this would have more")
    return number


def check_length(length: int) -> None:
    """Check the length of a text before it is made.

    Raises:
        ValueFreeError: It would be too long.
    """
    if length > MAX_TEXT:
        raise ValueFreeError(f"a text may have {MAX_TEXT} characters, and this would be more")
