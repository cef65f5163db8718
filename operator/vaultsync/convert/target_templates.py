"""The field `target.template` of an ExternalSecret: type, labels, annotations, and templates over the keys.

https://external-secrets.io/latest/guides/templating/
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from vaultsync.api import MANAGED_BY_LABEL
from vaultsync.convert.drafts import At, Draft
from vaultsync.convert.go_templates import Translation, Untranslatable, has_actions, translate
from vaultsync.convert.nodes import Node
from vaultsync.texts import listed

_INSTEAD: Final = "write it in Liquid: docs/templates.md"
_SOURCE_SUFFIX: Final = ".value"


@dataclass(frozen=True, slots=True)
class _Template:
    key: str
    node: Node
    translation: Translation


def convert(draft: Draft, template: Node) -> None:
    """Convert a template into the fields of the target."""
    engine = template.child("engineVersion")
    if engine is not None and engine.text() != "v2":
        draft.lose(engine, "templates of another engine than v2 are not translated", _INSTEAD)
    kind = template.child("type")
    if kind is not None and kind.text():
        draft.target["type"] = At(kind.text(), kind.place)
    _metadata(draft, template)
    more = template.child("templateFrom")
    if more is not None:
        draft.lose(more, "templates are in the VaultSecret itself", "write them into target.template")
    policy = template.child("mergePolicy")
    merges = policy is not None and policy.text() == "Merge"
    if policy is not None and policy.text() not in {"Merge", "Replace", ""}:
        draft.lose(policy, "this mergePolicy is not known", _INSTEAD)
    templates = list(_translated(draft, template))
    if templates:
        data = template.child("data")
        assert data is not None
        _place(draft, data, templates, merges=merges)


def _metadata(draft: Draft, template: Node) -> None:
    metadata = template.child("metadata")
    if metadata is None:
        return
    for name in ("labels", "annotations"):
        kept: dict[str, At] = {}
        for key, member in metadata.map_of(name).items():
            if has_actions(member.text()):
                draft.lose(
                    member,
                    "labels and annotations never hold values",
                    "use target.metadataFrom for tags and dates: docs/templates.md#labels-and-annotations",
                )
            else:
                kept[key] = At(member.text(), member.place)
        if name == "labels" and MANAGED_BY_LABEL in kept:
            del kept[MANAGED_BY_LABEL]
            metadata.remark(f"vaultsync sets the label {MANAGED_BY_LABEL} itself", "use another label")
        if kept:
            draft.target[name] = kept
    finalizers = metadata.child("finalizers")
    if finalizers is not None:
        finalizers.report("vaultsync sets no finalizers on Secrets", "there is nothing to set")


def _translated(draft: Draft, template: Node) -> list[_Template]:
    keys = {entry.value["key"].value for entry in draft.data}
    templates = []
    for key, node in template.map_of("data").items():
        try:
            translation = translate(node.text())
        except Untranslatable as problem:
            draft.is_complete = False
            node.remark(problem.reason, _INSTEAD, problem.line)
            continue
        unknown = sorted(translation.keys - keys)
        if unknown and not draft.data_from:
            draft.lose(node, f"no entry of data has the key {listed(unknown)}", "correct the template")
            continue
        templates.append(_Template(key, node, translation))
    return templates


def _place(draft: Draft, data: Node, templates: list[_Template], *, merges: bool) -> None:
    """Add templates, and rename entries: a key is that of an entry or that of a template, not both."""
    entries = {entry.value["key"].value: entry.value for entry in draft.data}
    uses = Counter(key for template in templates for key in template.translation.keys)
    made = {template.key for template in templates}
    renamed: dict[str, str] = {}
    absorbed = set()
    for template in templates:
        key = template.translation.only_key
        if key is None or key not in entries or key in renamed:
            continue
        if key == template.key or (uses[key] == 1 and not merges and key not in made):
            renamed[key] = template.key
            absorbed.add(template.key)
    for key in sorted(entries.keys() & made):
        renamed.setdefault(key, f"{key}{_SOURCE_SUFFIX}")
    for old, new in renamed.items():
        entries[old]["key"] = At(new, entries[old]["key"].place)
    texts = {
        template.key: At(template.translation.liquid(renamed), template.node.place)
        for template in templates
        if template.key not in absorbed
    }
    if texts:
        draft.target["template"] = texts
    also = sorted({entry["key"].value for entry in entries.values()} - made)
    if merges:
        also = sorted(renamed[key] for key in entries.keys() & renamed.keys() if renamed[key] not in made)
    if also or (draft.data_from and not merges):
        names = listed([*also, *(["those of dataFrom"] if draft.data_from and not merges else [])])
        data.remark(
            f"the Secret also has the keys that templates use: {names}", "pods that must not see them can select keys"
        )
