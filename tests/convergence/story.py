"""Everything that may happen to one VaultSecret, its target and its vault, and what must hold after each step.

A target changes to what was right at some moment, or not at all; it goes only where the user wants that; and no value
is found where none belongs. What holds when all is well again is the business of `peace`.
"""

from collections.abc import Awaitable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from tests.convergence.oracle import Oracle, Verdict, required
from tests.convergence.safe import MARK, Safe
from tests.convergence.wish import NAMES, TARGETS, WORKLOAD, Wish
from tests.stage import Stage
from vaultsync.api import (
    APPLIED_ANNOTATION,
    FIELD_MANAGER,
    MANAGED_BY_LABEL,
    OWNER_UID_LABEL,
    RELEASE_ANNOTATION,
    ObjectKey,
)

MANY: Final = tuple(f"bulk-{number}" for number in range(8))
"""The secrets that VaultSecret `bulk` has: most of what the vault holds."""

DELETE_AFTER: Final = timedelta(minutes=30)

TAMPERINGS: Final[dict[str, dict[str, Any]]] = {
    "a value is changed": {"data": {"password": "hacked"}},
    "a key is removed": {"data": {"password": None}},
    "a key is added": {"data": {"extra": "hacked"}},
    "our label is taken off": {"labels": {MANAGED_BY_LABEL: None}},
    "the owner's label is changed": {"labels": {OWNER_UID_LABEL: "hacked"}},
    "a label of the manifest is changed": {"labels": {"team": "hacked"}},
    "our annotation is spoiled": {"annotations": {APPLIED_ANNOTATION: "hacked"}},
}


class Story:
    """One story. The operator acts within `operator`, and everybody else outside of it."""

    def __init__(self, world: Stage) -> None:
        self.world = world
        self.safe = Safe(world.vault)
        self.wish = Wish()
        self.failures_to_come = 0
        self.released: datetime | None = None
        self.releases: dict[str, str] = {}
        """The annotation by which a person releases what our one VaultSecret misses."""
        self.absent_since: dict[str, datetime] = {}
        """By our clock, until the operator has seen that it is back."""
        self._key_sets: set[frozenset[str]] = set()
        self._pairs: set[tuple[str, str]] = set()
        self._found: list[frozenset[str]] = []
        """What searches may have found so far: a listing may be old."""

    async def begin(self) -> None:
        for name in (*NAMES, *MANY):
            self.safe.set(name, self.world.vault_time())
        self.world.make_workload(WORKLOAD["name"])
        self.ask()
        self.ask_for_many()
        await self.operator(self.world.poll())
        await self.operator(self.world.poll())
        assert self.world.values("bulk") == self.many()

    # what everybody else does

    def ask(self, **changes: Any) -> None:  # noqa: ANN401 - a field of a wish may be anything
        """Apply the manifest, changed so."""
        self.wish = replace(self.wish, **changes)
        self.world.apply(
            annotations={**self.wish.annotations, **self.releases}, **{"data": self.wish.lines, **self.wish.spec}
        )

    def ask_for_many(self) -> None:
        released = {} if self.released is None else {RELEASE_ANNOTATION: self.released.isoformat()}
        find = {"find": {"names": "bulk-*"}, "optional": True}
        self.world.apply(name="bulk", annotations=released, data=[], dataFrom=[find], refreshInterval="1m")

    def rotate(self, name: str, *, starts: timedelta | None = None, lasts: timedelta | None = None) -> None:
        self.safe.set(name, self.world.vault_time(), starts=starts, lasts=lasts)

    def delete(self, name: str) -> None:
        self.safe.delete(name, self.world.vault_time())
        if self.safe.there(name) is None:
            self.absent_since.setdefault(name, self.world.clock())

    def most_vanish(self) -> None:
        for name in MANY:
            self.delete(name)

    def most_return(self) -> None:
        for name in MANY:
            self.safe.recover(name)
        self.released = None
        self.ask_for_many()

    def release_all(self) -> None:
        self.releases = {RELEASE_ANNOTATION: self.world.clock().isoformat()}
        self.ask()

    def release(self) -> None:
        self.released = self.world.clock()
        self.ask_for_many()

    def tamper(self, how: str) -> None:
        """Edit the target, as far as the API server lets anybody: what is immutable keeps its data."""
        change, there = TAMPERINGS[how], self.look(self.wish.target)
        values = self.world.values(self.wish.target)
        if there is None or values is None or ("data" in change and there.get("immutable")):
            return
        if all(value is None and name not in values for name, value in change.get("data", {"": ""}).items()):
            return
        self.world.hands.edit(self.target, "kubectl", **change)

    def delete_target(self) -> None:
        if self.look(self.wish.target) is not None:
            self.world.hands.delete(self.target)

    def put_a_strangers(self) -> None:
        """Put somebody else's Secret into the target's place."""
        self.delete_target()
        self.world.hands.create(self.target, "helm", {"password": "theirs", "more": "theirs"})

    async def make_anew(self, *, heard: bool) -> None:
        """Delete the VaultSecret and make it anew; the operator hears of the first late, or in time."""
        self.world.remove(heard=heard)
        gone = self.world.values(self.wish.target) is None
        if not heard:
            self.world.queued.add(self.world.key_of("db"))
            await self.world.work()
            self.world.collect_garbage()
            assert not gone or self.wish.retains or self.world.values(self.wish.target) is None, (
                "what was garbage came back"
            )
        self.ask()

    # what the operator does

    async def operator(self, deed: Awaitable[object]) -> None:
        """Let the operator act, and hold it to what it may do."""
        before = {name: self.world.values(name) for name in (*TARGETS, "bulk")}
        fixed = {name for name in TARGETS if (self.look(name) or {}).get("immutable")}
        self._learn()
        await deed
        self._learn()
        for name in TARGETS:
            self._check(name, before[name], self.world.values(name), was_fixed=name in fixed)
        self._check_many(before["bulk"])
        self.check_that_nothing_leaks()
        assert self.world.notes.bugs == []
        self._forget_what_is_back()

    def _learn(self) -> None:
        """Note what may be written now; a listing may be as old as it likes."""
        current = frozenset(self.found())
        if current not in self._found:
            self._found.append(current)
        for found in self._found:
            for gone in ((), self.gone_for_long()):
                for data in Oracle(self.safe, self.world.vault_time(), gone, found).confirmed_deletions(self.wish).data:
                    self._key_sets.add(frozenset(data))
                    self._pairs.update(data.items())

    def _check(
        self, name: str, before: dict[str, str] | None, after: dict[str, str] | None, *, was_fixed: bool
    ) -> None:
        if before == after:
            return
        assert not self.wish.suspend, "what is suspended is left alone"
        if after is None:
            assert self._may_go(name, was_fixed=was_fixed), f"Secret {name} went, which held {before}"
            return
        left = (before or {}).items()
        wrong = {pair for pair in after.items() if pair not in self._pairs and pair not in left}
        assert not wrong, f"Secret {name} holds what never was right: {wrong}"
        fits = [keys for keys in self._key_sets if keys <= after.keys() <= keys | (before or {}).keys()]
        assert fits, f"Secret {name} holds {sorted(after)}, which never was right; before: {before}"

    def _may_go(self, name: str, *, was_fixed: bool) -> bool:
        if name != self.wish.target:
            return self.world.values(self.wish.target) is not None
        pruned = self.wish.deletes and self.confirmed_deletions(self.gone_for_long()).pruned
        return pruned or (was_fixed and self.wish.replace)

    def _check_many(self, before: dict[str, str] | None) -> None:
        if self.released is None:
            assert self.world.values("bulk") in (self.many(), before), "the brake did not hold"

    def check_that_nothing_leaks(self) -> None:
        """Look for values wherever people without rights to the Secret may look."""
        text = [str(self.world.status(name).to_wire()) for name in self.world.names]
        text += [str(self.look(name)) for name in TARGETS]
        text += [str(self.world.hands.posted(self.world.key_of(name))) for name in self.world.names]
        text += [str(self.world.notes.outcomes), str(self.world.notes.told_nobody)]
        assert MARK not in "".join(text)

    def _forget_what_is_back(self) -> None:
        ready = [one.status for one in self.world.status("db").conditions if one.type == "Ready"]
        if ready == ["True"]:
            self.absent_since = {
                name: since for name, since in self.absent_since.items() if self.safe.there(name) is None
            }

    async def pass_by(self, seconds: float) -> None:
        """Let time go by without a poll."""
        await self.world.later(seconds)
        await self.world.work()

    # what can be told

    @property
    def target(self) -> ObjectKey:
        return self.world.key_of(self.wish.target)

    def look(self, name: str) -> dict[str, Any] | None:
        """A Secret but for its data."""
        return self.world.hands.without_data(self.world.key_of(name))

    def found(self) -> set[str]:
        """What the wish's search finds, if it has one."""
        names = [name for name in NAMES if name.startswith("shop-")]
        return {name for name in names if (secret := self.safe.there(name)) is not None and secret.newest.enabled}

    def many(self) -> dict[str, str]:
        return {name: self.safe.secrets[name].newest.value for name in MANY}

    def gone_for_long(self) -> set[str]:
        """Whose key may go where the user wants that."""
        if not self.wish.deletes:
            return set()
        now = self.world.clock()
        return {name for name, since in self.absent_since.items() if now - since >= DELETE_AFTER} & required(self.wish)

    def is_a_strangers(self) -> bool:
        """Whether the target's place is taken by a Secret that may not be adopted and never was."""
        there = self.look(self.wish.target)
        if there is None or self.wish.adopt:
            return False
        hands = [(hand["manager"], hand["operation"]) for hand in there["metadata"].get("managedFields", ())]
        return MANAGED_BY_LABEL not in there["metadata"].get("labels", {}) and (FIELD_MANAGER, "Apply") not in hands

    def was_released(self) -> bool:
        """Whether a person has released what is missing now, and has not done so before it was noticed."""
        missing = self.world.status("bulk").missing
        if self.released is None or not missing:
            return self.world.values("bulk") == {}
        return all(one.since <= self.released for one in missing)

    def confirmed_deletions(self, gone: set[str]) -> Verdict:
        return Oracle(self.safe, self.world.vault_time(), gone, self.found()).confirmed_deletions(self.wish)
