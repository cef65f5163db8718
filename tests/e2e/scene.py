"""A scene: a namespace and a vault of a story's own, what people do there, and what they see. Judges nothing."""

import base64
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from tests.e2e.kubernetes import KubernetesApi, Object
from tests.emulator.client import EmulatedVault, Emulator
from tests.manifests import manifest
from tests.workloads import RESOURCES, a_workload
from vaultsync.api import (
    API_VERSION,
    APPLIED_ANNOTATION,
    MANAGED_BY_LABEL,
    OWNER_UID_LABEL,
    PLURAL,
    RESTARTED_ANNOTATION,
    ObjectKey,
)
from vaultsync.api.restarts import WorkloadKind

SOON: Final = 30.0
"""Seconds within which something must happen that waits for nothing, though all stories are played at the same time."""

POLL: Final = 10.0
"""The shortest `refreshInterval` that there is: every story uses it."""

NEXT_POLL: Final = POLL + SOON

MARK: Final = "n0t-to-be-s33n"
"""Part of every value in every vault, so that it can be searched for."""

_LOOK_EVERY: Final = 0.3

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


def eventually(holds: Callable[[], bool], what: str, *, within: float = SOON) -> None:
    """Return as soon as something is true; fail after that many seconds."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        time.sleep(_LOOK_EVERY)


@dataclass(frozen=True, slots=True)
class Scene:
    """The namespace, the vault and the hands of one story."""

    api: KubernetesApi
    emulator: Emulator
    namespace: str
    vault: EmulatedVault
    environ: Mapping[str, str] = field(default_factory=dict)
    """The variables with which a shell has a kubectl for this cluster, if the story needs one."""
    values: set[str] = field(default_factory=set)
    """Every value that was ever put into a vault here."""

    @classmethod
    def new(cls, api: KubernetesApi, emulator: Emulator, environ: Mapping[str, str] | None = None) -> "Scene":
        """Set a scene."""
        namespace = f"story-{uuid.uuid4().hex[:8]}"
        api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        return cls(api, emulator, namespace, emulator.add_vault(namespace), environ or {})

    # in the vault

    def value(self) -> str:
        """Think of a value that nobody has had."""
        value = f"{MARK}-{uuid.uuid4().hex}"
        self.values.add(value)
        return value

    def put(self, name: str = "db-password", *, vault: EmulatedVault | None = None) -> str:
        """Set a secret in the vault to a new value, and return that."""
        value = self.value()
        (vault or self.vault).set(name, value)
        return value

    def calls(self, kind: str) -> int:
        """How many calls of a kind, such as `get`, the vault has seen."""
        return self.vault.calls()[kind]

    # in the cluster

    def path(self, kind: str, name: str = "") -> str:
        """Where objects of a kind are, or one of them."""
        group = _GROUPS.get(kind, "/api/v1")
        return f"{group}/namespaces/{self.namespace}/{kind}" + (f"/{name}" if name else "")

    def apply(self, *entries: Mapping[str, object], name: str = "db", **spec: object) -> Object:
        """Apply a VaultSecret; one entry, `password` from `db-password`, unless others are given."""
        fields = {"vaultUrl": self.vault.url, "refreshInterval": f"{POLL:g}s", "data": entries or [entry()], **spec}
        return self.api.apply(self.path(PLURAL, name), manifest(fields, name=name, namespace=self.namespace))

    def change(self, name: str = "db", **spec: object) -> None:
        """Change parts of a VaultSecret's spec."""
        self.api.patch(self.path(PLURAL, name), {"spec": spec})

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
        """What one of its conditions says about the spec as it is now."""
        found = self.vault_secret(name) or {"metadata": {"generation": 0}}
        for condition in found.get("status", {}).get("conditions", ()):
            if condition["type"] == kind and condition["observedGeneration"] == found["metadata"]["generation"]:
                return Condition(condition["status"], condition["reason"], condition["message"])
        return None

    def ready(self, name: str = "db") -> Condition | None:
        """What its Ready condition says about the spec as it is now."""
        return self.condition("Ready", name)

    def events(self, name: str = "db") -> list[Event]:
        """The events about it, the oldest first."""
        events = [event for event in self.api.list(self.path("events")) if event["involvedObject"]["name"] == name]
        events.sort(key=lambda event: int(event["metadata"]["resourceVersion"]))
        return [Event(event["type"], event["reason"], event["message"]) for event in events]

    def told(self, name: str = "db") -> Counter[str]:
        """How often each reason was an event about it."""
        return Counter(event.reason for event in self.events(name))

    def secret(self, name: str = "db") -> Object | None:
        """The Secret."""
        return self.api.get(self.path("secrets", name))

    def writes(self, name: str = "db", *, since: Object) -> Sequence[Object]:
        """The Secret as each write has left it that came after `since`."""
        return self.api.history(self.path("secrets"), name, since=resource_version(since))

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
        """Make a workload."""
        self.api.create(self.path(RESOURCES[kind]), a_workload(kind, ObjectKey(self.namespace, name)))

    def rollouts(self, kind: WorkloadKind = WorkloadKind.DEPLOYMENT, name: str = "web") -> int:
        """How often a workload's pods were to be replaced."""
        workload = self.api.get(self.path(RESOURCES[kind], name))
        assert workload is not None
        rollouts: int = workload["metadata"]["generation"] - 1
        template = workload["spec"]["template"]["metadata"]
        assert (RESTARTED_ANNOTATION in template.get("annotations", {})) is (rollouts > 0)
        return rollouts

    # what is waited for

    def await_content(self, name: str = "db", *, within: float = SOON, **values: str) -> Object:
        """Return the Secret as soon as it holds these texts under these keys, and nothing else."""
        wanted = {key: value.encode() for key, value in values.items()}
        eventually(lambda: self.content(name) == wanted, f"{self.namespace}/{name} holds {values}", within=within)
        secret = self.secret(name)
        assert secret is not None
        return secret

    def await_released(self, name: str = "db", *, within: float = SOON) -> Object:
        """Return the Secret as soon as nothing on it says that it is the operator's."""

        def is_released() -> bool:
            metadata = (self.secret(name) or {"metadata": {}})["metadata"]
            marks = {MANAGED_BY_LABEL, OWNER_UID_LABEL, APPLIED_ANNOTATION}
            return marks.isdisjoint({**metadata.get("labels", {}), **metadata.get("annotations", {})})

        eventually(is_released, f"{self.namespace}/{name} is released", within=within)
        secret = self.secret(name)
        assert secret is not None
        return secret

    def await_reason(self, reason: str, name: str = "db", *, of: str = "Ready", within: float = SOON) -> Condition:
        """Return that condition as soon as it has that reason."""
        seen: list[Condition | None] = []

        def holds() -> bool:
            seen.append(self.condition(of, name))
            return seen[-1] is not None and seen[-1].reason == reason

        try:
            eventually(holds, reason, within=within)
        except AssertionError:
            raise AssertionError(f"{self.namespace}/{name} is not {reason} within {within:g} s: {seen[-1]}") from None
        assert seen[-1] is not None
        return seen[-1]

    def await_synced(self, name: str = "db", *, within: float = SOON) -> Object:
        """Return the Secret as soon as the VaultSecret says that it is in sync."""
        self.await_reason("Synced", name, within=within)
        target = ((self.vault_secret(name) or {}).get("status") or {})["target"]["name"]
        secret = self.secret(target)
        assert secret is not None
        return secret

    def await_event(self, kind: str, reason: str, message: str, name: str = "db", *, within: float = SOON) -> None:
        """Return as soon as there was that event about it."""
        event = Event(kind, reason, message)
        eventually(lambda: event in self.events(name), str(event), within=within)

    def await_told(self, name: str = "db", **times: int) -> None:
        """Return as soon as there were events of these reasons, so many times each, and no others."""
        eventually(lambda: self.told(name) == times, f"the events {times}: {self.told(name)}")

    def await_polls_elsewhere(self) -> None:
        """Return when another vault has been polled twice: time enough for whatever must not happen here."""
        other = self.emulator.add_vault(f"{self.namespace}-elsewhere")
        self.apply(name="elsewhere", vaultUrl=other.url)
        eventually(lambda: other.calls()["list"] >= 2, "two polls of another vault", within=POLL + NEXT_POLL)

    def await_calls(self, kind: str, *, more: int, within: float = NEXT_POLL) -> None:
        """Return when the vault has seen so many more calls of a kind."""
        enough = self.calls(kind) + more
        eventually(lambda: self.calls(kind) >= enough, f"{more} more calls of the kind {kind}", within=within)


def resource_version(thing: Mapping[str, Any] | None) -> str:
    """The version of an object, which each write of it changes."""
    assert thing is not None
    version: str = thing["metadata"]["resourceVersion"]
    return version
