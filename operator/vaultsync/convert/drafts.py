"""A VaultSecret in the making: what the modules of the peers fill, and what it becomes; knows no peer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from vaultsync.api import API_VERSION, KIND
from vaultsync.api.checks import Pattern
from vaultsync.api.fields import is_object_name
from vaultsync.api.model import InvalidSpec
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.convert.findings import Place
from vaultsync.convert.nodes import Node

MISSING_NAMESPACE: Final = "default"
"""kubectl puts an object without a namespace into the one of its context, which only `--namespace` can tell."""

_NAMESPACE: Final = Pattern("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

_METADATA: Final = {
    "uid": "0",
    "generation": 1,
    "resourceVersion": "1",
    "creationTimestamp": "2026-01-01T00:00:00Z",
}
"""What the API server adds; the model needs it."""


@dataclass(frozen=True, slots=True)
class At:
    """A value of a draft with the place that it comes from, for comments."""

    value: Any
    place: Place


@dataclass(frozen=True, slots=True)
class Identity:
    """Who reads a vault: the field `identity` of a VaultGrant, and what is to be completed there."""

    fields: Mapping[str, Any] | None = None
    """None is the operator's own identity."""
    remark: str = ""

    def __hash__(self) -> int:
        return hash(repr(self.fields))


@dataclass(slots=True)
class Draft:
    """A VaultSecret in the making."""

    origin: Node
    """The object that it is made of, or the part of one."""
    sources: list[str]
    """The objects that it is made of, with their places."""
    peer: str
    """Who has written its Secret so far."""
    page: str
    """The page about the move, within docs/migrate/."""
    name: str
    namespace: str
    vault_url: str
    identity: Identity = field(default_factory=Identity)
    labels: dict[str, At] = field(default_factory=dict)
    annotations: dict[str, At] = field(default_factory=dict)
    data: list[At] = field(default_factory=list)
    data_from: list[At] = field(default_factory=list)
    target: dict[str, Any] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)
    """More fields of the spec."""
    is_complete: bool = True
    """If false, the Secret would lack something or hold something else: the VaultSecret is suspended."""

    def lose(self, node: Node, reason: str, advice: str) -> None:
        """Report a part of the input without which the Secret would be another one."""
        self.is_complete = False
        node.report(reason, advice)

    @property
    def target_name(self) -> str:
        """The name of the Secret."""
        return str(plain(self.target.get("name", self.name)))

    def secrets(self) -> Iterator[str]:
        """Yield the names and patterns of the secrets that it reads, as a grant lists them."""
        for entry in plain(self.data):
            yield entry["secretName"]
        for source in plain(self.data_from):
            found = source.get("find")
            yield found.get("names", "*") if found is not None else source.get("object") or source["certificate"]

    def document(self) -> dict[str, Any]:
        """Return the VaultSecret."""
        metadata: dict[str, Any] = {"name": self.name, "namespace": self.namespace}
        spec: dict[str, Any] = {"vaultUrl": self.vault_url}
        if not self.is_complete:
            spec["suspend"] = True
        parts = (
            (metadata, {"labels": self.labels, "annotations": self.annotations}),
            (spec, {"data": self.data, "dataFrom": self.data_from, "target": self.target, **self.spec}),
        )
        for where, fields in parts:
            where.update({name: value for name, value in fields.items() if value})
        return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}

    def problem(self) -> str:
        """Return why the API server would refuse the VaultSecret, or nothing."""
        if not (_NAMESPACE(self.namespace) and is_object_name(self.name)):
            return "namespace and name must be those of an object of Kubernetes"
        document = plain(self.document())
        try:
            VaultSecret.parse({**document, "metadata": {**document["metadata"], **_METADATA}})
        except InvalidSpec as error:
            return str(error)
        return ""


def size(value: Any) -> int:  # noqa: ANN401  a tree of values
    """Return the number of values of a tree."""
    match value:
        case At():
            return size(value.value)
        case Mapping():
            return 1 + sum(map(size, value.values()))
        case Sequence() if not isinstance(value, str):
            return 1 + sum(map(size, value))
        case _:
            return 1


def plain(value: Any) -> Any:  # noqa: ANN401  a tree of values
    """Return a tree without the places."""
    match value:
        case At():
            return plain(value.value)
        case Mapping():
            return {name: plain(part) for name, part in value.items()}
        case str():
            return value
        case Sequence():
            return [plain(part) for part in value]
        case _:
            return value
