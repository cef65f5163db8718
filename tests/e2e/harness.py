"""The harness of one scenario: its own namespace and vault, the actions of users there and what they observe.

It waits for outcomes and for the order of events, never for a span of time: `PATIENCE` is a guard against hanging.
"""

import base64
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from tests.e2e.kubernetes import KubernetesApi, Object
from tests.e2e.recorder import ObjectRecorder
from tests.emulator.client import EmulatedVault, Emulator
from tests.manifests import grant, manifest
from tests.workloads import RESOURCES, a_workload
from vaultsync.api import (
    API_VERSION,
    APPLIED_ANNOTATION,
    GRANT_PLURAL,
    MANAGED_BY_LABEL,
    OWNER_UID_LABEL,
    PLURAL,
    RESTARTED_ANNOTATION,
    ObjectKey,
)
from vaultsync.api.v1alpha1 import WorkloadKind

PATIENCE: Final = 600.0
"""Seconds after which a test that waits counts as hanging."""

REFRESH: Final = "10s"
"""The shortest `refreshInterval` that is allowed; scenarios use it unless they say otherwise."""

SELDOM: Final = "1h"
"""A `refreshInterval` with which no poll comes by itself before a test that hangs is given up."""

MARK: Final = "n0t-to-be-s33n"
"""Part of every value in every vault: a search for it finds leaks."""

_CHECK_EVERY: Final = 0.5
"""Seconds between two checks of a condition that no change of a watched object announces."""

_BY_SLOWNESS: Final = {"VaultUnreachable", "ClusterUnavailable", "Stale", "Synced"}
"""Reasons of events that a machine may cause which is so slow that calls time out, and of the recovery from that."""

LONG_AGO: Final = datetime(2026, 1, 1, tzinfo=UTC)

_GROUPS: Final = {PLURAL: f"/apis/{API_VERSION}", **dict.fromkeys(RESOURCES.values(), "/apis/apps/v1")}


class Condition(NamedTuple):
    """One of a VaultSecret's conditions."""

    status: str
    reason: str
    message: str


class Event(NamedTuple):
    """An event about a VaultSecret."""

    type: str
    reason: str
    message: str


def entry(key: str = "password", source: str = "db-password", **fields: object) -> dict[str, object]:
    """One entry of `spec.data`; `source` is the secret's name in the vault."""
    return {"key": key, "secretName": source, **fields}


def eventually(holds: Callable[[], bool], what: str, changed: threading.Event | None = None) -> None:
    """Return as soon as a condition holds; fail when the guard against hanging ends.

    Args:
        holds: The condition.
        what: Its description.
        changed: Is set when the condition is worth another check.
    """
    changed = changed or threading.Event()
    deadline = time.monotonic() + PATIENCE
    while True:
        changed.clear()
        if holds():
            return
        assert time.monotonic() < deadline, f"not after {PATIENCE:g} s: {what}"
        changed.wait(_CHECK_EVERY)


def in_a_window(attempt: Callable[[int, float], bool]) -> None:
    """Run a scenario that needs a time window; on a slow machine the window ends too early, and is made longer.

    Args:
        attempt: Gets its number and the seconds of its window; returns whether everything happened in the window.
    """
    seconds, number = 4.0, 0
    while not attempt(number, seconds):
        seconds, number = 3 * seconds, number + 1
        assert seconds < PATIENCE, "not even the longest window was long enough"


@dataclass(slots=True)
class _Cursor:
    """Up to which state of a VaultSecret a scenario has followed what became of it."""

    uid: str = ""
    generation: int = 0
    position: int = 0


@dataclass(frozen=True, slots=True)
class Harness:
    """The namespace and the vault of one scenario."""

    api: KubernetesApi
    recorder: ObjectRecorder
    emulator: Emulator
    namespace: str
    vault: EmulatedVault
    environ: Mapping[str, str] = field(default_factory=dict)
    """The variables with which a shell has a kubectl for this cluster, if the scenario needs one."""
    values: set[str] = field(default_factory=set)
    """Every value that was ever put into a vault here."""
    _granted: set[str] = field(default_factory=set)
    """The vaults that the namespace may use."""
    _cursors: dict[str, _Cursor] = field(default_factory=dict)

    @classmethod
    def new(
        cls,
        api: KubernetesApi,
        recorder: ObjectRecorder,
        emulator: Emulator,
        environ: Mapping[str, str] | None = None,
    ) -> "Harness":
        """Create a namespace and a vault."""
        namespace = f"scenario-{uuid.uuid4().hex[:8]}"
        api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        harness = cls(api, recorder, emulator, namespace, emulator.add_vault(namespace), environ or {})
        harness.grant(harness.vault.url)
        return harness

    def eventually(self, holds: Callable[[], bool], what: str) -> None:
        """Return as soon as a condition holds."""
        eventually(holds, f"{what} in {self.namespace}", self.recorder.changed(self.namespace))

    # in the vault

    def value(self) -> str:
        """Return a value that is used nowhere else."""
        value = f"{MARK}-{uuid.uuid4().hex}"
        self.values.add(value)
        return value

    def put(self, name: str = "db-password", *, vault: EmulatedVault | None = None, **attributes: object) -> str:
        """Set a secret in the vault to a new value, and return that."""
        value = self.value()
        (vault or self.vault).set(name, value, **attributes)
        return value

    def put_long_ago(self, name: str = "db-password") -> str:
        """Set a secret to a new value that is dated back, later than all before, and return that.

        Key Vault dates to the second, so what is read within the second of its change is read again at the next poll.
        What was changed long ago is read once.
        """
        return self.put(name, created_on=LONG_AGO + timedelta(minutes=len(self.values)))

    def calls(self, kind: str) -> int:
        """How many calls of a kind, such as `get`, the vault has seen."""
        return self.vault.calls()[kind]

    # in the cluster

    def grant(self, vault_url: str) -> None:
        """Allow the namespace to do everything with a vault."""
        if vault_url not in self._granted:
            self._granted.add(vault_url)
            name = f"{self.namespace}-{len(self._granted)}"
            self.api.apply(f"/apis/{API_VERSION}/{GRANT_PLURAL}/{name}", grant(name, vault_url, self.namespace))

    def path(self, kind: str, name: str = "") -> str:
        """Where objects of a kind are, or one of them."""
        group = _GROUPS.get(kind, "/api/v1")
        return f"{group}/namespaces/{self.namespace}/{kind}" + (f"/{name}" if name else "")

    def apply(self, *entries: Mapping[str, object], name: str = "db", **spec: object) -> Object:
        """Apply a VaultSecret; one entry, `password` from `db-password`, unless others are given."""
        fields = {"vaultUrl": self.vault.url, "refreshInterval": REFRESH, "data": entries or [entry()], **spec}
        return self.apply_manifest(manifest(fields, name=name, namespace=self.namespace))

    def apply_manifest(self, written: Mapping[str, Any]) -> Object:
        """Apply a VaultSecret as it is written."""
        self.grant(written["spec"]["vaultUrl"])
        name = written["metadata"]["name"]
        return self._expect(name, self.api.apply(self.path(PLURAL, name), written))

    def change(self, name: str = "db", **spec: object) -> None:
        """Change parts of a VaultSecret's spec."""
        if "vaultUrl" in spec:
            self.grant(str(spec["vaultUrl"]))
        self._expect(name, self.api.patch(self.path(PLURAL, name), {"spec": spec}))

    def expect_current(self, name: str = "db") -> None:
        """Expect conditions of the current spec, after a change by other means than this harness."""
        if (current := self.vault_secret(name)) is not None:
            self._expect(name, current)

    def _expect(self, name: str, written: Object) -> Object:
        """Expect conditions of this object and this generation from now on."""
        cursor = self._cursors.setdefault(name, _Cursor())
        cursor.uid, cursor.generation = written["metadata"]["uid"], written["metadata"]["generation"]
        return written

    def delete(self, name: str = "db", *, propagation: str = "Background") -> None:
        """Delete a VaultSecret."""
        self.api.delete(self.path(PLURAL, name), propagation=propagation)

    def vault_secret(self, name: str = "db") -> Object | None:
        """The VaultSecret."""
        return self.api.get(self.path(PLURAL, name))

    def annotate(self, annotations: Mapping[str, str], name: str = "db") -> None:
        """Put annotations on a VaultSecret."""
        self.api.patch(self.path(PLURAL, name), {"metadata": {"annotations": annotations}})

    def status(self, name: str = "db") -> Object:
        """The VaultSecret's status."""
        status: Object = (self.vault_secret(name) or {}).get("status", {})
        return status

    def condition(self, kind: str, name: str = "db") -> Condition | None:
        """One of its conditions, as it is now, if it is about the spec as it is now."""
        return condition_of(self.vault_secret(name), kind)

    def ready(self, name: str = "db") -> Condition | None:
        """Its Ready condition, as it is now, if it is about the spec as it is now."""
        return self.condition("Ready", name)

    def observed(self, name: str = "db") -> Object:
        """The state of the VaultSecret that the last `await_reason` has found; the present one may be later."""
        return self.recorder.states(self.namespace, name)[self._cursors[name].position]

    def events(self, name: str = "db") -> list[Event]:
        """The events about it, the oldest first."""
        events = [event for event in self.api.list(self.path("events")) if event["involvedObject"]["name"] == name]
        events.sort(key=lambda event: int(event["metadata"]["resourceVersion"]))
        return [Event(event["type"], event["reason"], event["message"]) for event in events]

    def event_counts(self, name: str = "db") -> Counter[str]:
        """The number of events about it by reason, without those that a slow machine may cause."""
        return Counter(event.reason for event in self.events(name) if event.reason not in _BY_SLOWNESS)

    def secret(self, name: str = "db") -> Object | None:
        """The Secret."""
        return self.api.get(self.path("secrets", name))

    def writes(self, name: str = "db", *, since: Object) -> Sequence[Object]:
        """The states of the Secret that came after `since`, one for each write."""
        current, states = self.secret(name), self.recorder.secret_states
        self.eventually(lambda: states(self.namespace, name, until=current) is not None, "the recorded Secret")
        recorded = states(self.namespace, name, until=current) or []
        return [state for state in recorded if int(resource_version(state)) > int(resource_version(since))]

    def content(self, name: str = "db") -> dict[str, bytes] | None:
        """What the Secret holds; None if there is none."""
        secret = self.secret(name)
        if secret is None:
            return None
        return {key: base64.b64decode(text) for key, text in (secret.get("data") or {}).items()}

    def tamper(self, name: str = "db", **patch: object) -> None:
        """Change the Secret behind the operator's back."""
        self.api.patch(self.path("secrets", name), patch)

    def run(self, kind: WorkloadKind = WorkloadKind.DEPLOYMENT, name: str = "web") -> None:
        """Create a workload."""
        self.api.create(self.path(RESOURCES[kind]), a_workload(kind, ObjectKey(self.namespace, name)))

    def rollouts(self, kind: WorkloadKind = WorkloadKind.DEPLOYMENT, name: str = "web") -> int:
        """The number of times that a workload was restarted."""
        workload = self.api.get(self.path(RESOURCES[kind], name))
        assert workload is not None
        rollouts: int = workload["metadata"]["generation"] - 1
        template = workload["spec"]["template"]["metadata"]
        assert (RESTARTED_ANNOTATION in template.get("annotations", {})) is (rollouts > 0)
        return rollouts

    # waits

    def await_content(self, name: str = "db", **values: str) -> Object:
        """Return the Secret as soon as it holds these texts under these keys, and nothing else."""
        wanted = {key: value.encode() for key, value in values.items()}
        self.eventually(lambda: self.content(name) == wanted, f"Secret {name} holds {values}")
        secret = self.secret(name)
        assert secret is not None
        return secret

    def await_released(self, name: str = "db") -> Object:
        """Return the Secret as soon as nothing on it marks it as the operator's."""

        def is_released() -> bool:
            metadata = (self.secret(name) or {"metadata": {}})["metadata"]
            marks = {MANAGED_BY_LABEL, OWNER_UID_LABEL, APPLIED_ANNOTATION}
            return marks.isdisjoint({**metadata.get("labels", {}), **metadata.get("annotations", {})})

        self.eventually(is_released, f"Secret {name} is released")
        secret = self.secret(name)
        assert secret is not None
        return secret

    def await_reason(self, *reasons: str, name: str = "db", of: str = "Ready") -> Condition:
        """Return that condition as it was when it had one of these reasons for the first time since the last await.

        The states of the VaultSecret are followed in their order, so that one which lasts for a moment is not missed.
        """

        def has_reason(state: Object) -> bool:
            condition = condition_of(state, of)
            return condition is not None and condition.reason in reasons

        found = condition_of(self.await_state(has_reason, " or ".join(reasons), name), of)
        assert found is not None
        return found

    def await_state(self, fits: Callable[[Object], bool], what: str, name: str = "db") -> Object:
        """Return the first state of a VaultSecret since the last await that fits, and is one of the spec as applied."""
        cursor, states = self._cursors[name], self.recorder.states(self.namespace, name)

        def holds() -> bool:
            for position in range(cursor.position, len(states)):
                metadata = states[position]["metadata"]
                is_expected = metadata["uid"] == cursor.uid and metadata["generation"] >= cursor.generation
                if is_expected and fits(states[position]):
                    cursor.position = position
                    return True
            return False

        try:
            self.eventually(holds, f"VaultSecret {name}: {what}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.vault_secret(name)}") from None
        return states[cursor.position]

    def await_synced(self, name: str = "db") -> Object:
        """Return the Secret as soon as the VaultSecret is in sync."""
        self.await_reason("Synced", name=name)
        secret = self.secret(self.observed(name)["status"]["target"]["name"])
        assert secret is not None
        return secret

    def await_event(self, kind: str, reason: str, *parts: str, name: str = "db") -> Event:
        """Return the first event of this type and reason with these parts in its message, as soon as it is there."""
        found: list[Event] = []

        def holds() -> bool:
            found[:] = [
                event
                for event in self.events(name)
                if (event.type, event.reason) == (kind, reason) and all(part in event.message for part in parts)
            ]
            return bool(found)

        self.eventually(holds, f"a {kind} event {reason} about {name} with {parts}")
        return found[0]

    def await_event_counts(self, name: str = "db", **times: int) -> None:
        """Return as soon as there are events of these reasons, so many of each, and no others.

        Of the reasons that a slow machine may cause, those that are given are events that must be there.
        """
        exact = {reason: count for reason, count in times.items() if reason not in _BY_SLOWNESS}
        at_least = times.keys() - exact.keys()

        def are_there() -> bool:
            return self.event_counts(name) == exact and at_least <= {event.reason for event in self.events(name)}

        try:
            self.eventually(are_there, f"the events {times}")
        except AssertionError as error:
            raise AssertionError(f"{error}; there are {self.events(name)}") from None

    def await_polls_elsewhere(self) -> None:
        """Wait until another vault has been polled twice: a mistake would have an effect by then."""
        other = self.emulator.add_vault(f"{self.namespace}-elsewhere")
        self.apply(name="elsewhere", vaultUrl=other.url)
        eventually(lambda: other.calls()["list"] >= 2, "two polls of another vault")

    def await_calls(self, kind: str, *, more: int) -> None:
        """Return when the vault has received so many more calls of a kind."""
        enough = self.calls(kind) + more
        eventually(lambda: self.calls(kind) >= enough, f"{more} more calls of the kind {kind}")


def condition_of(vault_secret: Object | None, kind: str) -> Condition | None:
    """One of a VaultSecret's conditions; None if it is about an earlier generation of the spec."""
    found = vault_secret or {"metadata": {"generation": 0}}
    for condition in found.get("status", {}).get("conditions", ()):
        if condition["type"] == kind and condition["observedGeneration"] == found["metadata"]["generation"]:
            return Condition(condition["status"], condition["reason"], condition["message"])
    return None


def resource_version(thing: Mapping[str, Any] | None) -> str:
    """The version of an object, which each write of it changes."""
    assert thing is not None
    version: str = thing["metadata"]["resourceVersion"]
    return version
