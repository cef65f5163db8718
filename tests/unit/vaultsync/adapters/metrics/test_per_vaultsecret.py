"""How each VaultSecret fares, read back by prometheus-client's own parser."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tests.builders import KEY, READ_AT, START, VAULT, a_status, a_status_entry, a_vault_secret
from vaultsync.adapters.metrics.per_vaultsecret import exposition
from vaultsync.adapters.metrics.snapshot import PENDING, State, VaultState
from vaultsync.api.v1alpha1 import Condition, VaultSecret

NOW = READ_AT + timedelta(minutes=1)
DB = {"namespace": KEY.namespace, "name": KEY.name}
PREFIX = "vaultsync_vaultsecret_"

Samples = dict[str, list[tuple[dict[str, str], float]]]


def told(*vault_secrets: VaultSecret, vault: VaultState | None = None) -> Samples:
    """Labels and values by metric; metrics without any are left out."""
    text = exposition(State(vault_secrets, {} if vault is None else {VAULT: vault}))
    return {
        metric.name.removeprefix(PREFIX): [(sample.labels, sample.value) for sample in metric.samples]
        for metric in text_string_to_metric_families(text)
        if metric.samples
    }


def test_one_in_sync_tells_that_and_since_when() -> None:
    in_sync = a_vault_secret(status=a_status())

    assert told(in_sync, vault=VaultState(polled_at=NOW)) == {
        "ready": [(DB, 1)],
        "stale": [(DB, 0)],
        "last_success_timestamp_seconds": [(DB, NOW.timestamp())],
    }


def test_one_that_fails_tells_why() -> None:
    failing = told(a_vault_secret(status=a_status(reason="AccessDenied")))

    assert failing["ready"] == [(DB, 0)]
    assert failing["failing"] == [(DB | {"vault": VAULT, "reason": "AccessDenied"}, 1)]


def test_one_that_was_never_looked_at_is_not_ready_for_no_reason() -> None:
    assert told(a_vault_secret()) == {"ready": [(DB, 0)], "stale": [(DB, 0)]}


def test_a_suspended_one_is_neither_ready_nor_not() -> None:
    suspended = a_vault_secret(status=a_status(reason="Suspended"), suspend=True)

    assert told(suspended) == {"last_success_timestamp_seconds": [(DB, READ_AT.timestamp())]}


def test_one_that_nobody_could_confirm_for_long_is_stale() -> None:
    status = a_status(reason="VaultUnreachable")
    stale = Condition(
        type="Stale", status="True", reason="NotConfirmed", message="For long.", last_transition_time=READ_AT
    )

    unconfirmed = a_vault_secret(status=status.model_copy(update={"conditions": (*status.conditions, stale)}))

    assert told(unconfirmed)["stale"] == [(DB, 1)]


def test_each_key_whose_secret_expires_tells_when() -> None:
    status = a_status(a_status_entry(expires=START), a_status_entry(key="forever"))

    assert told(a_vault_secret(status=status))["expiry_timestamp_seconds"] == [
        (DB | {"key": "password"}, START.timestamp())
    ]


def test_each_vaultsecret_has_its_own_samples() -> None:
    names = ("a", "b")

    ready = told(*(a_vault_secret(metadata={"name": name}) for name in names))["ready"]

    assert [labels["name"] for labels, _ in ready] == ["a", "b"]


def test_openmetrics_reads_it_too() -> None:
    status = a_status(a_status_entry(expires=START), reason="AccessDenied")

    text = exposition(State([a_vault_secret(status=status)]))

    metrics = list(openmetrics(text + "# EOF\n"))  # type: ignore[no-untyped-call]  # the library has not annotated it

    assert [metric.type for metric in metrics] == ["gauge"] * 5


@given(st.text())
def test_whatever_a_label_holds_is_read_back(reason: str) -> None:
    failing = told(a_vault_secret(status=a_status(reason=reason or "x")))

    if reason not in {"", "Synced", "Suspended", PENDING}:
        assert failing["failing"][0][0]["reason"] == reason
