"""The oracle: what a target must hold, by the documentation and the model of the vault; uses nothing of vaultsync.

It shares no code with the operator's policy, and is as simple as it can be since it knows everything at once.
"""

import itertools
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.convergence.desired_spec import SOURCES, DesiredSpec, Line
from tests.convergence.vault_model import VaultModel

Data = dict[str, str]

FIELD = "app-config/size"
"""The field that comes and goes, as it is lost."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Any of `reasons` why nothing may be written; or any of `data` that may be; or that the target is deleted.

    `pending` are the reasons for required secrets that are lost, and whose keys may be kept.
    """

    reasons: frozenset[str] = frozenset()
    pending: frozenset[str] = frozenset()
    data: tuple[Data, ...] = ()
    pruned: bool = False


@dataclass(slots=True)
class _Parts:
    """The data that the lines of a spec add to the target: one of each choice."""

    reasons: set[str] = field(default_factory=set)
    pending: set[str] = field(default_factory=set)
    choices: list[list[Data]] = field(default_factory=list)
    inactive: set[str] = field(default_factory=set)
    """Reasons for secrets without an active version, whose keys keep what they have."""
    lost: bool = False
    """The grace period of a lost secret is over."""
    left: bool = False
    """The vault has one of the secrets, or one is within its grace period."""

    @property
    def data(self) -> list[Data]:
        return [
            {key: text for part in parts for key, text in part.items()} for parts in itertools.product(*self.choices)
        ]


@dataclass(frozen=True, slots=True)
class Oracle:
    """Decides by the content of the vault at a moment of the vault's clock.

    `gone` are the lost secrets, and lost fields of objects, whose grace period is over. The keys of others keep what
    the target holds, or go if it does not hold it any more. `found` are those that a search finds.
    """

    vault: VaultModel
    now: datetime
    gone: Collection[str] = ()
    found: Collection[str] = ()

    def expected(self, desired: DesiredSpec) -> Expected:
        parts = _Parts()
        for line in desired.lines:
            self._entry(parts, desired, line)
        for line in SOURCES[desired.sources]:
            self._source(parts, desired, line)
        if not parts.reasons - {"nothing found"} and parts.lost and not parts.left:
            return Expected(pruned=True)
        if parts.reasons:
            return Expected(frozenset(reason.replace("nothing found", "SecretNotFound") for reason in parts.reasons))
        contents = [data for data in parts.data if "password" in data or not desired.template]
        if not contents:
            return Expected(frozenset({"TemplateInvalid"}))
        rendered = tuple(data | _rendered(desired, data) for data in contents)
        return Expected(frozenset(parts.inactive), frozenset(parts.pending), rendered)

    def _entry(self, parts: _Parts, desired: DesiredSpec, line: Line) -> None:
        name = line["secretName"].lower()
        self._one(parts, desired, name, line, lambda value: {line["key"]: value})
        secret = self.vault.find(name)
        if "previousKey" in line and secret is not None:
            key = line["previousKey"]
            if previous := secret.previous(self.now):
                parts.choices.append([{key: value} for value in sorted(previous)])
            elif not secret.active(self.now):
                parts.choices.append([{}, *({key: version.value} for version in secret.versions)])

    def _source(self, parts: _Parts, desired: DesiredSpec, line: Line) -> None:
        prefix = line.get("prefix", "")
        if "object" in line:
            self._one(parts, desired, line["object"], line, lambda value: dict(_fields(value, prefix)))
            if FIELD not in self.gone:
                parts.choices.append([{}, {f"{prefix}size": "7"}])
            return
        for name in sorted(self.found):
            self._one(parts, desired, name, {"optional": True}, lambda value, key=prefix + name: {key: value})  # type: ignore[misc]
        found = [secret for name in self.found if (secret := self.vault.find(name)) is not None]
        if line.get("optional"):
            return
        if not found:
            parts.reasons.add("nothing found")
        elif not any(secret.active(self.now) for secret in found):
            # It depends on whether the target has a key of one of them.
            parts.inactive |= {"SecretNotYetActive", "Synced"}

    def _one(
        self, parts: _Parts, desired: DesiredSpec, name: str, line: Mapping[str, Any], keys: Callable[[str], Data]
    ) -> None:
        secret = self.vault.find(name)
        if secret is None:
            self._lost(parts, name, keys, may_be_kept=bool(line.get("optional") or desired.deletes))
            if not line.get("optional"):
                parts.lost = parts.lost or name in self.gone
                if not desired.deletes:
                    parts.reasons.add(self.vault.reason_for_absence(name))
                elif name not in self.gone:
                    parts.left = True
                    parts.pending.add(self.vault.reason_for_absence(name))
            return
        parts.left = True
        version = secret.version(line.get("version"))
        pinned = [version] if version.is_active(self.now) else []
        active = pinned if line.get("version") else secret.active(self.now)
        if not version.enabled:
            parts.reasons.add("SecretDisabled")
        elif active:
            parts.choices.append([keys(one.value) for one in active])
        else:
            kept = [keys(one.value) for one in secret.versions]
            parts.choices.append([{}, *kept] if line.get("optional") else kept)
            parts.inactive |= set() if line.get("optional") else {"SecretNotYetActive"}

    def _lost(self, parts: _Parts, name: str, keys: Callable[[str], Data], *, may_be_kept: bool) -> None:
        """Add what the keys of a lost secret may hold: any version that the target had, or nothing."""
        lost = self.vault.secrets.get(name)
        if lost is not None and may_be_kept and name not in self.gone:
            parts.choices.append([{}, *(keys(version.value) for version in lost.versions)])


def _fields(value: str, prefix: str) -> Iterator[tuple[str, str]]:
    for name, part in json.loads(value).items():
        yield prefix + name, part if isinstance(part, str) else json.dumps(part)


def _rendered(desired: DesiredSpec, data: Data) -> Data:
    return {"DSN": f"db://{data['password']}"} if desired.template else {}


def required(desired: DesiredSpec) -> set[str]:
    """Return the secrets whose absence is a failure, until their grace period is over."""
    entries = {line["secretName"].lower() for line in desired.lines if not line.get("optional")}
    objects = {line["object"] for line in SOURCES[desired.sources] if "object" in line and not line.get("optional")}
    return entries | objects


def source_of(desired: DesiredSpec, key: str) -> str | None:
    """Return the secret that fills a key; None if none does."""
    if key in desired.templates:
        return "db-password"
    for line in desired.lines:
        if key in {line["key"], line.get("previousKey")}:
            return str(line["secretName"]).lower()
    for line in SOURCES[desired.sources]:
        name = key.removeprefix(line.get("prefix", ""))
        if "object" in line and name in {"color", "size"}:
            return str(line["object"])
        if "find" in line and name.startswith("shop-"):
            return name
    return None
