"""The limit of all texts of a spec together; each list and each text has its own, whose product is far larger."""

from typing import Any, Final

from vaultsync.api.checks import Check

MAX_SPEC_TEXT: Final = 192 * 1024
"""Characters. The largest spec that the other limits allow has twice as many, besides names of tags without limit."""

_OF_DATA: Final = (
    "(has(self.data) ? self.data.map(entry, size(entry.key) + size(entry.secretName)"
    " + (has(entry.property) ? size(entry.property) : 0)).sum() : 0)"
)
_OF_SOURCES: Final = (
    "(has(self.dataFrom) ? self.dataFrom.map(source, (has(source.find) && has(source.find.tags)"
    " ? source.find.tags.map(tag, size(tag) + size(source.find.tags[tag])).sum() : 0)"
    " + (has(source.omit) ? source.omit.map(name, size(name)).sum() : 0)"
    " + (has(source.keys) ? source.keys.map(name, size(name) + size(source.keys[name])).sum() : 0)).sum() : 0)"
)


_OF_TARGET: Final = ("labels", "annotations", "template", "metadataFrom.labels", "metadataFrom.annotations")


def _of_target(field: str) -> str:
    parts = field.split(".")
    paths = [".".join(("self.target", *parts[:count])) for count in range(len(parts) + 1)]
    given, texts = " && ".join(f"has({path})" for path in paths), paths[-1]
    return f"({given} ? {texts}.map(key, size(key) + size({texts}[key])).sum() : 0)"


_OF_COPIED: Final = (
    "(has(self.target) && has(self.target.copyLabels) ? self.target.copyLabels.map(key, size(key)).sum() : 0)"
)


FEW_ENTRIES: Final = 30
_CANNOT_BE_LARGE: Final = (
    f"(!has(self.dataFrom) && !has(self.target.template) && (!has(self.data) || self.data.size() <= {FEW_ENTRIES}))"
)
"""True for almost all: then nothing is counted, which the API server does with each status, too."""


def _characters(spec: Any) -> int:  # noqa: ANN401  the model depends on this check
    entries = (len(one.key) + len(one.secret_name) + len(one.property or "") for one in spec.data)
    tags = (one.find.tags for one in spec.data_from if one.find is not None and one.find.tags is not None)
    omitted = (len(name) for one in spec.data_from for name in one.omit)
    copied = map(len, spec.target.copy_labels)
    keys = (one.keys for one in spec.data_from)
    target = spec.target
    of_target = (target.labels, target.annotations, target.template, target.labels_from, target.annotations_from)
    texts = (*of_target, *tags, *keys)
    of_texts = (len(name) + len(text) for mapping in texts for name, text in mapping.items())
    return sum(entries) + sum(omitted) + sum(copied) + sum(of_texts)


SPEC_IS_SMALL: Final = Check(
    f"{_CANNOT_BE_LARGE} || "
    + " + ".join([_OF_DATA, _OF_SOURCES, *map(_of_target, _OF_TARGET), _OF_COPIED])
    + f" <= {MAX_SPEC_TEXT}",
    lambda spec: _characters(spec) <= MAX_SPEC_TEXT,
    f"must have at most {MAX_SPEC_TEXT} characters in the names, keys, properties, tags, templates, labels and "
    "annotations; use several VaultSecrets",
)
