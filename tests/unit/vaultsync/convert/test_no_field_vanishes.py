"""No field vanishes: each value of a manifest changes what is printed, and each unknown field is a finding."""

import copy
import re
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import pytest
import yaml

from tests.unit.vaultsync.convert.samples import SAMPLES
from vaultsync.convert.core import Conversion, Options, convert

Path: TypeAlias = tuple[str | int, ...]
Tree: TypeAlias = Any
"""Objects, lists and texts."""

NESTED: Final = frozenset({"objects"})
"""Texts that are YAML themselves, and lists of such texts in them."""

WITHOUT_EFFECT: Final = {
    # What External Secrets does by default, and so does vaultsync.
    ("refreshPolicy",): "CreatedOnce",
    ("engineVersion",): "v1",
    ("mergePolicy",): "Merge",
    # Which of two ways to a PEM file the provider takes.
    ("objectFormat",): None,
    # The leaf is always first.
    ("chainOrder",): None,
    # A managed identity logs in to the tenant of its node.
    ("tenantID",): None,
    # Only its annotations count, and they are those of the store by its name.
    ("apiVersion",): "v0",
}
"""Values for fields whose default is the same in vaultsync; None if nothing can be observed."""


class Nested:
    """YAML in a text."""

    def __init__(self, content: Tree) -> None:
        self.content = content


def unfolded(value: Tree, name: str | int = "") -> Tree:
    """Replace texts that are YAML by what they hold."""
    match value:
        case dict():
            return {key: unfolded(part, key) for key, part in value.items()}
        case list():
            return [unfolded(part, name) for part in value]
        case str() if name in NESTED:
            inner = yaml.safe_load(value)
            inner["array"] = [Nested(yaml.load(item, yaml.BaseLoader)) for item in inner["array"]]  # noqa: S506  texts only
            return Nested(inner)
        case _:
            return value


def folded(value: Tree) -> Tree:
    """Return the texts again."""
    match value:
        case Nested():
            return yaml.safe_dump(folded(value.content), sort_keys=False)
        case dict():
            return {key: folded(part) for key, part in value.items()}
        case list():
            return [folded(part) for part in value]
        case _:
            return value


def paths(value: Tree, here: Path = ()) -> Iterator[tuple[Path, Tree]]:
    """Yield each value with its path; a text that is YAML is not one."""
    inner = value.content if isinstance(value, Nested) else value
    yield here, inner
    parts = inner.items() if isinstance(inner, dict) else enumerate(inner) if isinstance(inner, list) else ()
    for key, part in parts:
        yield from paths(part, (*here, key))


def at(root: Tree, path: Path) -> Tree:
    """Return the value of a path."""
    for step in path:
        root = (root.content if isinstance(root, Nested) else root)[step]
    return root.content if isinstance(root, Nested) else root


def converted(documents: list[Tree]) -> Conversion:
    """Convert documents."""
    return convert({"in.yaml": yaml.safe_dump_all(folded(documents), sort_keys=False)}, Options())


def observed(documents: list[Tree]) -> tuple[str, list[str]]:
    """Return what is printed, without the numbers of lines."""
    conversion = converted(documents)
    findings = [f"{one.subject} {one.reason} {one.advice}" for one in conversion.findings]
    return re.sub(r"in\.yaml:\d+", "in.yaml", conversion.text), findings


def documents_of(sample: str) -> list[Tree]:
    """Return the documents of a sample."""
    return [unfolded(document) for document in yaml.safe_load_all(SAMPLES[sample])]


def other(path: Path, value: Tree) -> Tree:
    """Return another value for a path, of the same kind."""
    match value:
        case bool():
            return not value
        case int():
            return value + 7
        case _ if path[-1] in {"usePodIdentity", "useVMManagedIdentity"}:
            return "false" if value == "true" else "true"
        case str():
            return WITHOUT_EFFECT.get((str(path[-1]),), f"{value}x")
    return None


@pytest.mark.slow
@pytest.mark.parametrize("sample", SAMPLES)
def test_each_value_counts(sample: str) -> None:
    documents = documents_of(sample)
    before = observed(documents)

    for path, value in list(paths(documents)):
        if path == () or isinstance(value, dict | list) or (changed := other(path, value)) is None:
            continue
        altered = copy.deepcopy(documents)
        at(altered, path[:-1])[path[-1]] = changed

        assert observed(altered) != before, path


@pytest.mark.parametrize("sample", SAMPLES)
def test_unknown_fields_are_findings_wherever_they_are(sample: str) -> None:
    documents = [one for one in documents_of(sample) if one["kind"] != "ServiceAccount"]
    places = [
        path
        for path, value in paths(documents)
        if isinstance(value, dict) and not {"labels", "annotations", "tags", "data"} & {str(path[-1])}
    ]
    altered = copy.deepcopy(documents)
    for number, path in enumerate(places):
        at(altered, path)[f"surprise{number}"] = {"with": ["more", {"in": "it"}]}

    found = " ".join(one.subject for one in converted(altered).findings)

    assert [path for number, path in enumerate(places) if not re.search(rf"\bsurprise{number}\b", found)] == []


@pytest.mark.parametrize("sample", SAMPLES)
def test_status_and_what_the_api_server_adds_mean_nothing(sample: str) -> None:
    documents = documents_of(sample)
    before = observed(documents)
    for document in documents:
        document["status"] = {"conditions": [{"type": "Ready"}]}
        document["metadata"] |= {
            "uid": "x", "resourceVersion": "1", "generation": 3, "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [{"manager": "kubectl"}], "finalizers": ["example.com/x"],
        }  # fmt: skip

    assert observed(documents) == before


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_list_as_kubectl_prints_it_is_the_same(sample: str) -> None:
    documents = documents_of(sample)

    listed = [{"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": documents}]

    assert observed(listed) == observed(documents)
