"""Rows of `vaultsync status` from objects as the API server returns them."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.builders import READ_AT, a_status, a_status_entry
from tests.manifests import as_stored, manifest, spec
from vaultsync.api.v1alpha1 import Condition, VaultSecretStatus
from vaultsync.cli.status import VaultSecretState, state_of, summary, titles

NOW = READ_AT + timedelta(hours=5)


def body(status: VaultSecretStatus | None = None, *, observed: int | None = 1, **changes: object) -> dict[str, Any]:
    """A VaultSecret with these changes of its spec, with a status, or with none."""
    written = {} if status is None else status.changed(observed_generation=observed).to_wire()
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
    status = a_status(a_status_entry(expires=NOW + timedelta(days=1)))
    state = state_of(body(status.changed(conditions=(*status.conditions, expiring))))

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
        "lastSuccess": "2026-03-01T12:30:00Z",
        "expires": None,
    }
