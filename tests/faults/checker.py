"""The invariants: what may never be written, whatever breaks. Pure functions over the journal and the vaults' past.

A value names its secret and its generation, so a Secret shows what it is made of. A user's write carries another value
of `BY_USER` than the state before, and a user marks with `DELETED_BY_USER` what is then deleted: every other write is
the operator's, or was caused by it.
"""

import base64
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from tests.e2e.harness import MARK
from tests.faults.journal import Journal, Object, Place, Write

BY_USER: Final = "faults.test/by-user"
"""The annotation whose value each write of a user changes."""

DELETED_BY_USER: Final = "faults.test/deleted-by-user"
"""The annotation of what a user deletes next."""

FOREIGN: Final = "faults.test/foreign"
"""The annotation of a Secret that the operator must not touch."""

LAG_SECONDS: Final = 12.0
"""How far a replica lags: less than a scenario lasts, so that it sees the versions before its last rotation."""

_POLLS_UNTIL_WHOLE: Final = 2
"""A listing that began before a rotation may end after it: the one after that is of one generation."""


class Value(NamedTuple):
    """The secret of a value, and the number of the rotation that set it."""

    secret: str
    generation: int

    @classmethod
    def parse(cls, encoded: str) -> "Value | None":
        """Read a value of a Secret's `data`; None if it is none of a vault."""
        text = base64.b64decode(encoded).decode(errors="replace")
        match text.split("."):
            case [mark, secret, generation, _] if mark == MARK and generation.isdigit():
                return cls(secret, int(generation))
        return None


def value_text(secret: str, generation: int, nonce: str) -> str:
    """The value of a secret."""
    return f"{MARK}.{secret}.{generation}.{nonce}"


@dataclass(slots=True)
class Group:
    """Secrets of a vault that rotate together: all of them are set between two calls of clients."""

    secrets: tuple[str, ...]
    rotated: list[float] = field(default_factory=list)
    """When each generation was set, in seconds of the monotonic clock: the first is generation 1."""
    rotated_until: float = -math.inf
    """When the vault had set all of the last generation."""
    wanted: bool = True
    """Whether there is a VaultSecret that shows them."""

    @property
    def generation(self) -> int:
        """The newest generation."""
        return len(self.rotated)


@dataclass(slots=True)
class Model:
    """What was put into one vault, and what may be deleted.

    Args:
        groups: By the VaultSecret that shows them.
        deleted: The secrets that were deleted in the vault at some time.
        lists: Returns the moments at which the vault began to answer listings.
        lagged_until: When the vault's replicas stopped to lag behind; until then, they show a rotation one by one.
        is_doomed: Whether the namespace is being deleted.
        is_restored: Whether etcd was restored from a backup: resource versions went back.
        is_delayed: Whether requests were carried out long after they were sent, which no client can call back: those
            writes meet the state that they name, or only report.
    """

    groups: dict[str, Group] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    lists: Callable[[], Sequence[float]] = tuple
    lagged_until: float = 0.0
    is_doomed: bool = False
    is_restored: bool = False
    is_delayed: bool = False

    def wanted(self) -> dict[str, Group]:
        """The groups that a VaultSecret shows."""
        return {name: group for name, group in self.groups.items() if group.wanted}

    def group_of(self, secret: str) -> Group | None:
        """The group of a secret."""
        return next((group for group in self.groups.values() if secret in group.secrets), None)


@dataclass(frozen=True, slots=True)
class Step:
    """One write, and what is known at that moment.

    Args:
        write: The write.
        before: The object before it.
        newest: The newest generation that the place ever held, by key.
        wanting: The VaultSecrets whose target is at the place, as they were then.
        wanted: The keys and their secrets that those VaultSecrets have ever asked for, each spec's apart.
        model: The vault.
    """

    write: Write
    before: Object | None
    newest: Mapping[str, int]
    wanting: Sequence[Object]
    wanted: Sequence[Mapping[str, str]]
    model: Model

    @property
    def after(self) -> Object | None:
        """The object after it."""
        return self.write.state

    @property
    def is_content(self) -> bool:
        """Whether it is the operator's write of a Secret that it keeps in sync."""
        ours = self.write.place.is_secret and not _is_foreign(self.before) and not _is_foreign(self.after)
        return ours and self.after is not None and not self.write.restored and not by_user(self.before, self.after)


class Violation(NamedTuple):
    """A write that must never be."""

    invariant: str
    place: Place
    revision: int
    what: str


def never_empty(step: Step) -> str | None:
    """A target has data."""
    return "it has no data" if step.is_content and not data_of(step.after) else None


def never_partial(step: Step) -> str | None:
    """A target has all keys of a spec, except those whose secret was deleted in the vault."""
    if not step.is_content:
        return None
    keys = data_of(step.after).keys()
    if not step.wanted:
        lost = data_of(step.before).keys() - keys
        return f"it lost {sorted(lost)}" if lost else None
    for spec in step.wanted:
        needed = {key for key, secret in spec.items() if secret not in step.model.deleted}
        if needed <= keys <= spec.keys():
            return None
    return f"it has the keys {sorted(keys)}, which no spec asks for"


def never_mistaken(step: Step) -> str | None:
    """A key holds a value that its secret had in the vault."""
    if not step.is_content or not step.wanted:
        return None
    for key, value in values_of(step.after).items():
        group = step.model.group_of(value.secret) if value else None
        if value is None or group is None or value.generation > group.generation:
            return f"what {key} holds was never in the vault"
        if all(spec.get(key) not in {None, value.secret} for spec in step.wanted):
            return f"{key} holds {value}, the value of another secret"
    return None


def never_mixed(step: Step) -> str | None:
    """What rotates together has one generation, unless the vault was read while it rotated."""
    if not step.is_content:
        return None
    held: dict[int, tuple[Group, set[int]]] = {}
    for value in filter(None, values_of(step.after).values()):
        if (group := step.model.group_of(value.secret)) is not None:
            held.setdefault(id(group), (group, set()))[1].add(value.generation)
    for group, generations in held.values():
        if len(generations) > 1 and not _was_shown(step, group.rotated[max(generations) - 1]):
            return f"it mixes the generations {sorted(generations)}"
    return None


def never_older(step: Step) -> str | None:
    """No key goes back to an earlier generation."""
    if not step.is_content:
        return None
    for key, value in values_of(step.after).items():
        if value is not None and value.generation < step.newest.get(key, 0):
            return f"{key} holds generation {value.generation} after {step.newest[key]}"
    return None


def never_deleted(step: Step) -> str | None:
    """A target is deleted with its VaultSecret, with its last secret, to be replaced, or by a user."""
    if not step.write.place.is_secret or step.after is not None or step.write.restored or step.model.is_doomed:
        return None
    if not values_of(step.before) or _annotation(step.before, DELETED_BY_USER):
        return None
    allowed = all(_may_delete(vault_secret, step.model) for vault_secret in step.wanting)
    return None if allowed else "it was deleted though a VaultSecret wants it"


def never_foreign(step: Step) -> str | None:
    """A Secret of another owner is not touched."""
    if not step.write.place.is_secret or step.write.restored or not _is_foreign(step.before) or step.model.is_doomed:
        return None
    if step.after is None:
        return None if _annotation(step.before, DELETED_BY_USER) else "a foreign Secret was deleted"
    return None if by_user(step.before, step.after) else "a foreign Secret was changed"


def never_shown(step: Step) -> str | None:
    """No value is anywhere but in the data of a Secret."""
    shown = step.after or {}
    if step.write.place.is_secret:
        shown = {name: part for name, part in shown.items() if name != "data"}
    return "a value is shown outside of a Secret's data" if shows_a_value(json.dumps(shown)) else None


INVARIANTS: Final[tuple[Callable[[Step], str | None], ...]] = (
    never_empty,
    never_partial,
    never_mistaken,
    never_mixed,
    never_older,
    never_deleted,
    never_foreign,
    never_shown,
)


class Checker:
    """Checks the writes of one namespace in their order; each is checked once."""

    def __init__(self, writes: Sequence[Write], model: Model) -> None:
        self.checked = 0
        self.violations: list[Violation] = []
        self._writes = writes
        self._model = model
        self._current: dict[Place, Object] = {}
        self._newest: dict[Place, dict[str, int]] = {}
        self._specs: dict[str, list[Object]] = {}

    def check(self) -> Sequence[Violation]:
        """Check what is new; returns all violations so far."""
        for write in self._writes[self.checked :]:
            self.checked += 1
            step = self._step(write)
            for invariant in INVARIANTS:
                if (what := invariant(step)) is not None:
                    self.violations.append(Violation(invariant.__name__, write.place, write.revision, what))
            self._take(write)
        return self.violations

    def _step(self, write: Write) -> Step:
        place = write.place
        wanting = [
            thing
            for where, thing in self._current.items()
            if where.is_vault_secret and not thing["metadata"].get("deletionTimestamp") and target_of(thing) == place
        ]
        names = {thing["metadata"]["name"] for thing in wanting}
        wanted = [keys_of(spec) for name in sorted(names) for spec in self._specs[name]]
        return Step(write, self._current.get(place), self._newest.get(place, {}), wanting, wanted, self._model)

    def _take(self, write: Write) -> None:
        place, state = write.place, write.state
        if state is None:
            self._current.pop(place, None)
            return
        self._current[place] = state
        if place.is_vault_secret:
            specs = self._specs.setdefault(place.name, [])
            if not specs or specs[-1] != state["spec"]:
                specs.append(state["spec"])
        elif place.is_secret:
            newest = {} if write.restored else self._newest.get(place, {})
            for key, value in values_of(state).items():
                if value is not None:
                    newest[key] = max(value.generation, newest.get(key, 0))
            self._newest[place] = newest


def problems(journal: Journal, namespace: str, model: Model) -> Iterator[str]:
    """What is not yet right: targets that are not as their VaultSecrets and the vault are now."""
    for name, group in model.groups.items():
        if not group.wanted:
            if journal.current(Place.secret(namespace, name)) is not None:
                yield f"{name} is left over"
            continue
        vault_secret = journal.current(Place.vault_secret(namespace, name))
        if vault_secret is None:
            yield f"there is no VaultSecret {name}"
            continue
        target = target_of(vault_secret)
        wanted = {key: Value(secret, group.generation) for key, secret in keys_of(vault_secret["spec"]).items()}
        held = values_of(journal.current(target))
        if held != wanted:
            yield f"{target.name} holds {held} and not {wanted}"


def data_of(secret: Object | None) -> Mapping[str, str]:
    """The data of a Secret."""
    data: Mapping[str, str] = (secret or {}).get("data") or {}
    return data


def values_of(secret: Object | None) -> dict[str, Value | None]:
    """The generations of the values of a Secret."""
    return {key: Value.parse(encoded) for key, encoded in data_of(secret).items()}


def keys_of(spec: Mapping[str, Any]) -> Mapping[str, str]:
    """The keys that a spec asks for, with their secrets."""
    return {entry["key"]: entry["secretName"] for entry in spec.get("data", ())}


def target_of(vault_secret: Object) -> Place:
    """Where the target of a VaultSecret is."""
    metadata, spec = vault_secret["metadata"], vault_secret["spec"]
    return Place.secret(metadata["namespace"], spec.get("target", {}).get("name", metadata["name"]))


def by_user(before: Object | None, after: Object | None) -> bool:
    """Whether a user made this write."""
    return _annotation(before, BY_USER) != _annotation(after, BY_USER)


def shows_a_value(text: str) -> bool:
    """Whether a text has a part of a value, plain or in base64 at any offset."""
    return any(part in text for part in _SHOWN)


def _encodings_of(mark: str) -> Iterator[str]:
    """The parts of base64 texts that are the same wherever the mark is in what was encoded."""
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + mark.encode()).decode()
        yield encoded[4 if offset else 0 : len(encoded) // 4 * 4 - 4]


_SHOWN: Final = (MARK, *_encodings_of(MARK))


def _was_shown(step: Step, rotated: float) -> bool:
    shown = max(rotated, min(rotated + LAG_SECONDS, step.model.lagged_until))
    later = [moment for moment in step.model.lists() if shown < moment < step.write.at]
    return len(later) < _POLLS_UNTIL_WHOLE


def _may_delete(vault_secret: Object, model: Model) -> bool:
    spec = vault_secret["spec"]
    if spec.get("target", {}).get("replaceImmutable"):
        return True
    return spec.get("onSourceDeleted") == "Delete" and set(keys_of(spec).values()) <= model.deleted


def _is_foreign(secret: Object | None) -> bool:
    return bool(_annotation(secret, FOREIGN))


def _annotation(thing: Object | None, name: str) -> str:
    annotations: Mapping[str, str] = (thing or {"metadata": {}})["metadata"].get("annotations") or {}
    return annotations.get(name, "")


def history_of(writes: Sequence[Write], place: Place) -> str:
    """The writes of one object: for each its revision, and the secrets and generations of its values, but no value."""
    return "\n".join(
        f"  {write.at:10.3f} s, revision {write.revision}: {_described(write)}"
        for write in writes
        if write.place == place
    )


def _described(write: Write) -> str:
    if write.state is None:
        return "deleted"
    secret = write.state
    managers = sorted({entry["manager"] for entry in secret["metadata"].get("managedFields", ())})
    held = {key: f"{value.secret}@{value.generation}" if value else "?" for key, value in values_of(secret).items()}
    return f"{'restored: ' if write.restored else ''}{held} by {managers}"
