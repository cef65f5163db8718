"""What service accounts asked of the API server, from its audit log; judges nothing.

https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/
"""

import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple

POLICY: Final[Mapping[str, Any]] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    # Each request once, when it is answered.
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}, {"level": "None"}],
}


class Right(NamedTuple):
    """One right, as a rule of a Role would give it."""

    group: str
    resource: str
    verb: str


def rights_of(rules: list[dict[str, list[str]]]) -> set[Right]:
    """Every right that the rules of a Role give."""
    return {
        Right(group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def used_rights(log: Path, user: str) -> set[Right]:
    """Every right that a user has made use of."""
    return {right for event in _events(log, user) if _status(event) != HTTPStatus.FORBIDDEN for right in _rights(event)}


def refusals(log: Path, user: str) -> list[str]:
    """What a user asked for without having the right."""
    return [
        f"{event['verb']} {event['requestURI']}"
        for event in _events(log, user)
        if _status(event) == HTTPStatus.FORBIDDEN
    ]


def _events(log: Path, user: str) -> Iterator[dict[str, Any]]:
    for line in log.read_text().splitlines():
        event = json.loads(line)
        if event["user"]["username"] == user:
            yield event


def _status(event: Mapping[str, Any]) -> int:
    # The first note of a watch has no status yet.
    status: int = event.get("responseStatus", {}).get("code", HTTPStatus.OK)
    return status


def _rights(event: Mapping[str, Any]) -> Iterator[Right]:
    # Addresses such as /apis are no resource; every user may look at them.
    if "objectRef" not in event:
        return
    about = event["objectRef"]
    group, resource = about.get("apiGroup", ""), about["resource"]
    if "subresource" in about:
        resource = f"{resource}/{about['subresource']}"
    yield Right(group, resource, event["verb"])
    if event["verb"] == "patch" and _status(event) == HTTPStatus.CREATED:
        # An apply that makes the object needs the right to create it, too.
        yield Right(group, resource, "create")
