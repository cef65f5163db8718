"""Dates of secret versions: expiry is reported and does not stop the sync; activation happens without a poll."""

from datetime import UTC, datetime, timedelta

from tests.e2e.concurrency import scenario
from tests.e2e.harness import SELDOM, Harness, entry, in_a_window


def moment(**ahead: float) -> datetime:
    """A moment from now, to the second, as the vault counts."""
    return datetime.now(UTC).replace(microsecond=0) + timedelta(**ahead)


def formatted(moment: datetime) -> str:
    """A moment as messages contain it."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


@scenario
def test_an_expired_secret_is_synced_and_reported(harness: Harness) -> None:
    expired, value, following = moment(days=-1), harness.value(), harness.value()
    harness.vault.set("db-password", value, expires_on=expired)

    harness.apply()

    harness.await_content(password=value)
    harness.await_reason("Synced")
    expiring = harness.await_reason("Expired", of="Expiring")
    assert expiring.status == "True"
    assert {part for part in ("db-password", "password", formatted(expired)) if part not in expiring.message} == set()
    assert harness.await_event("Warning", "Expired").message == expiring.message
    harness.vault.set("db-password", following, expires_on=moment(days=-1))
    harness.await_content(password=following)
    harness.await_event_counts(Created=1, Expired=1, Rotated=1)


@scenario
def test_an_expiry_is_reported_before_and_after_its_date_without_a_poll(harness: Harness) -> None:
    def is_reported_twice(number: int, seconds: float) -> bool:
        name, expires = f"db-{number}", moment(seconds=seconds)
        harness.vault.set(name, harness.value(), expires_on=expires)
        harness.apply(entry(source=name), name=name, refreshInterval=SELDOM)
        before = harness.await_synced(name)
        first = harness.await_reason("ExpiresSoon", "Expired", name=name, of="Expiring")
        if first.reason == "Expired":
            return False
        assert formatted(expires) in first.message
        assert harness.await_event("Warning", "ExpiresSoon", name=name).message == first.message

        harness.await_reason("Expired", name=name, of="Expiring")

        assert datetime.now(UTC) >= expires
        assert harness.await_reason("Synced", name=name).status == "True"
        harness.await_event_counts(name, Created=1, ExpiresSoon=1, Expired=1)
        assert harness.writes(name, since=before) == []
        return True

    in_a_window(is_reported_twice)


@scenario
def test_a_distant_expiry_is_not_reported_until_the_date_changes(harness: Harness) -> None:
    harness.vault.set("db-password", harness.value(), expires_on=moment(days=300))
    harness.apply()
    harness.await_synced()
    assert harness.await_reason("FarFromExpiry", of="Expiring").status == "False"

    harness.vault.set("db-password", harness.value(), expires_on=moment(days=13))

    harness.await_reason("ExpiresSoon", of="Expiring")
    harness.vault.set("db-password", harness.value())
    harness.await_reason("FarFromExpiry", of="Expiring")
    harness.await_event_counts(Created=1, Rotated=2, ExpiresSoon=1)


@scenario
def test_a_version_is_synced_when_it_becomes_active_and_without_a_poll(harness: Harness) -> None:
    def is_reported_and_synced(number: int, seconds: float) -> bool:
        name, following = f"db-{number}", harness.value()
        harness.put_long_ago(name)
        harness.apply(entry(source=name), name=name)
        before, active = harness.await_synced(name), moment(seconds=5 * seconds)
        harness.vault.set(name, following, not_before=active)
        harness.eventually(lambda: harness.event_counts(name).total() == 2, "an event about the new version")
        harness.change(name, refreshInterval=SELDOM)
        ready = harness.await_reason("SecretNotYetActive", "Synced", name=name)
        if ready.reason == "Synced":
            return False
        assert (ready.status, formatted(active) in ready.message) == ("False", True)

        harness.await_content(name, password=following)

        harness.await_reason("Synced", name=name)
        assert datetime.fromisoformat(harness.observed(name)["status"]["lastChangeTime"]) >= active
        assert len(harness.writes(name, since=before)) == 1
        harness.await_event_counts(name, Created=1, SecretNotYetActive=1, Rotated=1)
        return True

    in_a_window(is_reported_and_synced)
