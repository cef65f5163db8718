"""Objects of Kubernetes in the input: kind, name, labels; knows no peer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from vaultsync.api import MANAGED_BY_LABEL
from vaultsync.convert.drafts import MISSING_NAMESPACE, At
from vaultsync.convert.nodes import Node
from vaultsync.texts import one_line

OF_THE_CLUSTER: Final = frozenset({
    "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
    "managedFields", "selfLink", "finalizers",
})  # fmt: skip
"""Metadata that the API server or a controller has written: it is about that object, and means nothing for another."""

_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, slots=True)
class Object:
    """An object of the input."""

    node: Node
    group: str
    version: str
    kind: str
    name: str
    namespace: str
    """That of the object, or the one that was asked for."""
    has_namespace: bool
    """Whether the object says so itself."""
    labels: dict[str, At]
    annotations: dict[str, At]
    owner_kinds: frozenset[str]

    def __str__(self) -> str:
        return f"{one_line(f'{self.kind} {self.namespace}/{self.name}')} ({self.node.place})"

    @property
    def spec(self) -> Node | None:
        """The field `spec`."""
        return self.node.child("spec")

    def target_labels(self) -> dict[str, At]:
        """Return the labels without those that vaultsync sets itself, for peers that copy them to the Secret."""
        return {key: at for key, at in self.labels.items() if key != MANAGED_BY_LABEL}


def objects_in(root: Node, namespace: str) -> Iterator[Object]:
    """Yield the objects of a document, which may be a list as kubectl prints it."""
    kind = root.child("kind")
    items = root.child("items") if kind is not None and kind.text().endswith("List") else None
    if items is None:
        read = _object(root, namespace)
        if read is not None:
            yield read
        return
    root.ignore("apiVersion", "metadata")
    for item in items.items():
        yield from objects_in(item, namespace)


def texts(members: Mapping[str, Node]) -> dict[str, At]:
    """Return the texts of an object's fields."""
    return {key: At(member.text(), member.place) for key, member in members.items()}


def _object(root: Node, namespace: str) -> Object | None:
    root.is_read = True
    if not isinstance(root.content, dict) or not {"apiVersion", "kind", "metadata"} <= root.content.keys():
        root.report("this is not an object of Kubernetes", "it needs apiVersion, kind and metadata")
        return None
    group, _, version = root.text_of("apiVersion").rpartition("/")
    metadata = root.child("metadata")
    assert metadata is not None
    metadata.ignore(*OF_THE_CLUSTER)
    root.ignore("status")
    annotations = texts(metadata.map_of("annotations"))
    annotations.pop(_LAST_APPLIED, None)
    owners = frozenset(owner.text_of("kind") for owner in metadata.items_of("ownerReferences"))
    metadata.ignore("ownerReferences")
    return Object(
        node=root,
        group=group,
        version=version,
        kind=root.text_of("kind"),
        name=metadata.text_of("name"),
        namespace=metadata.text_of("namespace") or namespace or MISSING_NAMESPACE,
        has_namespace=bool(metadata.text_of("namespace")),
        labels=texts(metadata.map_of("labels")),
        annotations=annotations,
        owner_kinds=owners,
    )
