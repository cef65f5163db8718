"""The invariants that must hold after every step.

A target changes to what was right at some moment, or not at all; it is deleted only where the user wants that; and no
value is where none belongs. What holds once everything is healthy again is in `converged`.
"""

import base64
import itertools
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from tests.builders import ACCESS
from tests.convergence.desired_spec import OTHERS_LABEL, TARGETS, DesiredSpec
from tests.convergence.oracle import FIELD, Oracle, source_of
from tests.convergence.vault_model import MARK
from vaultsync.api import FIELD_MANAGER, ObjectKey

if TYPE_CHECKING:
    from tests.convergence.scenario import Scenario

MAX_UNCONFIRMED_LOSSES = 5
"""The number of secrets that may be lost at once before the deletion guard trips."""

MAX_LAG: Final = timedelta(minutes=10)
"""For how long a stale replica may be believed to lack what the vault has."""

LASTING: Final = timedelta(minutes=5)
"""For how long a version that is older than what was written is not taken."""

SETTLING: Final = 3
"""Seconds within which the order of two versions is not known."""

Values = dict[str, str]


class Invariants:
    """Checks the steps of one scenario.

    Between two steps the operator may be in the middle of something (`is_idle` of the harness). A change is then right
    if it was right at any moment since the operator was idle.
    """

    def __init__(self, scenario: "Scenario") -> None:
        self._scenario = scenario
        self._harness = scenario.harness
        self._was_idle = True
        self._before: dict[str, Values | None] = {}
        self._immutable: set[str] = set()
        self._key_sets: set[frozenset[str]] = set()
        self._pairs: set[tuple[str, str]] = set()
        self._found: list[frozenset[str]] = []
        """The secrets that searches may have found so far: a listing may be old."""
        self._specs: list[DesiredSpec] = []
        """The specs since the operator was idle: a reconcile by an earlier one may read a value that came later."""
        self._deletable: set[str] = set()
        """The targets that might be deleted at some moment since the operator was idle."""
        self.has_spec_changed = False
        """Whether the spec of `db` has changed since the operator was idle."""
        self.was_released = False
        """Whether a user has released losses since the operator was idle."""
        self._idle_at = self._harness.clock.now
        """When the operator was idle last."""
        self._required_since: dict[str, datetime] = {}
        """Since when the target of `db` has to have each key, by the spec and all that the vault has."""
        self.violations: list[str] = []
        """Writes of the operator that violated a rule which can be checked only at the moment of the write."""

    def spec_changed(self) -> None:
        self.has_spec_changed = True
        self._learn_required()

    def released(self) -> None:
        self.was_released = True

    def begin_step(self) -> None:
        self._before = {name: self._harness.values(name) for name in (*TARGETS, "bulk")}
        self._immutable |= {name for name in TARGETS if (self._scenario.without_data(name) or {}).get("immutable")}
        self.learn()

    def pause_step(self, act: Callable[[], None]) -> None:
        """Check what the operator has done to the targets of `db` so far, and let a user act."""
        self._check_targets(is_strict=False)
        act()
        self._before |= {name: self._harness.values(name) for name in TARGETS}

    def check_step(self) -> None:
        is_strict = self._was_idle and self._harness.is_idle
        self._check_targets(is_strict=is_strict)
        self._check_bulk(self._before["bulk"] or {}, self._harness.values("bulk") or {}, is_strict=is_strict)
        self._check_others()
        self.check_leaks()
        assert not self._harness.recorded.errors, self._harness.recorded.errors
        assert not self.violations, "; ".join(self.violations)
        self._forget_returned()
        self._was_idle = self._harness.is_idle
        if self._was_idle:
            self._idle_at = self._harness.clock.now
            self._specs = [self._scenario.desired]
            self._deletable.clear()
            self._immutable.clear()
            self.has_spec_changed = False
            self.was_released = self._scenario.released is not None or bool(self._scenario.releases)

    def learn(self) -> None:
        """Record the contents that may be written now; a listing may be of any age."""
        # By the dates of its responses, a version may be active earlier.
        scenario, now = self._scenario, self._harness.vault_time() + self._harness.faults.ahead
        current = frozenset(scenario.found())
        if current not in self._found:
            self._found.append(current)
        if scenario.desired not in self._specs:
            self._specs.append(scenario.desired)
        for found, gone in itertools.product(self._found, _subsets(scenario.gone_for_long())):
            oracle = Oracle(scenario.vault, now, gone, found)
            for data in itertools.chain.from_iterable(oracle.expected(spec).data for spec in self._specs):
                self._key_sets.add(frozenset(data))
                self._pairs.update(data.items())
        self._deletable |= {name for name in TARGETS if self._may_be_deleted(name)}
        self._learn_required()

    def _learn_required(self) -> None:
        now, contents = self._harness.clock.now, self._scenario.expected(set()).data
        required = frozenset.intersection(*map(frozenset, contents)) if contents else frozenset[str]()
        self._required_since = {key: self._required_since.get(key, now) for key in required}

    def _may_be_deleted(self, name: str) -> bool:
        scenario = self._scenario
        if scenario.desired.deletes and scenario.expected(scenario.gone_for_long()).pruned:
            return True  # the previous targets as well
        if name != scenario.desired.target:
            others = set(TARGETS) - {name} if self.has_spec_changed else {scenario.desired.target}
            return any(self._harness.values(other) is not None for other in others)
        return name in self._immutable and scenario.desired.replace

    def _check_targets(self, *, is_strict: bool) -> None:
        self.learn()
        for name in TARGETS:
            self._check_target(name, self._before[name], self._harness.values(name), is_strict=is_strict)

    def _check_target(self, name: str, before: Values | None, after: Values | None, *, is_strict: bool) -> None:
        if before == after:
            return
        assert not (is_strict and self._scenario.desired.suspend), "a suspended VaultSecret's target was changed"
        if after is None:
            assert name in self._deletable, f"Secret {name} was deleted, which held {before}"
            return
        held = before or {}
        wrong = {pair for pair in after.items() - held.items() if not self._was_right(*pair)}
        assert not wrong, f"Secret {name} holds what never was right: {wrong}"
        if is_strict:
            fits = any(keys <= after.keys() <= keys | held.keys() for keys in self._key_sets)
        else:
            # Secrets that were read at several moments may never have been there together.
            removed = held.keys() - after.keys()
            fits = all(any(key not in keys for keys in self._key_sets) for key in removed)
        assert fits, f"Secret {name} holds {sorted(after)}, which never was right; before: {before}"

    def _was_right(self, key: str, text: str) -> bool:
        """Return whether a key might hold that at some moment; a replica that lags returns any earlier version."""
        source = source_of(self._scenario.desired, key)
        is_earlier = source is not None and self._scenario.vault.is_of(source, text)
        return (key, text) in self._pairs or (self._scenario.lagging_since is not None and is_earlier)

    def _check_bulk(self, before: Values, after: Values, *, is_strict: bool) -> None:
        assert after.items() <= self._scenario.bulk_values().items()
        removed = before.keys() - after.keys()
        assert removed <= self._scenario.vault.ever_deleted, f"keys were deleted, but not their secrets: {removed}"
        if is_strict and not self.was_released:
            assert len(removed) <= MAX_UNCONFIRMED_LOSSES, "the deletion guard did not hold"

    def check_write(self, target: ObjectKey, data: Mapping[str, str] | None, *, is_checked: bool) -> None:
        """Check a write at the moment of the operator's decision, by the state that it could have.

        Args:
            target: What is written.
            data: What it will hold; None if it is deleted.
            is_checked: Whether the same reconcile has made sure that its VaultSecret is current.
        """
        if target.name == self._scenario.desired.target and data is not None:
            self._check_content({key: base64.b64decode(text).decode() for key, text in data.items()})
        lost = self._lost_keys(target.name, data or {})
        if not lost:
            return
        early = self._kept(target.name, lost) if target.name != "bulk" else set()
        if early:
            self.violations.append(f"{sorted(early)} of Secret {target.name} are deleted before their time is over")
        losses = self._harness.state.vaults.view(ACCESS).losses
        is_tripped = len(lost) > MAX_UNCONFIRMED_LOSSES or (losses is not None and losses.tripped)
        if is_tripped and not self.was_released:
            self.violations.append(
                f"{sorted(lost)} of Secret {target.name} are deleted, and the deletion guard tripped"
            )
        if not is_checked:
            self.violations.append(f"{sorted(lost)} of Secret {target.name} are deleted for a VaultSecret of any age")

    def _check_content(self, data: Values) -> None:
        """Check that a write of the target of `db` drops no key, and takes none back to an older version."""
        scenario, vault = self._scenario, self._scenario.vault
        held = {key: vault.created(text) for key, text in (self._harness.values(scenario.desired.target) or {}).items()}
        for entry in self._harness.status("db").entries if "db" in self._harness.names else ():
            if entry.version is None:
                continue  # it was never written
            version = vault.created_version(entry.secret_name.lower(), entry.version)
            held[entry.key] = max(filter(None, (held.get(entry.key), version)), default=None)
        settled = min(self._idle_at, self._harness.clock.now - MAX_LAG)
        lasting = {key for key, since in self._required_since.items() if since < settled}
        if dropped := (lasting & held.keys()) - data.keys():
            self.violations.append(f"{sorted(dropped)} are dropped, although the vault has their secrets")
        for key, text in data.items():
            before, after = held.get(key), vault.created(text)
            is_older = before is not None and after is not None and after < before - SETTLING
            if is_older and self._must_be_newest() and not self._is_unusable(key, before):
                self.violations.append(f"{key} is taken back to an older version")

    def _is_unusable(self, key: str, created: int | None) -> bool:
        """Return whether the version in a key, by the second in which it was set, was disabled after that."""
        secret = self._scenario.vault.find(source_of(self._scenario.desired, key) or "")
        versions = [] if secret is None else secret.versions
        return any(one.created == created and not one.enabled for one in versions)

    def _must_be_newest(self) -> bool:
        """Return whether no user asks for what the vault has now, and a replica has not lagged for long."""
        scenario, since = self._scenario, self._scenario.lagging_since
        handled = self._harness.status("db").last_handled_refresh if "db" in self._harness.names else None
        return scenario.desired.refresh == handled and (
            since is None or scenario.harness.vault_time() < since + LASTING
        )

    def _kept(self, target: str, keys: Collection[str]) -> set[str]:
        """Return the keys that have to be kept: what they hold was right, and their grace period is not over."""
        held, gone = self._harness.values(target) or {}, self._scenario.gone_for_long()
        lost = {key: self._lost_source(key) for key in keys if self._was_right(key, held[key])}
        return {key for key, source in lost.items() if source is not None and source not in gone}

    def _lost_source(self, key: str) -> str | None:
        """Return the secret or the field that the vault has lost and that has filled a key."""
        scenario = self._scenario
        if key in scenario.desired.templates or any(key == line.get("previousKey") for line in scenario.desired.lines):
            return None
        source = source_of(scenario.desired, key)
        if source is not None and scenario.vault.find(source) is None:
            return source
        return FIELD if source == "app-config" and key.endswith("size") and scenario.vault.lacks_field else None

    def _lost_keys(self, name: str, data: Mapping[str, str]) -> set[str]:
        """Return the keys that a write deletes although the spec names them, since the vault lost their secrets."""
        scenario = self._scenario
        removed = (self._harness.values(name) or {}).keys() - data.keys()
        if name == "bulk":
            return set(removed)
        if name != scenario.desired.target or self.has_spec_changed or scenario.desired.replace:
            return set()
        return {key for key in removed if self._lost_source(key) is not None}

    def _check_others(self) -> None:
        """Check that Secrets and labels of other managers are theirs still."""
        scenario = self._scenario
        for name, uid in scenario.foreign.items():
            metadata = (scenario.without_data(name) or {}).get("metadata", {})
            managers = {one["manager"] for one in metadata.get("managedFields", ())}
            assert metadata.get("uid") != uid or FIELD_MANAGER not in managers, f"foreign Secret {name} was written to"
        for name, uid in scenario.others.items():
            metadata = (scenario.without_data(name) or {}).get("metadata", {})
            assert metadata.get("uid") == uid, f"Secret {name} was deleted, which another manager created"
        for name, uid in scenario.labelled.items():
            metadata = (scenario.without_data(name) or {}).get("metadata", {})
            assert metadata.get("uid") != uid or OTHERS_LABEL in metadata["labels"], f"{name} lost a foreign label"

    def check_leaks(self) -> None:
        """Search for values in everything that users without permission for the Secret can read."""
        harness = self._harness
        text = [str(harness.status(name).to_wire()) for name in harness.names]
        text += [str(self._scenario.without_data(name)) for name in TARGETS]
        text += [str(harness.users.posted(harness.key_of(name))) for name in harness.names]
        text += [str(harness.recorded.outcomes), str(harness.recorded.failed_reports)]
        assert MARK not in "".join(text)

    def _forget_returned(self) -> None:
        scenario = self._scenario
        ready = [one.status for one in self._harness.status("db").conditions if one.type == "Ready"]
        if ready == ["True"]:
            absent = scenario.absent_since.items()
            scenario.absent_since = {
                name: since for name, since in absent if name == FIELD or scenario.vault.find(name) is None
            }


def _subsets(names: Collection[str]) -> Iterator[tuple[str, ...]]:
    """Yield every subset of the names: the operator may detect the loss of some later than of others."""
    return itertools.chain.from_iterable(itertools.combinations(sorted(names), size) for size in range(len(names) + 1))
