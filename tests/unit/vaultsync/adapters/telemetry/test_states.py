"""How things are, as metrics: what a scrape says of a state that the test describes."""

from datetime import timedelta

import pytest
from prometheus_client.core import Metric

from tests.builders import KEY, READ_AT, START, VAULT, a_status, a_status_entry, a_vault_secret
from vaultsync.adapters.telemetry.states import PENDING, State, VaultState, families
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.rules.outcome import Reason

NOW = READ_AT + timedelta(minutes=1)
DB = {"namespace": KEY.namespace, "name": KEY.name}
OF_VAULT_SECRETS = "vaultsync_vaultsecret_"


def scraped(state: State, *, per_vault_secret: bool = True) -> dict[str, Metric]:
    return {metric.name: metric for metric in families(state, per_vault_secret=per_vault_secret)}


def samples(state: State, name: str) -> list[tuple[dict[str, str], float]]:
    """The samples of one metric: labels and value."""
    return [(sample.labels, sample.value) for sample in scraped(state)[name].samples]


def state_of(*vault_secrets: VaultSecret, vault: VaultState | None = None) -> State:
    return State(NOW, vault_secrets, {} if vault is None else {VAULT: vault})


def told_of_vault_secrets(vault_secret: VaultSecret, vault: VaultState | None = None) -> dict[str, float]:
    """What is said of one VaultSecret, without its names."""
    return {
        metric.name.removeprefix(OF_VAULT_SECRETS): sample.value
        for metric in scraped(state_of(vault_secret, vault=vault)).values()
        if metric.name.startswith(OF_VAULT_SECRETS)
        for sample in metric.samples
    }


def test_one_in_sync_tells_that_and_since_when() -> None:
    told = told_of_vault_secrets(a_vault_secret(status=a_status()), VaultState(looked_at=NOW))

    assert told == {"ready": 1, "stale": 0, "last_success_timestamp_seconds": NOW.timestamp()}


def test_one_that_fails_tells_why() -> None:
    vault_secret = a_vault_secret(status=a_status(reason="AccessDenied"))

    assert told_of_vault_secrets(vault_secret)["ready"] == 0
    assert samples(state_of(vault_secret), "vaultsync_vaultsecret_failing") == [
        (DB | {"vault": VAULT, "reason": "AccessDenied"}, 1)
    ]


def test_one_that_was_never_looked_at_is_not_ready_for_no_reason() -> None:
    assert told_of_vault_secrets(a_vault_secret()) == {"ready": 0, "stale": 0}


def test_a_suspended_one_is_neither_ready_nor_not() -> None:
    vault_secret = a_vault_secret(status=a_status(reason="Suspended"), suspend=True)

    assert told_of_vault_secrets(vault_secret) == {"last_success_timestamp_seconds": READ_AT.timestamp()}


def test_one_that_nobody_could_confirm_for_long_is_stale() -> None:
    vault_secret = a_vault_secret(status=a_status(), refresh_interval=timedelta(seconds=10))

    assert told_of_vault_secrets(vault_secret, VaultState(looked_at=READ_AT))["stale"] == 1


def test_each_key_whose_secret_expires_tells_when() -> None:
    status = a_status(a_status_entry(expires=START), a_status_entry(key="forever"))

    assert samples(state_of(a_vault_secret(status=status)), "vaultsync_vaultsecret_expiry_timestamp_seconds") == [
        (DB | {"key": "password"}, START.timestamp())
    ]


def test_names_of_vault_secrets_can_be_left_out() -> None:
    state = state_of(a_vault_secret(status=a_status(a_status_entry(expires=START))), vault=VaultState(up=True))

    metrics = scraped(state, per_vault_secret=False)

    assert [name for name in metrics if name.startswith(OF_VAULT_SECRETS)] == []
    labels = {name for metric in metrics.values() for sample in metric.samples for name in sample.labels}
    assert labels == {"reason", "vault"}


def test_vault_secrets_are_counted_by_reason_and_those_that_nobody_has_count_zero() -> None:
    state = state_of(
        a_vault_secret(status=a_status()),
        a_vault_secret(status=a_status()),
        a_vault_secret(status=a_status(reason="TargetConflict")),
        a_vault_secret(),
    )

    counts = {labels["reason"]: value for labels, value in samples(state, "vaultsync_vaultsecrets")}

    assert counts == dict.fromkeys(Reason, 0) | {"Synced": 2, "TargetConflict": 1, PENDING: 1}


@pytest.mark.parametrize(
    ("vault", "name", "value"),
    [
        (VaultState(up=True), "up", 1),
        (VaultState(up=False), "up", 0),
        (VaultState(looked_at=START), "last_poll_timestamp_seconds", START.timestamp()),
        (VaultState(listed=40), "listed_secrets", 40),
        (VaultState(broken=True), "breaker_open", 1),
        (VaultState(throttled_seconds=2.5), "throttled_seconds", 2.5),
        (VaultState(waited_seconds=1.5), "budget_wait_seconds", 1.5),
    ],
    ids=["up", "down", "polled", "listed", "broken", "throttled", "waited for"],
)
def test_of_a_vault_is_told(vault: VaultState, name: str, value: float) -> None:
    assert samples(state_of(vault=vault), f"vaultsync_vault_{name}") == [({"vault": VAULT}, value)]


@pytest.mark.parametrize("name", ["up", "last_poll_timestamp_seconds", "listed_secrets"])
def test_what_is_not_known_of_a_vault_yet_is_not_told(name: str) -> None:
    assert samples(state_of(vault=VaultState()), f"vaultsync_vault_{name}") == []


def test_the_queue_is_told() -> None:
    state = State(NOW, queue_depth=3, queue_oldest=1.5)

    assert samples(state, "vaultsync_queue_depth") == [({}, 3)]
    assert samples(state, "vaultsync_queue_oldest_seconds") == [({}, 1.5)]
