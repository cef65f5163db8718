"""One scenario: the actions of users on VaultSecrets, targets and the vault; the checks are in `invariants`.

`db` is the VaultSecret whose spec changes; `bulk` finds most secrets of the vault, for the deletion guard.
"""

from collections.abc import Awaitable, Collection
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from tests.convergence.desired_spec import BULK, NAMES, OTHERS_LABEL, PINNED_NAME, TARGETS, WORKLOAD, DesiredSpec
from tests.convergence.invariants import Invariants
from tests.convergence.oracle import FIELD, Expected, Oracle, required
from tests.convergence.vault_model import VaultModel
from tests.harness import Harness
from tests.vault_faults import Kind, Replica
from vaultsync.api import (
    ADOPT_BY_ANNOTATION,
    APPLIED_ANNOTATION,
    FIELD_MANAGER,
    MANAGED_BY_LABEL,
    OWNER_UID_LABEL,
    RELEASE_ANNOTATION,
    ObjectKey,
)

DELETE_AFTER: Final = timedelta(minutes=30)

CONSENT: Final = {ADOPT_BY_ANNOTATION: "db"}

TAMPERINGS: Final[dict[str, dict[str, Any]]] = {
    "a value is changed": {"data": {"password": "hacked"}},
    "a key is removed": {"data": {"password": None}},
    "a key is added": {"data": {"extra": "hacked"}},
    "our label is removed": {"labels": {MANAGED_BY_LABEL: None}, "annotations": CONSENT},
    "the owner's label is changed": {"labels": {OWNER_UID_LABEL: "hacked"}, "annotations": CONSENT},
    "a label of the manifest is changed": {"labels": {"team": "hacked"}},
    "our annotation is damaged": {"annotations": {APPLIED_ANNOTATION: "hacked", **CONSENT}},
}
"""Who removes all proof that a Secret is ours has to consent, or it is a Secret of theirs."""


TRIGGERS: Final = (
    "a password is rotated",
    "a token is rotated",
    "the target is deleted",
    "the target is renamed",
    "a label is changed",
)
"""Makes the operator read."""


class Scenario:
    """The operator runs within `run`, and users act outside of it."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.vault = VaultModel(harness.vault)
        self.desired = DesiredSpec()
        self.failures_to_come = 0
        self.released: datetime | None = None
        """The time until which a user has released the losses of `bulk`."""
        self.releases: dict[str, str] = {}
        """The annotation by which a user has released the losses of `db`."""
        self.absent_since: dict[str, datetime] = {}
        """By the operator's clock, until the operator has observed that the secret is back."""
        self.foreign: dict[str, str] = {}
        """The uids of Secrets of other managers that the operator may not adopt, by name."""
        self.others: dict[str, str] = {}
        """The uids of Secrets that other managers created, adopted or not, by name: the operator never deletes them."""
        self.labelled: dict[str, str] = {}
        """The uids of the Secrets that another manager has labelled, by name."""
        self.lagging_since: datetime | None = None
        """Since when the vault answers from replicas that lag, or did so last, by its clock."""
        self.invariants = Invariants(self)
        self.vault.on_change = self.invariants.learn

    async def begin(self, **aspects: Any) -> None:  # noqa: ANN401 - an aspect of a spec may be anything
        """Fill the vault and apply both VaultSecrets."""
        for name in (*NAMES, *BULK):
            self.vault.set(name, self.harness.vault_time())
        self.harness.make_workload(WORKLOAD["name"])
        self.apply(**aspects)
        self.ask_for_bulk()
        for _ in range(2):
            await self.run(self.harness.poll())
        assert self.harness.values("bulk") == self.bulk_values()

    async def run(self, action: Awaitable[object]) -> None:
        """Run the operator, and check its actions."""
        self.invariants.begin_step()
        await action
        self.invariants.check_step()

    def make_healthy(self) -> None:
        """Let cluster and vault answer; the secrets stay as they are."""
        self.harness.mend_cluster()
        for permission in ("list", "get"):
            self.harness.vault.allow(permission)
        self.harness.vault.open_door()
        self.harness.vault.open_firewall()
        self.harness.faults.end()
        self.harness.clock.error = timedelta(0)

    # what users do

    def apply(self, **changes: Any) -> None:  # noqa: ANN401 - an aspect of a spec may be anything
        """Apply the manifest of `db` with these changes."""
        pin = self.vault.secrets[PINNED_NAME].newest.id
        self.desired = replace(self.desired, **{"pin": pin, **changes})
        if self.desired.adopt and self._consents(self.desired.target):
            self.foreign.pop(self.desired.target, None)
        self.invariants.spec_changed()
        self.harness.apply(
            annotations={**self.desired.annotations, **self.releases},
            **{"data": self.desired.lines, **self.desired.spec},
        )

    def ask_for_bulk(self) -> None:
        released = {} if self.released is None else {RELEASE_ANNOTATION: self.released.isoformat()}
        find = {"find": {"names": "bulk-*"}, "optional": True}
        self.harness.apply(name="bulk", annotations=released, data=[], dataFrom=[find], refreshInterval="1m")

    def rotate(self, name: str, *, starts: timedelta | None = None, lasts: timedelta | None = None) -> None:
        self.vault.set(name, self.harness.vault_time(), starts=starts, lasts=lasts)
        if self.vault.lacks_field:
            self.absent_since.setdefault(FIELD, self.harness.clock.now)
        else:
            self.absent_since.pop(FIELD, None)

    def delete(self, name: str) -> None:
        self.vault.delete(name, self.harness.vault_time())
        if self.vault.find(name) is None:
            self.absent_since.setdefault(name, self.harness.clock.now)

    def bulk_vanish(self, count: int = len(BULK)) -> None:
        """Delete the first so many secrets of `bulk`."""
        for name in BULK[:count]:
            self.delete(name)

    def bulk_return(self) -> None:
        for name in BULK:
            self.vault.recover(name, self.harness.vault_time())
        self.released = None
        self.ask_for_bulk()

    def release_bulk(self) -> None:
        self.released = self.harness.clock.now
        self.invariants.released()
        self.ask_for_bulk()

    def release_db(self) -> None:
        self.releases = {RELEASE_ANNOTATION: self.harness.clock.now.isoformat()}
        self.invariants.released()
        self.apply()

    def tamper(self, how: str) -> None:
        """Edit the target, if the API server admits it: an immutable one keeps its data."""
        change, secret = TAMPERINGS[how], self.without_data(self.desired.target)
        values = self.harness.values(self.desired.target)
        if secret is None or values is None or ("data" in change and secret.get("immutable")):
            return
        if all(value is None and name not in values for name, value in change.get("data", {"": ""}).items()):
            return
        self.harness.users.edit(self.target, "kubectl", **change)

    def delete_target(self) -> None:
        if self.without_data(self.desired.target) is not None:
            self.harness.users.delete(self.target)
            self.others.pop(self.desired.target, None)

    def trigger(self, what: str) -> None:
        """Do something that makes the operator read."""
        match what:
            case "a password is rotated":
                self.rotate("db-password")
            case "a token is rotated":
                self.rotate("api-token")
            case "the target is deleted":
                self.delete_target()
            case "the target is renamed":
                self.apply(target=TARGETS[(TARGETS.index(self.desired.target) + 1) % len(TARGETS)])
            case _:
                self.apply(label="depot" if self.desired.label == "shop" else "shop")

    def label_target(self) -> None:
        """Label the target as another controller does, which the operator has to keep."""
        secret = self.without_data(self.desired.target)
        if secret is not None:
            self.harness.users.edit(self.target, "labeller", labels={OTHERS_LABEL: "theirs"})
            self.labelled[self.desired.target] = secret["metadata"]["uid"]

    def write_meanwhile(self, how: str | None) -> None:
        """Write to the target while the operator acts: label it, tamper with it, or do nothing."""
        if how is not None:
            self.invariants.pause_step(self.label_target if how == "label" else partial(self.tamper, how))

    def put_foreign_secret(self, *, consents: bool) -> None:
        """Replace the target by a Secret of another manager."""
        self.delete_target()
        data, annotations = {"password": "theirs", "more": "theirs"}, CONSENT if consents else {}
        self.harness.users.create(self.target, "helm", data, annotations=annotations)
        secret = self.without_data(self.desired.target)
        assert secret is not None
        self.others[self.desired.target] = secret["metadata"]["uid"]
        if not (self.desired.adopt and consents):
            self.foreign[self.desired.target] = secret["metadata"]["uid"]

    def lag(self, names: Collection[str], *, lag: timedelta, kinds: Collection[Kind], lasts: timedelta) -> None:
        """Answer for a while from a replica that learns the changes of these secrets late."""
        if self.lagging_since is None or not self.harness.faults.is_lagging:
            self.lagging_since = self.harness.vault_time()
        replica = Replica(self.vault.history, names=names, lag=lag, now=self.harness.vault_time)
        self.harness.faults.lag(replica, kinds=kinds, lasts=lasts)

    async def recreate(self, *, observed: bool) -> None:
        """Delete the VaultSecret and create it again, for what it leaves behind; the watch may miss the deletion."""
        self.harness.remove(observed=observed)
        for name in TARGETS:
            if self.without_data(name) is not None and name not in self.foreign:
                self.harness.users.edit(self.harness.key_of(name), "kubectl", annotations=CONSENT)
        self.invariants.spec_changed()
        collected = self.harness.values(self.desired.target) is None
        if not observed:
            self.harness.wake("db")
            await self.harness.drain()
            self.harness.collect_garbage()
            assert not collected or self.desired.retains or self.harness.values(self.desired.target) is None, (
                "a target was created again that the garbage collector had deleted"
            )
        self.apply()

    # what can be observed

    @property
    def target(self) -> ObjectKey:
        return self.harness.key_of(self.desired.target)

    def without_data(self, name: str) -> dict[str, Any] | None:
        """Return a Secret without its data."""
        return self.harness.users.without_data(self.harness.key_of(name))

    def found(self) -> set[str]:
        """Return the secrets that the search of `db` finds, if it has one."""
        names = [name for name in NAMES if name.startswith("shop-")]
        return {name for name in names if (secret := self.vault.find(name)) is not None and secret.newest.enabled}

    def bulk_values(self) -> dict[str, str]:
        """Return all that `bulk` would hold if the vault had lost nothing."""
        return {name: self.vault.secrets[name].newest.value for name in BULK}

    def gone_for_long(self) -> set[str]:
        """Return the secrets of `db`, and fields, whose keys may be deleted, since their grace period is over."""
        now = self.harness.clock.now
        gone = {name for name, since in self.absent_since.items() if now - since >= DELETE_AFTER} - set(BULK)
        return gone if self.desired.deletes else gone - required(self.desired)

    def outlives(self, name: str) -> bool:
        """Return whether a Secret is not known as one that the operator created, and so is never deleted."""
        metadata = (self.without_data(name) or {}).get("metadata", {})
        applied = (metadata.get("annotations") or {}).get(APPLIED_ANNOTATION, "")
        return not metadata.get("ownerReferences") and '"created":true' not in applied

    def _consents(self, name: str) -> bool:
        metadata = (self.without_data(name) or {}).get("metadata", {})
        return CONSENT.items() <= (metadata.get("annotations") or {}).items()

    def is_foreign(self) -> bool:
        """Return whether a Secret with the target's name exists that may not be adopted and never was."""
        secret = self.without_data(self.desired.target)
        if secret is None or (self.desired.adopt and self._consents(self.desired.target)):
            return False
        managers = [(one["manager"], one["operation"]) for one in secret["metadata"].get("managedFields", ())]
        return MANAGED_BY_LABEL not in secret["metadata"].get("labels", {}) and (FIELD_MANAGER, "Apply") not in managers

    def expected(self, gone: set[str]) -> Expected:
        return Oracle(self.vault, self.harness.vault_time(), gone, self.found()).expected(self.desired)
