"""Dates in the vault: what expires is kept in sync and told, what is not active yet is waited for to the second."""

from datetime import UTC, datetime, timedelta

from tests.e2e.scene import NEXT_POLL, Scene, entry, eventually
from tests.e2e.together import story


def moment(**ahead: float) -> datetime:
    """A moment from now, to the second, as the vault counts."""
    return datetime.now(UTC).replace(microsecond=0) + timedelta(**ahead)


def in_words(moment: datetime) -> str:
    """As people are told of it."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


@story
def test_an_expired_secret_is_kept_in_sync_and_told(scene: Scene) -> None:
    expired, value, following = moment(days=-1), scene.value(), scene.value()
    scene.vault.set("db-password", value, expires_on=expired)

    scene.apply()

    scene.await_content(password=value)
    scene.await_reason("Synced")
    message = (
        f"Secret db-password, which fills key password, has expired at {in_words(expired)}; "
        "it is kept in sync all the same."
    )
    assert scene.condition("Expiring") == ("True", "Expired", message)
    scene.await_event("Warning", "Expired", message)
    scene.vault.set("db-password", following, expires_on=moment(days=-1))
    scene.await_content(password=following, within=NEXT_POLL)
    scene.await_told(Created=1, Expired=1, Rotated=1)


@story
def test_what_expires_soon_is_told_and_told_again_when_it_has(scene: Scene) -> None:
    expires, value = moment(seconds=15), scene.value()
    scene.vault.set("db-password", value, expires_on=expires)
    scene.put("db-user")
    scene.apply(entry(), entry("user", "db-user"), refreshInterval="1h")
    before = scene.await_synced()
    soon = f"Secret db-password, which fills key password, expires at {in_words(expires)}."
    assert scene.await_reason("ExpiresSoon", of="Expiring") == ("True", "ExpiresSoon", soon)
    scene.await_event("Warning", "ExpiresSoon", soon)

    scene.await_reason("Expired", of="Expiring")

    assert datetime.now(UTC) >= expires
    assert scene.await_reason("Synced").status == "True"
    scene.await_told(Created=1, ExpiresSoon=1, Expired=1)
    assert scene.writes(since=before) == []


@story
def test_a_secret_whose_date_is_far_away_is_no_matter_until_its_date_is_changed(scene: Scene) -> None:
    scene.vault.set("db-password", scene.value(), expires_on=moment(days=300))
    scene.apply()
    scene.await_synced()
    assert scene.condition("Expiring") == ("False", "FarFromExpiry", "No secret is known to expire within 14 days.")

    scene.vault.set("db-password", scene.value(), expires_on=moment(days=13))

    scene.await_reason("ExpiresSoon", of="Expiring", within=NEXT_POLL)
    scene.vault.set("db-password", scene.value())
    scene.await_reason("FarFromExpiry", of="Expiring", within=NEXT_POLL)
    scene.await_told(Created=1, Rotated=2, ExpiresSoon=1)


@story
def test_a_version_that_is_not_active_yet_comes_at_its_very_moment_without_a_poll(scene: Scene) -> None:
    scene.put()
    scene.apply()
    before, following, active = scene.await_synced(), scene.value(), moment(seconds=40)
    scene.vault.set("db-password", following, not_before=active)
    ready = scene.await_reason("SecretNotYetActive", within=NEXT_POLL)
    assert (ready.status, in_words(active) in ready.message) == ("False", True)
    lists = scene.calls("list")

    scene.change(refreshInterval="1h")

    scene.await_content(password=following, within=90)
    eventually(lambda: scene.told()["Rotated"] == 1, "it is told")
    written = datetime.fromisoformat(scene.status()["lastChangeTime"])
    assert active <= written <= active + timedelta(seconds=3)
    assert scene.calls("list") <= lists + 1
    assert len(scene.writes(since=before)) == 1
    assert scene.told() == {"Created": 1, "SecretNotYetActive": 1, "Rotated": 1}
