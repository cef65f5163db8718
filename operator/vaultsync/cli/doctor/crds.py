"""Compares the CustomResourceDefinitions of a cluster with those of this version; reads none."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from vaultsync import __version__
from vaultsync.api import VERSION
from vaultsync.cli.doctor.findings import Finding, failed, ok, unknown
from vaultsync.texts import listed

AREA: Final = "cluster"
APPLY: Final = "upgrade the chart, or run: vaultsync crds | kubectl apply --server-side --force-conflicts -f -"


def crd_finding(name: str, found: Mapping[str, Any] | None, ours: Mapping[str, Any]) -> Finding:
    """Return how a CustomResourceDefinition of a cluster compares with ours; `found` is None if there is none."""
    subject = f"CustomResourceDefinition {name}"
    if found is None:
        return failed(AREA, f"{subject} is not installed.", f"Install the chart, or {APPLY.partition('or ')[2]}")
    theirs = _version(found)
    if theirs is None:
        return failed(AREA, f"{subject} does not serve version {VERSION}.", _sentence(APPLY))
    if (problem := _problem(found)) is not None:
        text = f"{subject} is not in use: {problem}"
        return failed(AREA, text, "Another kind has one of its names: remove that one.")
    return _compared(subject, _schema(theirs), _schema(_version(ours) or {}))


def _compared(subject: str, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Finding:
    known, expected = set(_fields(theirs)), set(_fields(ours))
    if missing := sorted(expected - known):
        text = f"{subject} is older than vaultsync {__version__}: it lacks {listed(missing)}."
        return failed(AREA, text, _sentence(APPLY))
    if more := sorted(known - expected):
        text = f"{subject} is newer than vaultsync {__version__}: it has {listed(more)}, too."
        return unknown(AREA, text, "Use the version of this program that is the operator's.")
    if _rules(theirs) != _rules(ours):
        return failed(AREA, f"{subject} has other rules than that of vaultsync {__version__}.", _sentence(APPLY))
    return ok(AREA, f"{subject} is that of vaultsync {__version__}.")


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _version(crd: Mapping[str, Any]) -> Mapping[str, Any] | None:
    versions: Sequence[Mapping[str, Any]] = (crd.get("spec") or {}).get("versions") or ()
    return next((one for one in versions if one.get("name") == VERSION and one.get("served")), None)


def _schema(version: Mapping[str, Any]) -> Mapping[str, Any]:
    return (version.get("schema") or {}).get("openAPIV3Schema") or {}


def _problem(crd: Mapping[str, Any]) -> str | None:
    """Return why the API server does not serve it; None if it does."""
    for condition in (crd.get("status") or {}).get("conditions") or ():
        if condition.get("type") in {"Established", "NamesAccepted"} and condition.get("status") == "False":
            return str(condition.get("message") or condition.get("reason") or "")
    return None


def _fields(schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield the paths of all fields of a schema."""
    for name, field in (schema.get("properties") or {}).items():
        at = f"{path}.{name}" if path else name
        yield at
        yield from _fields(field, at)
    for part in ("items", "additionalProperties"):
        if isinstance(schema.get(part), Mapping):
            yield from _fields(schema[part], path)


def _rules(schema: object) -> object:
    """Return a schema without its descriptions, which decide nothing."""
    match schema:
        case Mapping():
            # A field may have this name, too: then it is a schema, and no text.
            kept = {name: part for name, part in schema.items() if name != "description" or not isinstance(part, str)}
            return {name: _rules(part) for name, part in kept.items()}
        case list():
            return [_rules(part) for part in schema]
        case _:
            return schema
