"""The requests of service accounts, and all writes of administrators, from the API server's audit log.

https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/
"""

import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple

WRITES: Final = ("create", "update", "patch", "delete", "deletecollection")
"""The verbs that change something."""

POLICY: Final[Mapping[str, Any]] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    # Each request once, when it is answered.
    "omitStages": ["RequestReceived"],
    "rules": [
        # With the Leases as they were written: the log has their whole history.
        {
            "level": "RequestResponse",
            "verbs": WRITES,
            "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}],
        },
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        {"level": "Metadata", "userGroups": ["system:masters"], "verbs": WRITES},
        {"level": "None"},
    ],
}


class Right(NamedTuple):
    """One permission, as a rule of a Role grants it."""

    group: str
    resource: str
    verb: str


def rights_of(rules: list[dict[str, list[str]]]) -> set[Right]:
    """Every permission that the rules of a Role grant."""
    return {
        Right(group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def used_rights(log: Path, user: str, *, namespace: str | None = None) -> set[Right]:
    """Every right that a user has used, or those that he has used in a namespace."""
    return {
        right
        for event in _events(log, user)
        if _status(event) != HTTPStatus.FORBIDDEN
        if namespace is None or event.get("objectRef", {}).get("namespace") == namespace
        for right in _rights(event)
    }


def refusals(log: Path, user: str) -> list[str]:
    """The requests of a user that were forbidden."""
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
    # The first record of a watch has no status.
    status: int = event.get("responseStatus", {}).get("code", HTTPStatus.OK)
    return status


def _rights(event: Mapping[str, Any]) -> Iterator[Right]:
    # Paths such as /apis are not resources; every user may read them.
    if "objectRef" not in event:
        return
    about = event["objectRef"]
    # Every user may create these: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#discovery-roles
    if about["resource"].startswith("selfsubject"):
        return
    group, resource = about.get("apiGroup", ""), about["resource"]
    if "subresource" in about:
        resource = f"{resource}/{about['subresource']}"
    yield Right(group, resource, event["verb"])
    if event["verb"] == "patch" and _status(event) == HTTPStatus.CREATED:
        # An apply that creates the object needs the right to create it, too.
        yield Right(group, resource, "create")
