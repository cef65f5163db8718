"""Turns names of fields and secrets into keys of a Secret; does not validate keys.

In this order: `omit` leaves out names of fields (a search leaves out those of secrets itself), `keys` has the keys of
single names, and what is left passes `rename`, `keyCase` and `prefix`. Vaults ignore the case of names, JSON does not.
"""

import re
from collections.abc import Callable
from typing import Final

from vaultsync.api.v1alpha1 import DataFrom, KeyCase
from vaultsync.errors import Reason, SyncError
from vaultsync.state.globs import omitter

KEY_GROUP: Final = "key"
"""The group of a `rename` pattern that holds the new name."""

_MAX_PATTERN_MEMORY: Final = 1 << 15
"""In bytes: RE2's time grows with the length of the text times that of the compiled pattern. It does not recurse."""

_MAX_NAME: Final = 253

_TO_UPPER: Final = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}
_TO_LOWER: Final = {upper: lower for lower, upper in _TO_UPPER.items()}
"""Other letters have no place in a key; some of them would become several in the other case."""

_NOT_SNAKE: Final = re.compile("[^0-9A-Za-z_]")


def key_namer(source: DataFrom) -> Callable[[str], str | None]:
    """Return the function from a name to its key, by an item of `dataFrom`; it returns None for a name to leave out.

    Raises:
        SyncError: InvalidSpec, if `rename` is not a regular expression in RE2's syntax with a group named `key`.
    """
    folded: Callable[[str], str] = str.lower if source.find is not None else str
    # What a search leaves out, it does not find.
    is_omitted = omitter(source.omit if source.find is None else ())
    keys = {folded(name): key for name, key in source.keys.items()}
    new_name = _renamer(source.rename) if source.rename is not None else str
    cased = _CASES[source.key_case] if source.key_case is not None else str
    prefix = source.prefix or ""

    def key_of(name: str) -> str | None:
        if is_omitted(name):
            return None
        key = keys.get(folded(name))
        return prefix + cased(new_name(name)) if key is None else key

    return key_of


def _snake(name: str) -> str:
    return _NOT_SNAKE.sub("_", name)


_CASES: Final[dict[KeyCase, Callable[[str], str]]] = {
    KeyCase.UPPER: lambda name: name.translate(_TO_UPPER),
    KeyCase.LOWER: lambda name: name.translate(_TO_LOWER),
    KeyCase.UPPER_SNAKE: lambda name: _snake(name).translate(_TO_UPPER),
    KeyCase.LOWER_SNAKE: lambda name: _snake(name).translate(_TO_LOWER),
}


def _renamer(pattern: str) -> Callable[[str], str]:
    # Few patterns are there, if any, and it takes 3 MB with the library of C++.
    import re2  # noqa: PLC0415

    options = re2.Options()
    options.log_errors = False  # otherwise RE2 writes them to standard error itself
    options.max_mem = _MAX_PATTERN_MEMORY
    try:
        expression = re2.compile(pattern, options)
    except re2.error:
        expression = None
    if expression is None or KEY_GROUP not in expression.groupindex:
        raise SyncError(
            Reason.INVALID_SPEC,
            f"rename must be a regular expression in RE2's syntax, of moderate size, with a group (?P<{KEY_GROUP}>…); "
            f"{pattern} is not. RE2 has no lookahead, lookbehind or backreference.",
        )

    def renamed(name: str) -> str:
        found = expression.fullmatch(name) if _can_match(name) else None
        return name if found is None else found[KEY_GROUP] or ""

    return renamed


def _can_match(name: str) -> bool:
    """Return whether RE2 can match the name: not too long, and without unpaired surrogates."""
    return len(name) <= _MAX_NAME and not any("\ud800" <= letter <= "\udfff" for letter in name)
