"""What ought to come of a wish, by the words of the documentation and the vault's book: an oracle without vaultsync.

It shares no code with the operator's rules, and is as simple as it can be since it knows all at once.
"""

import itertools
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.convergence.safe import Safe
from tests.convergence.wish import SOURCES, Line, Wish

Data = dict[str, str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why nothing may be written, any of `reasons`; or what may be, any of `data`; or that all has gone for good."""

    reasons: frozenset[str] = frozenset()
    data: tuple[Data, ...] = ()
    pruned: bool = False


@dataclass(slots=True)
class _Parts:
    """What the lines of a wish put into the target: one of each choice."""

    reasons: set[str] = field(default_factory=set)
    choices: list[list[Data]] = field(default_factory=list)
    lost: bool = False
    """Something has gone for good."""

    @property
    def data(self) -> list[Data]:
        return [
            {key: text for part in parts for key, text in part.items()} for parts in itertools.product(*self.choices)
        ]


@dataclass(frozen=True, slots=True)
class Oracle:
    """Judges by what the vault holds at a moment of its own clock.

    `gone` are the secrets whose keys may go with them, `found` those that a search finds.
    """

    safe: Safe
    now: datetime
    gone: Collection[str] = ()
    found: Collection[str] = ()

    def confirmed_deletions(self, wish: Wish) -> Verdict:
        parts = _Parts()
        for line in wish.lines:
            self._entry(parts, line)
        for line in SOURCES[wish.sources]:
            self._source(parts, line)
        if not parts.reasons - {"nothing found"} and parts.lost and not parts.choices:
            return Verdict(pruned=True)
        if parts.reasons:
            return Verdict(frozenset(reason.replace("nothing found", "SecretNotFound") for reason in parts.reasons))
        if wish.template and any("password" not in data for data in parts.data):
            return Verdict(frozenset({"TemplateInvalid"}))
        return Verdict(data=tuple(data | _rendered(wish, data) for data in parts.data))

    def _entry(self, parts: _Parts, line: Line) -> None:
        name = line["secretName"].lower()
        self._one(parts, name, line, lambda value: {line["key"]: value})
        secret = self.safe.there(name)
        if "previousKey" in line and secret is not None and (before := secret.before):
            parts.choices.append([{line["previousKey"]: value} for value in sorted(before)])

    def _source(self, parts: _Parts, line: Line) -> None:
        prefix = line.get("prefix", "")
        if "object" in line:
            self._one(parts, line["object"], line, lambda value: dict(_fields(value, prefix)))
            return
        for name in sorted(self.found):
            self._one(parts, name, {"optional": True}, lambda value, key=prefix + name: {key: value})  # type: ignore[misc]
        if not line.get("optional") and not any(self.safe.there(name) for name in self.found):
            parts.reasons.add("nothing found")

    def _one(self, parts: _Parts, name: str, line: Mapping[str, Any], keys: Callable[[str], Data]) -> None:
        secret = self.safe.there(name)
        if secret is None:
            if line.get("optional"):
                return
            if name in self.gone:
                parts.lost = True
            else:
                parts.reasons.add(self.safe.why_absent(name))
        elif not secret.newest.enabled:
            parts.reasons.add("SecretDisabled")
        elif secret.newest.not_before is not None and secret.newest.not_before > self.now:
            parts.reasons.add("SecretNotYetActive")
        else:
            parts.choices.append([keys(secret.newest.value)])


def _fields(value: str, prefix: str) -> Iterator[tuple[str, str]]:
    for name, part in json.loads(value).items():
        yield prefix + name, part if isinstance(part, str) else json.dumps(part)


def _rendered(wish: Wish, data: Data) -> Data:
    return {"DSN": f"db://{data['password']}"} if wish.template else {}


def required(wish: Wish) -> set[str]:
    """The secrets whose absence is a failure, unless they have gone for good."""
    entries = {line["secretName"].lower() for line in wish.lines if not line.get("optional")}
    objects = {line["object"] for line in SOURCES[wish.sources] if "object" in line and not line.get("optional")}
    return entries | objects
