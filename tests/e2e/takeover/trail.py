"""What operators have asked the API server for, and the history of their Leases: both from its audit log.

All times are the API server's own, in seconds since 1970: how fast a test looks does not matter.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from tests.controlplane.audit import WRITES

_AGENT: Final = re.compile(r"vaultsync/\S+ \((?P<identity>[^()]+)\)")
"""The user agent of an operator, which has its identity."""

_CHANGES_NOTHING: Final = frozenset({"authentication.k8s.io", "authorization.k8s.io"})
"""API groups whose objects are created to get an answer, and are not stored."""

LEASES: Final = "leases"


@dataclass(frozen=True, slots=True)
class LeaseState:
    """A Lease after a write of it.

    Args:
        version: Its resource version: the order of the writes.
        holder: The identity of its holder; empty if it is released.
        seconds: How long it lasts from then on.
    """

    version: int
    holder: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Call:
    """One request that was answered.

    Args:
        identity: Which operator has sent it, as it calls itself.
        verb: What it asked for, such as `patch`.
        resource: The kind, with the subresource: `secrets`, `vaultsecrets/status`.
        namespace: Where; empty for what is in no namespace.
        name: The object.
        received: When the API server received it.
        done: When it was answered.
        code: The HTTP status of the answer.
        changes: Whether a success has changed something.
        lease: The Lease after it, if it wrote one.
    """

    identity: str
    verb: str
    resource: str
    namespace: str
    name: str
    received: float
    done: float
    code: int = HTTPStatus.OK
    changes: bool = True
    lease: LeaseState | None = None

    @property
    def is_write(self) -> bool:
        """Whether it has changed something other than a Lease."""
        return self.changes and self.succeeded and self.verb in WRITES and self.resource != LEASES

    @property
    def succeeded(self) -> bool:
        """Whether it was carried out."""
        return self.code < HTTPStatus.BAD_REQUEST

    def __str__(self) -> str:
        return f"{self.identity}: {self.verb} {self.resource} {self.namespace}/{self.name} ({self.code})"


def calls(log: Path, *, of: str = "") -> list[Call]:
    """All calls so far of operators whose identities begin with a text, in the order in which they were received."""
    with log.open() as lines:
        # The last line may be half written.
        ours = [line for line in lines if f"({of}" in line and line.endswith("\n")]
    found = (_call(json.loads(line)) for line in ours)
    return sorted((call for call in found if call is not None), key=lambda call: call.received)


def _call(event: Mapping[str, Any]) -> Call | None:
    """Read a line of the log; None if no operator has sent this request, or if it is about no object."""
    agent = _AGENT.match(event.get("userAgent", ""))
    about = event.get("objectRef")
    if agent is None or about is None or event["stage"] != "ResponseComplete":
        return None
    subresource = about.get("subresource", "")
    return Call(
        identity=agent["identity"],
        verb=event["verb"],
        resource=about["resource"] + (f"/{subresource}" if subresource else ""),
        namespace=about.get("namespace", ""),
        # A creation does not name it in its address.
        name=about.get("name") or _stored(event).get("metadata", {}).get("name", ""),
        received=_seconds(event["requestReceivedTimestamp"]),
        done=_seconds(event["stageTimestamp"]),
        code=event["responseStatus"]["code"],
        changes=about.get("apiGroup") not in _CHANGES_NOTHING
        and subresource != "token"
        and "dryRun" not in event["requestURI"],
        lease=_lease(event),
    )


def _lease(event: Mapping[str, Any]) -> LeaseState | None:
    """The Lease that a request has written; None if it has written none, or has deleted it."""
    if event["objectRef"]["resource"] != LEASES or (stored := _stored(event)).get("kind") != "Lease":
        return None
    spec = stored["spec"]
    version = int(stored["metadata"]["resourceVersion"])
    return LeaseState(version, spec.get("holderIdentity") or "", float(spec.get("leaseDurationSeconds", 0)))


def _stored(event: Mapping[str, Any]) -> Mapping[str, Any]:
    stored: Mapping[str, Any] = event.get("responseObject") or {}
    return stored


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()
