"""Converts patterns for names: regular expressions to wildcards, and rules that rewrite names to those of vaultsync."""

import re
from dataclasses import dataclass
from typing import Final

_PIECE: Final = re.compile(r"(?P<literal>[0-9A-Za-z-]+)|\\-|(?P<any>\.[*+]?)")
_GROUP: Final = re.compile(r"\^(?P<before>[^()|\\]*)\((?P<group>[^()?][^()]*)\)(?P<after>[^()|\\]*)")
_WHOLE: Final = re.compile(r"\^?\(\.[*+]\)\$?")
_TARGET: Final = re.compile(r"(?P<prefix>[-._a-zA-Z0-9]*)\$(?:1|\{1\})")
_TRANSFORM: Final = re.compile(
    r"\{\{-?\s*(?:(?P<first>upper|lower)\s+\.value|\.value\s*\|\s*(?P<second>upper|lower))"
    r"(?P<snake>\s*\|\s*replace\s+\"-\"\s+\"_\")?\s*-?\}\}"
)


def glob_of(pattern: str) -> str | None:
    """Return the wildcards for a regular expression that is searched for in a name; None if there are none.

    Names have letters, digits and hyphens only, so `.` is any of these.
    """
    start, end = pattern.startswith("^"), pattern.endswith("$")
    rest = pattern.removeprefix("^").removesuffix("$")
    glob, position = "" if start else "*", 0
    while position < len(rest):
        found = _PIECE.match(rest, position)
        if found is None:
            return None
        glob += {".": "?", ".*": "*", ".+": "?*", None: found["literal"] or "-"}[found["any"]]
        position = found.end()
        if found["literal"] and position < len(rest) and rest[position] in "*+?{":
            return None
    glob = re.sub(r"\*+", "*", glob if end else f"{glob}*")
    return glob or None


@dataclass(slots=True)
class Naming:
    """How names become keys: the fields of an item of dataFrom, which apply in this order."""

    rename: str | None = None
    key_case: str | None = None
    prefix: str | None = None

    def fields(self) -> dict[str, str]:
        """Return the fields."""
        fields = {"rename": self.rename, "keyCase": self.key_case, "prefix": self.prefix}
        return {name: value for name, value in fields.items() if value}

    def add_regexp(self, source: str, target: str) -> bool:
        """Add a rule that replaces what a regular expression matches; return whether there is a counterpart."""
        found = _TARGET.fullmatch(target)
        if found is None or self.prefix is not None:
            return False
        if _WHOLE.fullmatch(source):
            self.prefix = found["prefix"] or None
            return self.prefix is not None
        pattern = _GROUP.fullmatch(source.removesuffix("$"))
        # Without an end, the expression must reach it by itself.
        is_whole = source.endswith(("$", "(.*)", "(.+)"))
        if pattern is None or not is_whole or found["prefix"] or self.rename is not None or self.key_case is not None:
            return False
        self.rename = f"^{pattern['before']}(?P<key>{pattern['group']}){pattern['after']}$"
        return True

    def add_transform(self, template: str, *, names_have_hyphens_only: bool) -> bool:
        """Add a rule that is a Go template over the name; return whether there is a counterpart."""
        found = _TRANSFORM.fullmatch(template.strip())
        if found is None or self.key_case is not None or self.prefix is not None:
            return False
        if found["snake"] and not names_have_hyphens_only:
            return False
        case = "Upper" if "upper" in {found["first"], found["second"]} else "Lower"
        self.key_case = f"{case}Snake" if found["snake"] else case
        return True
