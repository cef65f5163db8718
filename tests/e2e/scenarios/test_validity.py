"""Dates of secret versions: expiry is reported and does not stop the sync; activation happens without a poll."""

from datetime import UTC, datetime, timedelta

from tests.e2e.concurrency import scenario
from tests.e2e.harness import SELDOM, Harness, entry, in_a_window
from tests.unit.vaultsync.render.authorities import a_party, in_pem


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
def test_an_expired_certificate_in_a_plain_secret_is_reported(harness: Harness) -> None:
    """The vault has no date; that of the certificate counts, for the condition and the metric alike."""
    expired = moment(days=-2)
    value = in_pem([a_party("localhost", ca=False, end=expired).certificate])
    harness.vault.set("web", value)

    harness.apply(entry("tls.crt", "web"))

    harness.await_content(**{"tls.crt": value})
    assert harness.await_reason("Synced").status == "True"
    expiring = harness.await_reason("Expired", of="Expiring")
    assert {part for part in ("certificate", "web", formatted(expired)) if part not in expiring.message} == set()
    assert datetime.fromisoformat(harness.observed()["status"]["expiryTime"]) == expired


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
        harness.await_state(lambda state: formatted(active) in str(state["status"]["conditions"]), "a date", name)
        harness.change(name, refreshInterval=SELDOM)
        ready = harness.await_reason("Synced", name=name)
        if formatted(active) not in ready.message:
            return False
        assert ready.status == "True"

        harness.await_content(name, password=following)

        harness.await_state(
            lambda state: datetime.fromisoformat(state["status"]["lastChangeTime"]) >= active, "the write", name
        )
        assert len(harness.writes(name, since=before)) == 1
        harness.await_event_counts(name, Created=1, Rotated=1)
        return True

    in_a_window(is_reported_and_synced)


@scenario
def test_a_search_follows_its_other_secrets_while_one_is_not_active(harness: Harness) -> None:
    """The manifest is that of a user whose search stopped."""
    database, token, following = harness.value(), harness.value(), harness.value()
    harness.vault.set("app-db", database)
    harness.vault.set("app-api", token)
    harness.apply(data=[], dataFrom=[{"find": {"names": "app-*"}}], refreshInterval="10s")
    harness.await_content(**{"app-db": database, "app-api": token})

    harness.vault.set("app-next-year", harness.value(), not_before=moment(days=30))
    harness.vault.set("app-db", following)

    harness.await_content(**{"app-db": following, "app-api": token})
    assert harness.await_reason("Synced").status == "True"


@scenario
def test_a_secret_is_created_and_restored_while_the_newest_version_is_not_active(harness: Harness) -> None:
    """The manifest is that of a user who got no Secret, and whose deleted one was not restored."""
    first, active = harness.value(), moment(days=30)
    harness.vault.set("p", first)
    harness.vault.set("p", harness.value(), not_before=active)

    harness.apply(entry(source="p"), refreshInterval="10s")

    harness.await_content(password=first)
    assert formatted(active) in harness.await_reason("Synced").message
    harness.api.delete(harness.path("secrets", "db"))
    harness.await_event_counts(Created=1, Tampered=1)
    harness.await_content(password=first)
    harness.tamper(stringData={"password": "guessed"})
    harness.await_event_counts(Created=1, Tampered=2)
    harness.await_content(password=first)
