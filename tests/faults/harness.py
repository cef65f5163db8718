"""The world of one fault scenario: a namespace, a vault with groups of secrets that rotate together, and operators.

It waits for outcomes; `PATIENCE` is a guard against hanging. How long a recovery took is measured, for the soak.
"""

import math
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Self

from tests.chart.renders import operator_rules, render
from tests.controlplane.cluster import Rule
from tests.controlplane.helm import Helm
from tests.controlplane.plane import ControlPlane
from tests.e2e.harness import PATIENCE, Harness, entry, eventually
from tests.e2e.kubernetes import KubernetesApi, Object
from tests.e2e.lifecycle.harness import OperatorHarness
from tests.e2e.operators import RunningOperator
from tests.e2e.recorder import ObjectRecorder
from tests.e2e.takeover.leadership import violations
from tests.e2e.takeover.trail import calls
from tests.emulator.client import ROOT, Emulator
from tests.faults.checker import (
    BY_USER,
    DELETED_BY_USER,
    FOREIGN,
    Checker,
    Group,
    Model,
    history_of,
    problems,
    shows_a_value,
    value_text,
)
from tests.faults.fault import Fault
from tests.faults.instance import Instance
from tests.faults.journal import Journal, Place
from vaultsync.api import MANAGED_BY_LABEL, OWNER_UID_LABEL
from vaultsync.policy.changes import SETTLING

BROKEN_SECONDS: Final = 25.0
"""For how long something is broken: two polls of the shortest interval, and more."""

HOME: Final = "default"
"""The namespace of an operator that serves all namespaces."""

_JSON_IN_ETCD = {"kube-apiserver": {"storage-media-type": "application/json"}}

_LISTS_COUNTED_EVERY = 2.0

_KEPT_FOR_LONG: Final = 2.0
"""Seconds after which an API server that is as busy as this one may answer a write when its Lease has run out."""

_APART: Final = SETTLING.total_seconds() + 1.0
"""Seconds from one rotation of a secret to the next.

A vault dates in whole seconds. Of two versions whose dates are closer than `SETTLING`, a stale answer does not show
which is older.
"""

_ROUNDS = 2
"""How often the vault and the cluster are changed while something is broken."""


@dataclass(frozen=True, slots=True)
class JournaledCluster:
    """A control plane that can be broken, and the journal of its etcd."""

    plane: ControlPlane
    api: KubernetesApi
    """The API server, with every right, past all proxies."""
    recorder: ObjectRecorder
    journal: Journal
    helm: Helm
    rules: Sequence[Rule]
    """The permissions that the chart grants to an operator."""
    folder: Path

    @classmethod
    @contextmanager
    def start(
        cls,
        tools: Mapping[str, Path],
        folder: Path,
        *,
        flags: Mapping[str, Mapping[str, object]] | None = None,
    ) -> Iterator[Self]:
        """Run one, with these flags of its programs in addition."""
        given = flags or {}
        flags = {name: {**_JSON_IN_ETCD.get(name, {}), **given.get(name, {})} for name in {*_JSON_IN_ETCD, *given}}
        with ExitStack() as stack:
            plane = stack.enter_context(ControlPlane(tools, folder / "plane", audited=True, flags=flags))
            plane.install(ROOT / "crds")
            api = stack.enter_context(KubernetesApi(plane.kubeconfig))
            recorder = stack.enter_context(ObjectRecorder.watching(api))
            journal = stack.enter_context(Journal.of(plane.etcd_url))
            helm = Helm(tools["helm"], folder / "helm")
            rules = operator_rules(render(helm, values={"namespaceOverride": HOME}))
            yield cls(plane, api, recorder, journal, helm, rules, folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class World(OperatorHarness):
    """A namespace, a vault, and what must be true of them whatever breaks.

    A VaultSecret, its target and its group of secrets in the vault have the same name.
    """

    cluster: JournaledCluster
    model: Model
    checker: Checker
    instances: list[Instance] = field(default_factory=list)
    """The operators that run, each behind a proxy of its own."""

    @classmethod
    def in_cluster(cls, cluster: JournaledCluster, emulator: Emulator) -> Self:
        """Create a namespace and a vault."""
        return cls._around(Harness.new(cluster.api, cluster.recorder, emulator), cluster)

    @classmethod
    def _around(cls, harness: Harness, cluster: JournaledCluster) -> Self:
        given = {field.name: getattr(harness, field.name) for field in fields(harness)}
        model = Model(lists=harness.vault.lists)
        checker = Checker(cluster.journal.of_namespace(harness.namespace), model)
        given |= {"plane": cluster.plane, "helm": cluster.helm, "rules": cluster.rules, "folder": cluster.folder}
        return cls(**given, cluster=cluster, model=model, checker=checker)

    def with_emulator(self, emulator: Emulator) -> Self:
        """The same namespace, which no scenario has used yet, with a vault of another emulator."""
        vault = emulator.add_vault(self.namespace)
        harness = Harness(self.api, self.recorder, emulator, self.namespace, vault)
        return self._around(harness, self.cluster)

    @contextmanager
    def pair(self) -> Iterator[list[Instance]]:
        """Run two operators, one of which stands by, and return when both are ready."""
        with self.instance() as one, self.instance() as other:
            yield [one, other]

    def leader(self) -> Instance:
        """Return the operator that leads as soon as there is one."""
        leading: list[Instance] = []

        def leads() -> bool:
            leading[:] = [instance for instance in self.instances if instance.leads]
            return len(leading) == 1

        eventually(leads, f"one operator of {self.namespace} leads")
        return leading[0]

    @contextmanager
    def instance(self, kubeconfig: Path | None = None, environ: Mapping[str, str] | None = None) -> Iterator[Instance]:
        """Run an operator that faults of Kubernetes and of the process befall, and return when it is ready."""
        name = f"{self.namespace}-{len(self.instances)}"
        with Instance.of(self, name, kubeconfig=kubeconfig, environ=environ) as instance:
            self.instances.append(instance)
            try:
                yield instance
            finally:
                self.instances.remove(instance)

    # what users do

    def add(self, name: str = "db", *, secrets: int = 3, **spec: object) -> None:
        """Put a group of secrets into the vault, and apply the VaultSecret that shows them."""
        names = tuple(f"{name}-{number}" for number in range(secrets))
        self.model.groups[name] = group = Group(names, wanted=False)
        self.rotate(name)
        self.apply(*self._entries(name), name=name, **spec)
        group.wanted = True

    def show(self, name: str, *, all_but: int) -> None:
        """Change a VaultSecret so that it shows its secrets without the last ones, so many."""
        entries = self._entries(name)
        self.change(name, data=entries[: len(entries) - all_but])

    def remove(self, name: str) -> None:
        """Delete a VaultSecret; its secrets stay in the vault."""
        self.delete(name)
        self.model.groups[name].wanted = False

    def rotate(self, *names: str) -> None:
        """Set all secrets of these groups, by default of all groups, between two calls of clients."""
        groups = [self.model.groups[name] for name in names or self.model.wanted()]
        last = max((group.rotated_until for group in groups), default=-math.inf)
        time.sleep(max(0.0, last + _APART - time.monotonic()))
        texts = [
            {"name": secret, "value": value_text(secret, group.generation + 1, uuid.uuid4().hex)}
            for group in groups
            for secret in group.secrets
        ]
        # A generation may be seen from the moment on at which the vault is asked to set it.
        now = time.monotonic()
        for group in groups:
            group.rotated.append(now)
        self.vault.set_many(texts)
        for group in groups:
            group.rotated_until = time.monotonic()

    def tamper(self, name: str = "db", **patch: object) -> None:
        """Change a Secret behind the operator's back; by default, the text of its first key."""
        secret = f"{name}-0"
        content = patch or {"stringData": {secret: "tampered"}}
        self._as_user(Place.secret(self.namespace, name), **content)

    def label(self, name: str) -> None:
        """Label a Secret, as another controller does."""
        self._as_user(Place.secret(self.namespace, name), metadata={"labels": {"team": uuid.uuid4().hex}})

    def delete_target(self, name: str = "db") -> None:
        """Delete a Secret behind the operator's back."""
        self._as_user(Place.secret(self.namespace, name), metadata={"annotations": {DELETED_BY_USER: "true"}})
        self.api.delete(self.path("secrets", name))
        # Otherwise the target could count as right until the journal has the deletion.
        self.cluster.journal.await_present()

    def add_foreign(self, name: str, **metadata: Any) -> None:  # noqa: ANN401 - metadata has fields of any type
        """Create a Secret that is not the operator's."""
        annotations = {FOREIGN: "true", BY_USER: uuid.uuid4().hex}
        body: Object = {"metadata": {"name": name, "annotations": annotations, **metadata}, "stringData": {"a": "b"}}
        self.api.create(self.path("secrets"), {"apiVersion": "v1", "kind": "Secret", **body})

    def _as_user(self, place: Place, **patch: Any) -> None:  # noqa: ANN401 - a patch has fields of any type
        metadata = patch.pop("metadata", {})
        annotations = {**metadata.get("annotations", {}), BY_USER: uuid.uuid4().hex}
        patch["metadata"] = {**metadata, "annotations": annotations}
        self.api.patch(self.path("secrets", place.name), patch)

    def _entries(self, name: str) -> list[Mapping[str, object]]:
        return [entry(secret, secret) for secret in self.model.groups[name].secrets]

    # what must be

    def settle(self, *, pages: int = 1, **spec: Any) -> None:  # noqa: ANN401 - a spec has fields of any type
        """Create two groups, and Secrets of others that look like targets; return when all targets are right.

        The vault's list has so many pages; the VaultSecrets have these fields too.
        """
        self.vault.set_many({"name": f"other-{number}", "value": self.value()} for number in range(25 * (pages - 1)))
        self.add("db", **spec)
        self.add("web", **spec)
        self.add_foreign("foreign")
        self.add_foreign("look-alike", labels={MANAGED_BY_LABEL: "vaultsync", OWNER_UID_LABEL: str(uuid.uuid4())})
        self.await_right()

    def await_right(self, *, since: float | None = None) -> float:
        """Return when each target is as its VaultSecret and the vault are now.

        Args:
            since: The moment at which the world was well again.

        Returns:
            The seconds from then until the write that made the last target right.
        """
        well = time.monotonic() if since is None else since
        journal, left = self.cluster.journal, [""]

        def is_right() -> bool:
            self._check_instances()
            left[:] = problems(journal, self.namespace, self.model)
            return not left

        try:
            eventually(is_right, "right targets", journal.changed)
        except AssertionError as error:
            raise AssertionError(f"{error}: {left}") from None
        last = max(write.at for write in journal.of_namespace(self.namespace) if write.place.is_secret)
        return max(0.0, last - well)

    def await_quiet(self, polls: int = 2) -> None:
        """Return after so many polls in which nothing was written and no secret was read."""
        before, deadline = None, time.monotonic() + PATIENCE
        while before != (before := self._activity()):
            enough = self.calls("list") + polls
            # Not `await_calls`, which asks the emulator so often that many worlds would keep it busy.
            while self.calls("list") < enough:
                assert time.monotonic() < deadline, f"{self.namespace} is not quiet after {PATIENCE:g} s"
                time.sleep(_LISTS_COUNTED_EVERY)
            self.cluster.journal.await_present()

    def await_no_write(self, seconds: float) -> None:
        """Return after so many seconds in which nothing was written; a poll may read a vault of many versions again."""
        writes, before, deadline = self.cluster.journal.of_namespace(self.namespace), -1, time.monotonic() + PATIENCE
        while before != (before := len(writes)):
            assert time.monotonic() < deadline, f"{self.namespace} is not quiet after {PATIENCE:g} s"
            time.sleep(seconds)
            self.cluster.journal.await_present()

    def _activity(self) -> tuple[int, int]:
        return len(self.cluster.journal.of_namespace(self.namespace)), self.calls("get")

    def _check_instances(self) -> None:
        ended = [instance for instance in self.instances if not instance.running.is_running]
        assert not ended, f"an operator of {self.namespace} ended by itself"

    def check(self) -> None:
        """Fail if a write so far has broken an invariant, or was that of no leader, or an operator ended by itself."""
        self._check_instances()
        self._check_leadership()
        self.cluster.journal.await_present()
        found = self.checker.check()
        writes = self.cluster.journal.of_namespace(self.namespace)
        texts = [f"{violation}\n{history_of(writes, violation.place)}" for violation in found]
        assert not texts, "\n".join(texts)

    def survive(self, fault: Fault, *, seconds: float = BROKEN_SECONDS) -> float:
        """Break something, change the vault and the cluster meanwhile, mend it, and check all that must be.

        Args:
            fault: What breaks.
            seconds: For how long: two polls of the shortest interval, and more. The changes come before each of them:
                those of the second time meet what was read from a broken world.

        Returns:
            The seconds from the mending until all targets were right.
        """
        with fault.during(self):
            for _ in range(_ROUNDS):
                self.rotate()
                self.tamper("db")
                if self.secret("web") is not None:
                    self.delete_target("web")
                time.sleep(seconds / _ROUNDS)
        mended = time.monotonic()
        recovery = self.await_right(since=mended)
        self.await_quiet()
        self.check()
        return recovery

    def _check_leadership(self) -> None:
        trail = [
            call
            for call in calls(self.plane.audit_log, of=self.namespace)
            if not call.is_write or (not self.model.is_delayed and call.done - call.received < _KEPT_FOR_LONG)
        ]
        # There is one shard, and so one Lease.
        lease = next((call.name for call in trail if call.lease is not None), "")
        written = list(violations(trail, lambda _: lease, ordered=not self.model.is_restored))
        assert not written, "\n".join(written)


def check_log(operator: RunningOperator) -> None:
    """Fail if a line of an operator's log is not JSON, or shows a value."""
    for line in operator.lines():
        assert line.keys() > {"message"}, "a line of the log is not JSON"
    assert not shows_a_value(operator.log.read_text()), "a value is in the log"
