"""The state as metrics."""

import pytest

from tests.builders import START, VAULT, a_status, a_vault_secret
from vaultsync.adapters.metrics.snapshot import PENDING, Snapshot, VaultSnapshot, families
from vaultsync.api.v1alpha1 import StatusRestart, VaultSecret, WorkloadKind


def samples(state: Snapshot, name: str) -> list[tuple[dict[str, str], float]]:
    """The samples of one metric: labels and value."""
    (metric,) = [metric for metric in families(state) if metric.name == name]
    return [(sample.labels, sample.value) for sample in metric.samples]


def state_of(*vault_secrets: VaultSecret, vault: VaultSnapshot | None = None) -> Snapshot:
    return Snapshot(vault_secrets, {} if vault is None else {VAULT: vault})


def test_vaultsecrets_are_counted_by_namespace_vault_and_reason() -> None:
    state = state_of(
        a_vault_secret(status=a_status()),
        a_vault_secret(status=a_status()),
        a_vault_secret(metadata={"namespace": "web"}, status=a_status()),
        a_vault_secret(status=a_status(reason="TargetConflict")),
        a_vault_secret(),
        vault=VaultSnapshot(),
    )

    assert samples(state, "vaultsync_vaultsecrets") == [
        ({"namespace": "shop", "vault": VAULT, "reason": "Synced"}, 2),
        ({"namespace": "web", "vault": VAULT, "reason": "Synced"}, 1),
        ({"namespace": "shop", "vault": VAULT, "reason": "TargetConflict"}, 1),
        ({"namespace": "shop", "vault": VAULT, "reason": PENDING}, 1),
    ]


def test_vaults_that_no_grant_allows_do_not_add_series() -> None:
    status = a_status(reason="NotGranted")
    state = state_of(*(a_vault_secret(status=status, vault_url=f"https://v{n}.vault.azure.net") for n in range(9)))

    assert samples(state, "vaultsync_vaultsecrets") == [({"namespace": "shop", "vault": "", "reason": "NotGranted"}, 9)]


def test_failing_restarts_are_counted_by_namespace_and_kind_unless_they_are_suspended() -> None:
    restarts = tuple(
        StatusRestart(kind=WorkloadKind.DEPLOYMENT, name=name, at=START, problem=problem)
        for name, problem in {"api": "It does not exist.", "web": "It was refused.", "worker": None}.items()
    )
    status = a_status().model_copy(update={"restarts": restarts})

    failing = state_of(a_vault_secret(status=status), a_vault_secret(status=status, suspend=True))

    assert samples(failing, "vaultsync_restarts_failing") == [({"namespace": "shop", "kind": "Deployment"}, 2)]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [(True, False, True), (False, True, True), (False, False, False), (None, False, False), (None, None, None)],
)
def test_a_vault_is_up_if_it_answers_one_of_the_grants(
    one: bool | None, other: bool | None, expected: bool | None
) -> None:
    assert VaultSnapshot(up=one).combined(VaultSnapshot(up=other)).up is expected


def test_each_namespace_that_is_denied_has_a_sample_by_resource() -> None:
    state = Snapshot(denied=[("shop", "vaultsecrets"), ("shop", "secrets")])

    assert samples(state, "vaultsync_namespace_denied") == [
        ({"namespace": "shop", "resource": "secrets"}, 1),
        ({"namespace": "shop", "resource": "vaultsecrets"}, 1),
    ]
    assert samples(Snapshot(), "vaultsync_namespace_denied") == []


@pytest.mark.parametrize(
    ("vault", "name", "value"),
    [
        (VaultSnapshot(up=True), "up", 1),
        (VaultSnapshot(up=False), "up", 0),
        (VaultSnapshot(polled_at=START), "last_poll_timestamp_seconds", START.timestamp()),
        (VaultSnapshot(listed=40), "listed_secrets", 40),
        (VaultSnapshot(deletion_guard=True), "deletion_brake", 1),
        (VaultSnapshot(), "deletion_brake", 0),
        (VaultSnapshot(breaker_open=True), "breaker_open", 1),
        (VaultSnapshot(throttled_seconds=2.5), "throttled_seconds", 2.5),
        (VaultSnapshot(waited_seconds=1.5), "budget_wait_seconds", 1.5),
    ],
    ids=[
        "up",
        "down",
        "polled",
        "listed",
        "deletion guard tripped",
        "not tripped",
        "breaker open",
        "throttled",
        "waited",
    ],
)
def test_a_vault_has_its_samples(vault: VaultSnapshot, name: str, value: float) -> None:
    assert samples(state_of(vault=vault), f"vaultsync_vault_{name}") == [({"vault": VAULT}, value)]


@pytest.mark.parametrize("name", ["up", "last_poll_timestamp_seconds", "listed_secrets"])
def test_what_is_not_known_of_a_vault_yet_has_no_sample(name: str) -> None:
    assert samples(state_of(vault=VaultSnapshot()), f"vaultsync_vault_{name}") == []


def test_the_queue_has_its_samples() -> None:
    state = Snapshot(queue_depth=3, queue_oldest_seconds=1.5)

    assert samples(state, "vaultsync_queue_depth") == [({}, 3)]
    assert samples(state, "vaultsync_queue_oldest_seconds") == [({}, 1.5)]


def test_no_label_names_a_vaultsecret() -> None:
    state = state_of(a_vault_secret(status=a_status()), vault=VaultSnapshot(up=True))

    labels = {name for metric in families(state) for sample in metric.samples for name in sample.labels}

    assert labels == {"namespace", "reason", "vault"}
