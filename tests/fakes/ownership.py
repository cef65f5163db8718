"""Who owns which field of an object, as the API server keeps it: server-side apply, and edits of the older kind.

https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Path(NamedTuple):
    """A field: its area (`data`, `labels`, …, or empty for what stands beside those, like `type`), and its name."""

    area: str
    name: str


class Hand(NamedTuple):
    """Somebody who writes: apply and update of one manager are two."""

    manager: str
    operation: str


class Conflict(NamedTuple):
    """A field that an apply would change, and whose it is."""

    path: Path
    owner: Hand


@dataclass(slots=True)
class Fields:
    """The fields of one object, and whose they are; a field may have several owners, or none."""

    values: dict[Path, Any] = field(default_factory=dict)
    owners: dict[Hand, frozenset[Path]] = field(default_factory=dict)

    def conflicts(self, manager: str, wanted: Mapping[Path, Any]) -> list[Conflict]:
        """What keeps an apply from going ahead without force."""
        hand = Hand(manager, "Apply")
        changed = {path for path, value in wanted.items() if path in self.values and self.values[path] != value}
        return [
            Conflict(path, owner)
            for owner, paths in self.owners.items()
            if owner != hand
            for path in sorted(paths & changed)
        ]

    def apply(self, manager: str, wanted: Mapping[Path, Any]) -> None:
        """Make the fields as wanted, by force; what this manager applied before and no longer names goes.

        What others own too stays. Somebody who had written before ownership was kept, keeps what there was.
        """
        hand = Hand(manager, "Apply")
        if self.values and not self.owners:
            self.owners[Hand("before-first-apply", "Update")] = frozenset(self.values)
        lost = {conflict.path for conflict in self.conflicts(manager, wanted)}
        abandoned = self.owners.get(hand, frozenset()) - wanted.keys()
        for owner in self.owners:
            if owner != hand:
                self._own(owner, self.owners[owner] - lost)
        self._own(hand, frozenset(wanted))
        owned = frozenset().union(*self.owners.values())
        for path in abandoned - owned:
            del self.values[path]
        self.values.update(wanted)
        self._forget_idle()

    def edit(self, manager: str, changes: Mapping[Path, Any]) -> None:
        """Set fields, or remove those that are None, as `kubectl edit` does: what changes is this hand's alone then."""
        changed = {path for path, value in changes.items() if self.values.get(path) != value}
        for owner, paths in self.owners.items():
            self._own(owner, paths - changed)
        kept = {path for path in changed if changes[path] is not None}
        hand = Hand(manager, "Update")
        self._own(hand, self.owners.get(hand, frozenset()) | kept)
        for path in changed:
            if path in kept:
                self.values[path] = changes[path]
            else:
                del self.values[path]
        self._forget_idle()

    def managed_fields(self) -> list[dict[str, Any]]:
        """The records as `metadata.managedFields` shows them."""
        return [
            {
                "manager": hand.manager,
                "operation": hand.operation,
                "apiVersion": "v1",
                "fieldsType": "FieldsV1",
                "fieldsV1": _tree(paths),
            }
            for hand, paths in self.owners.items()
        ]

    def of(self, area: str) -> dict[str, Any]:
        """The fields of one area, by name."""
        return {path.name: value for path, value in self.values.items() if path.area == area}

    def copy(self) -> "Fields":
        """The same fields, to be changed apart from these."""
        return Fields(dict(self.values), dict(self.owners))

    def _own(self, hand: Hand, paths: frozenset[Path]) -> None:
        self.owners[hand] = paths

    def _forget_idle(self) -> None:
        self.owners = {hand: paths for hand, paths in self.owners.items() if paths}


def fields_of(manifest: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    """The fields that a manifest of a Secret names."""
    metadata = manifest.get("metadata", {})
    if "type" in manifest:
        yield Path("", "type"), manifest["type"]
    if "immutable" in manifest:
        yield Path("", "immutable"), manifest["immutable"]
    for name, value in manifest.get("data", {}).items():
        yield Path("data", name), value
    for area in ("labels", "annotations"):
        for name, value in metadata.get(area, {}).items():
            yield Path(area, name), value
    for owner in metadata.get("ownerReferences", ()):
        yield Path("ownerReferences", owner["uid"]), owner


def _tree(paths: frozenset[Path]) -> dict[str, Any]:
    # https://github.com/kubernetes-sigs/structured-merge-diff
    areas: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for path in sorted(paths):
        key = f'k:{{"uid":"{path.name}"}}' if path.area == "ownerReferences" else f"f:{path.name}"
        areas[path.area][key] = {}
    tree = areas.pop("", {})
    if data := areas.pop("data", None):
        tree["f:data"] = data
    if areas:
        tree["f:metadata"] = {f"f:{area}": names for area, names in areas.items()}
    return tree
