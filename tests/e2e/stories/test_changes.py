"""What a change in the vault costs and how it is told: one write, one event, and everything read anew when asked."""

from typing import Final

from tests.e2e.scene import NEXT_POLL, POLL, SOON, Scene, entry, eventually, resource_version
from tests.e2e.together import story
from vaultsync.api import REFRESH_ANNOTATION

SELDOM: Final = "1h"
"""A `refreshInterval` in which no poll comes by itself before a story has ended."""

STALE: Final = 3 * POLL + NEXT_POLL
BACK: Final = 90.0
"""Seconds within which a vault that was away is asked again: retries come further and further apart."""


def ask_anew(scene: Scene, text: str, **more: str) -> None:
    """Ask for everything to be read again, and annotate whatever else."""
    scene.annotate({REFRESH_ANNOTATION: text, **more})


def await_handled(scene: Scene, text: str) -> None:
    """Return as soon as the status says that everything was read again for that text."""
    eventually(lambda: scene.status().get("lastHandledRefresh") == text, f"{text} is handled")


@story
def test_a_rotation_is_one_write_and_is_told_by_key_and_version(scene: Scene) -> None:
    user, value = scene.put("db-user"), scene.value()
    scene.put()
    scene.apply(entry(), entry("user", "db-user"))
    before = scene.await_synced()

    version = scene.vault.set("db-password", value)

    scene.await_event("Normal", "Rotated", f"Rotated password (db-password {version}).", within=NEXT_POLL)
    scene.await_content(password=value, user=user)
    scene.await_calls("list", more=2)  # it is read once more when its second is over
    assert [resource_version(secret) for secret in scene.writes(since=before)] == [resource_version(scene.secret())]
    assert {each["key"]: each["version"] for each in scene.status()["entries"]}["password"] == version
    assert scene.told() == {"Created": 1, "Rotated": 1}


@story
def test_everything_is_read_again_at_once_and_once_when_somebody_asks(scene: Scene) -> None:
    user, value = scene.put("db-user"), scene.value()
    scene.put()
    scene.apply(entry(), entry("user", "db-user"), refreshInterval=SELDOM)
    scene.await_synced()
    reads = scene.calls("get")
    scene.vault.set("db-password", value)

    ask_anew(scene, "a rotation that cannot wait")

    scene.await_content(password=value, user=user)
    await_handled(scene, "a rotation that cannot wait")
    assert scene.calls("get") == reads + 2
    ask_anew(scene, "a rotation that cannot wait", note="not about vaultsync")
    scene.await_polls_elsewhere()
    assert scene.calls("get") == reads + 2
    ask_anew(scene, "and another one")
    await_handled(scene, "and another one")
    assert scene.calls("get") == reads + 4
    assert scene.told() == {"Created": 1, "Rotated": 1}


@story
def test_a_search_finds_at_once_what_is_new_when_somebody_asks(scene: Scene) -> None:
    old = scene.put("shop-old")
    scene.apply(data=[], dataFrom=[{"find": {"names": "shop-*"}}], refreshInterval=SELDOM)
    scene.await_content(**{"shop-old": old}, within=SOON)
    scene.await_synced()
    new = scene.put("shop-new")

    ask_anew(scene, "now")

    scene.await_content(**{"shop-old": old, "shop-new": new}, within=SOON)
    await_handled(scene, "now")


@story
def test_an_outage_makes_targets_stale_and_ends_by_itself_at_the_cost_of_what_has_changed(scene: Scene) -> None:
    value, names = scene.put(), [f"db-{number}" for number in range(10)]
    for name in names:
        scene.apply(name=name)
    for name in names:
        scene.await_synced(name)
    scene.await_calls("list", more=2)  # what was read within the second of its change has been read once more
    targets = {name: scene.secret(name) or {} for name in names}

    scene.vault.close_door()
    for name in names:
        stale = scene.await_reason("NotConfirmed", name, of="Stale", within=STALE)

        assert stale.status == "True"
        scene.await_event("Warning", "Stale", stale.message, name)
        assert scene.condition("Ready", name) == (
            "False",
            "VaultUnreachable",
            f"No answer from vault {scene.vault.url}.",
        )
        assert scene.content(name) == {"password": value.encode()}
    reads, lists = scene.calls("get"), scene.calls("list")
    value = scene.put()
    scene.vault.open_door()

    for name in names:
        scene.await_content(name, password=value, within=BACK)
        assert scene.await_reason("Fresh", name, of="Stale").status == "False"
        assert scene.await_reason("Synced", name).status == "True"
    # One for all, and one more if a poll has come since then, by which that reading is settled.
    assert scene.calls("get") <= reads + 2
    assert scene.calls("list") <= lists + 3
    for name in names:
        assert len(scene.writes(name, since=targets[name])) == 1
        assert scene.told(name) == {"Created": 1, "VaultUnreachable": 1, "Stale": 1, "Rotated": 1}
