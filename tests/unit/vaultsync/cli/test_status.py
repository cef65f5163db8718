"""Rows of `vaultsync status` from objects as the API server returns them."""

import io
from argparse import Namespace
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.builders import READ_AT, a_status, a_status_entry
from tests.manifests import as_stored, manifest, spec
from vaultsync.adapters.kube import ResourceExpired
from vaultsync.api.v1alpha1 import Condition, VaultSecretStatus
from vaultsync.cli.output import Output
from vaultsync.cli.session import Session
from vaultsync.cli.status import VaultSecretState, state_of, status, summary, titles
from vaultsync.errors import Reason

NOW = READ_AT + timedelta(hours=5)


def body(found: VaultSecretStatus | None = None, *, observed: int | None = 1, **changes: object) -> dict[str, Any]:
    """A VaultSecret with these changes of its spec, with a status, or with none."""
    written = {} if found is None else found.changed(observed_generation=observed).to_wire()
    return {**as_stored(manifest({**spec(), **changes}, namespace="shop")), "status": written}


def texts(state: VaultSecretState, now: datetime = NOW) -> list[str]:
    return [cell.text for cell in state.row(now, with_namespace=False, is_wide=False)]


@pytest.mark.parametrize(
    ("document", "row"),
    [
        pytest.param(body(a_status()), ["db", "True", "Synced", "<2m", ""], id="in sync"),
        pytest.param(body(a_status(), refreshInterval="1h"), ["db", "True", "Synced", "<1h", ""], id="its interval"),
        pytest.param(
            body(a_status(reason="AccessDenied", since=READ_AT + timedelta(hours=1))),
            ["db", "False", "AccessDenied", "4h", ""],
            id="not in sync for four hours",
        ),
        pytest.param(body(a_status(reason="Suspended")), ["db", "Unknown", "Suspended", "5h", ""], id="suspended"),
        pytest.param(body(), ["db", "Unknown", "Pending", "never", ""], id="not seen by the operator"),
        pytest.param(
            body(a_status(), observed=0), ["db", "Unknown", "Pending", "5h", ""], id="changed and not reconciled"
        ),
        pytest.param(
            body(a_status(a_status_entry(expires=NOW + timedelta(days=9, hours=1)))),
            ["db", "True", "Synced", "<2m", "in 9d"],
            id="expires",
        ),
        pytest.param(
            body(a_status(a_status_entry(certificate_expires=NOW - timedelta(hours=3)))),
            ["db", "True", "Synced", "<2m", "3h ago"],
            id="has expired",
        ),
        pytest.param(
            body(a_status(), refreshInterval="soon", vaultUrl=7),
            ["db", "True", "Synced", "<2m", ""],
            id="a spec that another version has admitted",
        ),
    ],
)
def test_a_row_shows_how_a_vaultsecret_is(document: dict[str, Any], row: list[str]) -> None:
    assert texts(state_of(document)) == row


def test_a_wide_row_has_namespace_vault_and_message() -> None:
    row = state_of(body(a_status(message="All well."))).row(NOW, with_namespace=True, is_wide=True)

    columns = titles(with_namespace=True, is_wide=True)
    shown = dict(zip(columns, (cell.text for cell in row), strict=True))
    assert shown["NAMESPACE"] == "shop"
    assert shown["VAULT"] == "https://shop.vault.azure.net"
    assert shown["MESSAGE"] == "All well."


def test_what_expires_soon_is_marked() -> None:
    expiring = Condition(
        type="Expiring", status="True", reason="ExpiresSoon", message="Soon.", last_transition_time=READ_AT
    )
    found = a_status(a_status_entry(expires=NOW + timedelta(days=1)))
    state = state_of(body(found.changed(conditions=(*found.conditions, expiring))))

    assert state.is_expiring
    assert state.row(NOW, with_namespace=False, is_wide=False)[-1].style == "yellow"


def test_those_that_are_not_ready_come_first_and_are_counted() -> None:
    reasons = ("Synced", "AccessDenied", "Waiting", "Synced")
    states = [state_of(body(a_status(reason=reason))) for reason in reasons]

    ordered = sorted(states, key=lambda state: state.sort_key)

    assert [state.ready for state in ordered] == ["False", "Unknown", "True", "True"]
    assert summary(states) == "2 ready, 1 not ready, 1 unknown"


def test_json_has_the_same() -> None:
    document = state_of(body(a_status(reason="AccessDenied"))).document()

    assert document == {
        "namespace": "shop",
        "name": "db",
        "ready": "False",
        "reason": "AccessDenied",
        "message": "Details.",
        "vaultUrl": "https://shop.vault.azure.net",
        "refreshInterval": "2m",
        "lastSuccessTime": "2026-03-01T12:30:00Z",
        "expiryTime": None,
    }


def test_the_time_of_the_last_success_is_not_known_while_each_poll_is_one() -> None:
    assert state_of(body(a_status())).document()["lastSuccessTime"] is None


class Interrupted(Exception):
    """The end of a watch by its user."""


class Cluster:
    """Lists and watches as scripted: a list, then events, then that the watch is too old, and another list."""

    def __init__(self, *lists: list[dict[str, Any]], events: list[tuple[str, dict[str, Any]]]) -> None:
        self._lists = list(lists)
        self._events = events
        self.namespace = "shop"

    async def list(self, _: object, __: object, read: Any) -> Any:  # noqa: ANN401
        if not self._lists:
            raise Interrupted
        return [read(one) for one in self._lists.pop(0)], "7"

    async def watch(self, *_: object) -> AsyncGenerator[tuple[str, Mapping[str, Any]], None]:
        for event in self._events:
            yield event
        self._events = []
        raise ResourceExpired(Reason.CLUSTER_UNAVAILABLE, "Too old.")


def named(name: str, reason: str = "Synced") -> dict[str, Any]:
    found = body(a_status(reason=reason))
    return {**found, "metadata": {**found["metadata"], "name": name, "resourceVersion": "8"}}


async def test_a_watch_shows_what_changes_also_after_it_was_too_old() -> None:
    stream = io.StringIO()
    cluster: Any = Cluster(
        [named("db"), named("web")],
        [named("db"), named("new")],
        events=[
            ("MODIFIED", named("db")),
            ("MODIFIED", named("web", "AccessDenied")),
            ("BOOKMARK", {"metadata": {"resourceVersion": "9"}}),
        ],
    )
    options = Namespace(namespace="shop", output=None, watch=True)

    with pytest.raises(Interrupted):
        await status(Session(options, cluster, Output(stream), lambda: NOW))

    shown = [line.split()[:3] for line in stream.getvalue().splitlines()]
    assert shown == [
        ["NAME", "READY", "REASON"],
        ["db", "True", "Synced"],
        ["web", "True", "Synced"],
        ["2", "ready"],
        ["web", "False", "AccessDenied"],
        ["shop/web", "was", "deleted"],
        ["new", "True", "Synced"],
    ]
