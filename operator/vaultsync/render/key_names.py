"""Turns names of fields and secrets into keys of a Secret, with a prefix or an RE2 pattern; does not validate keys."""

from collections.abc import Callable
from typing import Final

import re2

from vaultsync.errors import Reason, SyncError

KEY_GROUP: Final = "key"
"""The group of a `rename` pattern that holds the new name."""

_MAX_PATTERN_MEMORY: Final = 1 << 15
"""In bytes: RE2's time grows with the length of the text times that of the compiled pattern. It does not recurse."""


def key_namer(prefix: str = "", rename: str | None = None) -> Callable[[str], str]:
    """Return the function from a name to its key.

    Args:
        prefix: Put before each key.
        rename: A regular expression in RE2's syntax with a group named `key`: if it matches a whole name, the group is
            the new name; other names stay.

    Raises:
        SyncError: InvalidSpec, if `rename` is not such an expression.
    """
    new_name = _renamer(rename) if rename is not None else str
    return lambda name: prefix + new_name(name)


def _renamer(pattern: str) -> Callable[[str], str]:
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
            f"{pattern} is not.",
        )

    def renamed(name: str) -> str:
        found = expression.fullmatch(name)
        return name if found is None else found[KEY_GROUP] or ""

    return renamed
