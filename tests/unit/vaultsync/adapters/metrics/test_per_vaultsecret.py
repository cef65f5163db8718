"""The metrics of each VaultSecret, parsed by prometheus-client."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tests.builders import KEY, READ_AT, START, VAULT, a_status, a_status_entry, a_vault_secret
from vaultsync.adapters.metrics.per_vaultsecret import MAX_SERIES, exposition
from vaultsync.adapters.metrics.snapshot import Snapshot, VaultSnapshot
from vaultsync.api.v1alpha1 import Condition, VaultSecret

NOW = READ_AT + timedelta(minutes=1)
DB = {"namespace": KEY.namespace, "name": KEY.name}
PREFIX = "vaultsync_vaultsecret_"

Samples = dict[str, list[tuple[dict[str, str], float]]]


def parsed(*vault_secrets: VaultSecret, vault: VaultSnapshot | None = None, most: int = MAX_SERIES) -> Samples:
    """Labels and values by metric; metrics without any are left out."""
    text = exposition(Snapshot(vault_secrets, {} if vault is None else {VAULT: vault}), most=most)
    return {
        metric.name.removeprefix(PREFIX): [(sample.labels, sample.value) for sample in metric.samples]
        for metric in text_string_to_metric_families(text)
        if metric.samples
    }


def test_a_vaultsecret_in_sync_is_ready() -> None:
    in_sync = a_vault_secret(status=a_status())

    assert parsed(in_sync, vault=VaultSnapshot(polled_at=NOW)) == {
        "ready": [(DB, 1)],
        "stale": [(DB, 0)],
        "last_success_timestamp_seconds": [(DB, NOW.timestamp())],
    }


def test_a_failing_vaultsecret_has_its_reason() -> None:
    failing = parsed(a_vault_secret(status=a_status(reason="AccessDenied")))

    assert failing["ready"] == [(DB, 0)]
    assert failing["failing"] == [(DB | {"vault": VAULT, "reason": "AccessDenied"}, 1)]


def test_before_the_first_reconcile_a_vaultsecret_is_not_ready_and_not_failing() -> None:
    assert parsed(a_vault_secret()) == {"ready": [(DB, 0)], "stale": [(DB, 0)]}


def test_a_waiting_vaultsecret_is_not_ready_and_has_the_reason() -> None:
    waiting = parsed(a_vault_secret(status=a_status(reason="Waiting")))

    assert waiting["ready"] == [(DB, 0)]
    assert waiting["failing"] == [(DB | {"vault": VAULT, "reason": "Waiting"}, 1)]


def test_a_suspended_vaultsecret_has_no_ready_sample() -> None:
    suspended = a_vault_secret(status=a_status(reason="Suspended"), suspend=True)

    assert parsed(suspended) == {"last_success_timestamp_seconds": [(DB, READ_AT.timestamp())]}


def test_a_vaultsecret_that_was_not_confirmed_for_long_is_stale() -> None:
    status = a_status(reason="VaultUnreachable")
    stale = Condition(
        type="Stale", status="True", reason="NotConfirmed", message="For long.", last_transition_time=READ_AT
    )

    unconfirmed = a_vault_secret(status=status.model_copy(update={"conditions": (*status.conditions, stale)}))

    assert parsed(unconfirmed)["stale"] == [(DB, 1)]


def test_the_certificate_in_a_key_counts_if_it_expires_first() -> None:
    status = a_status(a_status_entry(certificate_expires=START, expires=READ_AT))

    ((_, seconds),) = parsed(a_vault_secret(status=status))["expiry_timestamp_seconds"]

    assert seconds == START.timestamp()


def test_each_key_with_an_expiry_date_has_a_sample() -> None:
    status = a_status(a_status_entry(expires=START), a_status_entry(key="forever"))

    assert parsed(a_vault_secret(status=status))["expiry_timestamp_seconds"] == [
        (DB | {"key": "password"}, START.timestamp())
    ]


def test_each_vaultsecret_has_samples_of_its_own() -> None:
    names = ("a", "b")

    ready = parsed(*(a_vault_secret(metadata={"name": name}) for name in names))["ready"]

    assert [labels["name"] for labels, _ in ready] == ["a", "b"]


def test_the_text_is_valid_openmetrics() -> None:
    status = a_status(a_status_entry(expires=START), reason="AccessDenied")

    text = exposition(Snapshot([a_vault_secret(status=status)]))

    metrics = list(openmetrics(text + "# EOF\n"))  # type: ignore[no-untyped-call]  # the library has not annotated it

    assert [metric.type for metric in metrics] == ["gauge"] * 6


def test_a_namespace_has_a_bounded_number_of_series_and_takes_none_of_others() -> None:
    keys = [a_status_entry(key=f"key-{number}", expires=START) for number in range(8)]
    large = a_vault_secret(metadata={"name": "large"}, status=a_status(*keys))
    small = [a_vault_secret(metadata={"name": f"small-{number}"}) for number in range(6)]
    other = a_vault_secret(metadata={"namespace": "other", "name": "db"})

    samples = parsed(small[0], large, *small[1:], other, most=10)

    assert samples["series_left_out"] == [({"namespace": KEY.namespace}, 3 + 8 + 2)]
    assert [labels["name"] for labels, _ in samples["ready"]] == [*(f"small-{number}" for number in range(5)), "db"]
    assert "expiry_timestamp_seconds" not in samples
    assert "series_left_out" not in parsed(*small[:5], other, most=10)


def test_ten_thousand_vaultsecrets_of_one_key_have_all_their_series() -> None:
    status = a_status(a_status_entry(expires=START), reason="AccessDenied")

    assert 10_000 * sum(map(len, parsed(a_vault_secret(status=status)).values())) <= MAX_SERIES


@given(st.text(min_size=1))
def test_any_label_value_is_escaped(key: str) -> None:
    status = a_status(a_status_entry(key=key, expires=START))

    ((labels, _),) = parsed(a_vault_secret(status=status))["expiry_timestamp_seconds"]

    assert labels["key"] == key


def test_a_reason_that_others_have_written_is_no_label() -> None:
    status = a_status(reason="Written by a tenant")

    assert "failing" not in parsed(a_vault_secret(status=status))
    assert "Written by a tenant" not in exposition(Snapshot([a_vault_secret(status=status)]))
