"""Field ownership as the API server keeps it: server-side apply, and updates without it.

https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Path(NamedTuple):
    """A field: its area (`data`, `labels`, …; empty for top-level fields such as `type`), and its name."""

    area: str
    name: str


class Writer(NamedTuple):
    """A manager and its operation: apply and update of one manager are two writers."""

    manager: str
    operation: str


class Conflict(NamedTuple):
    """A field that an apply would change, and its owner."""

    path: Path
    owner: Writer


@dataclass(slots=True)
class Fields:
    """The fields of one object and their owners; a field may have several owners, or none."""

    values: dict[Path, Any] = field(default_factory=dict)
    owners: dict[Writer, frozenset[Path]] = field(default_factory=dict)

    def conflicts(self, manager: str, desired: Mapping[Path, Any]) -> list[Conflict]:
        """Return the conflicts of an apply without force."""
        writer = Writer(manager, "Apply")
        changed = {path for path, value in desired.items() if path in self.values and self.values[path] != value}
        return [
            Conflict(path, owner)
            for owner, paths in self.owners.items()
            if owner != writer
            for path in sorted(paths & changed)
        ]

    def apply(self, manager: str, desired: Mapping[Path, Any]) -> None:
        """Apply fields by force; those that this manager applied before, and that are not in `desired`, are removed.

        Fields with other owners stay. Fields from before the first apply keep an owner of their own.
        """
        writer = Writer(manager, "Apply")
        if self.values and not self.owners:
            self.owners[Writer("before-first-apply", "Update")] = frozenset(self.values)
        lost = {conflict.path for conflict in self.conflicts(manager, desired)}
        abandoned = self.owners.get(writer, frozenset()) - desired.keys()
        for owner in self.owners:
            if owner != writer:
                self._own(owner, self.owners[owner] - lost)
        self._own(writer, frozenset(desired))
        owned = frozenset().union(*self.owners.values())
        for path in abandoned - owned:
            del self.values[path]
        self.values.update(desired)
        self._drop_empty()

    def edit(self, manager: str, changes: Mapping[Path, Any]) -> None:
        """Set fields, or remove those that are None, and own the changed ones alone, as `kubectl edit` does."""
        changed = {path for path, value in changes.items() if self.values.get(path) != value}
        for owner, paths in self.owners.items():
            self._own(owner, paths - changed)
        kept = {path for path in changed if changes[path] is not None}
        writer = Writer(manager, "Update")
        self._own(writer, self.owners.get(writer, frozenset()) | kept)
        for path in changed:
            if path in kept:
                self.values[path] = changes[path]
            else:
                del self.values[path]
        self._drop_empty()

    def managed_fields(self) -> list[dict[str, Any]]:
        """Return `metadata.managedFields`."""
        return [
            {
                "manager": writer.manager,
                "operation": writer.operation,
                "apiVersion": "v1",
                "fieldsType": "FieldsV1",
                "fieldsV1": _tree(paths),
            }
            for writer, paths in self.owners.items()
        ]

    def of(self, area: str) -> dict[str, Any]:
        """Return the fields of one area by name."""
        return {path.name: value for path, value in self.values.items() if path.area == area}

    def copy(self) -> "Fields":
        """Return a copy."""
        return Fields(dict(self.values), dict(self.owners))

    def _own(self, writer: Writer, paths: frozenset[Path]) -> None:
        self.owners[writer] = paths

    def _drop_empty(self) -> None:
        self.owners = {writer: paths for writer, paths in self.owners.items() if paths}


def fields_of(manifest: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Yield the fields of a Secret's manifest."""
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
