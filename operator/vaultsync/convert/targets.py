"""The field `target` of an ExternalSecret: the Secret, who owns it, and what becomes of it."""

from vaultsync.convert import target_templates
from vaultsync.convert.drafts import At, Draft
from vaultsync.convert.nodes import Node


def convert(draft: Draft, target: Node) -> None:
    """Convert the field `target` of a spec."""
    name, kind = target.child("name"), target.child("manifest")
    if name is not None and name.text() not in {"", draft.name}:
        draft.target["name"] = At(name.text(), name.place)
    if kind is not None:
        draft.lose(kind, "vaultsync writes Secrets only", "keep External Secrets for it")
    if target.flag_of("immutable"):
        draft.target["immutable"] = True
    _policies(draft, target)
    template = target.child("template")
    if template is not None:
        target_templates.convert(draft, template)


def _policies(draft: Draft, target: Node) -> None:
    creation, deletion = target.child("creationPolicy"), target.child("deletionPolicy")
    match "Owner" if creation is None else creation.text():
        case "Owner" | "":
            pass
        case "Orphan" if creation is not None:
            draft.spec["onDelete"] = At("Retain", creation.place)
        case _ if creation is not None:
            draft.lose(
                creation,
                "vaultsync writes whole Secrets: it adds no keys to one that somebody else writes",
                "let the VaultSecret write a Secret of its own, and let pods use both",
            )
    match "Retain" if deletion is None else deletion.text():
        case "Retain" | "":
            pass
        case "Delete" if deletion is not None:
            draft.spec["onSourceDeleted"] = At("Delete", deletion.place)
        case "Merge" if deletion is not None:
            draft.spec["onSourceDeleted"] = At("Delete", deletion.place)
            deletion.report("the Secret goes with its last key", "see deleteAfter for when")
        case _ if deletion is not None:
            draft.lose(deletion, "this deletionPolicy is not known", "write onSourceDeleted: docs/changes.md")
