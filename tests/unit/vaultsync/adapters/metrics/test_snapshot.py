"""How things are, as metrics: what a scrape says of a state that the test describes."""

import pytest

from tests.builders import START, VAULT, a_status, a_vault_secret
from vaultsync.adapters.metrics.snapshot import PENDING, State, VaultState, families
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.errors import Reason


def samples(state: State, name: str) -> list[tuple[dict[str, str], float]]:
    """The samples of one metric: labels and value."""
    (metric,) = [metric for metric in families(state) if metric.name == name]
    return [(sample.labels, sample.value) for sample in metric.samples]


def state_of(*vault_secrets: VaultSecret, vault: VaultState | None = None) -> State:
    return State(vault_secrets, {} if vault is None else {VAULT: vault})


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
        (VaultState(polled_at=START), "last_poll_timestamp_seconds", START.timestamp()),
        (VaultState(listed=40), "listed_secrets", 40),
        (VaultState(latched=True), "deletion_brake", 1),
        (VaultState(), "deletion_brake", 0),
        (VaultState(broken=True), "breaker_open", 1),
        (VaultState(throttled_seconds=2.5), "throttled_seconds", 2.5),
        (VaultState(waited_seconds=1.5), "budget_wait_seconds", 1.5),
    ],
    ids=["up", "down", "polled", "listed", "held", "not held", "broken", "throttled", "waited for"],
)
def test_of_a_vault_is_told(vault: VaultState, name: str, value: float) -> None:
    assert samples(state_of(vault=vault), f"vaultsync_vault_{name}") == [({"vault": VAULT}, value)]


@pytest.mark.parametrize("name", ["up", "last_poll_timestamp_seconds", "listed_secrets"])
def test_what_is_not_known_of_a_vault_yet_is_not_told(name: str) -> None:
    assert samples(state_of(vault=VaultState()), f"vaultsync_vault_{name}") == []


def test_the_queue_is_told() -> None:
    state = State(queue_depth=3, queue_oldest=1.5)

    assert samples(state, "vaultsync_queue_depth") == [({}, 3)]
    assert samples(state, "vaultsync_queue_oldest_seconds") == [({}, 1.5)]


def test_no_label_names_a_vaultsecret() -> None:
    state = state_of(a_vault_secret(status=a_status()), vault=VaultState(up=True))

    labels = {name for metric in families(state) for sample in metric.samples for name in sample.labels}

    assert labels == {"reason", "vault"}
