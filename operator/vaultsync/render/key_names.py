"""Names of fields and secrets become keys of a Secret, with a prefix or by a pattern; judges no key."""

from collections.abc import Callable
from typing import Final

import re2

from vaultsync.errors import Reason, SyncError

RENAMED: Final = "key"
"""The group of a `rename` pattern that holds the new name."""

_PATTERN_MEMORY: Final = 1 << 15
"""In bytes: RE2's time grows with text times compiled pattern, so that the pattern needs a bound as well."""


def naming(prefix: str = "", rename: str | None = None) -> Callable[[str], str]:
    """Make the function that gives a name its key.

    `rename` is a regular expression in RE2's syntax with a group named `key`: where it matches a whole name, the group
    is the new name; other names stay. `prefix` comes before either.

    Raises:
        SyncError: InvalidSpec, if `rename` is no such expression.
    """
    new_name = _renaming(rename) if rename is not None else str
    return lambda name: prefix + new_name(name)


def _renaming(pattern: str) -> Callable[[str], str]:
    options = re2.Options()
    options.log_errors = False  # or RE2 writes them to standard error itself
    options.max_mem = _PATTERN_MEMORY
    try:
        expression = re2.compile(pattern, options)
    except re2.error:
        expression = None
    if expression is None or RENAMED not in expression.groupindex:
        raise SyncError(
            Reason.INVALID_SPEC,
            f"rename must be a regular expression in RE2's syntax, of moderate size, with a group (?P<{RENAMED}>…); "
            f"{pattern} is none.",
        )

    def renamed(name: str) -> str:
        found = expression.fullmatch(name)
        return name if found is None else found[RENAMED] or ""

    return renamed
