"""What becomes of everything while no operator runs, and when one starts again."""

import signal

from tests.e2e.life.scenes import LifeScene
from tests.e2e.scene import MARK, NEXT_POLL, eventually, resource_version
from tests.e2e.together import story
from vaultsync.api import OWNER_UID_LABEL, PLURAL


@story
def test_a_restarted_operator_reads_no_value_and_writes_nothing(scene: LifeScene) -> None:
    names = [f"db-{number}" for number in range(10)]
    scene.put()
    with scene.operator() as first:
        for name in names:
            scene.apply(name=name)
        for name in names:
            scene.await_synced(name)
        scene.await_calls("list", more=2)  # what was read within the second of its change has been read once more
        assert first.stop() == 0
    reads = scene.calls("get")
    before = [resource_version(thing) for kind in (PLURAL, "secrets", "events") for thing in listed(scene, kind)]

    with scene.operator() as second:
        scene.await_calls("list", more=2)

        assert scene.calls("get") == reads
        assert second.metric("vaultsync_reconciles_total", reason="Synced") >= len(names)
    after = [resource_version(thing) for kind in (PLURAL, "secrets", "events") for thing in listed(scene, kind)]
    assert after == before


def listed(scene: LifeScene, kind: str) -> list[dict[str, object]]:
    """All objects of a kind, in the order of their names."""
    return sorted(scene.api.list(scene.path(kind)), key=lambda thing: str(thing["metadata"]["name"]))


@story
def test_what_changed_while_no_operator_ran_is_put_right_at_the_start(scene: LifeScene) -> None:
    for name in ("rotated", "tampered", "deleted", "retargeted"):
        scene.put(name)
    entries = {
        name: {"key": "password", "secretName": name} for name in ("rotated", "tampered", "deleted", "retargeted")
    }
    with scene.operator() as first:
        for name, wanted in entries.items():
            scene.apply(wanted, name=name)
        for name in entries:
            scene.await_synced(name)
        assert first.stop() == 0

    rotated = scene.put("rotated")
    scene.tamper("tampered", stringData={"password": "guessed", "backdoor": "open"})
    scene.api.delete(scene.path("secrets", "deleted"))
    scene.change("retargeted", data=[{"key": "other", "secretName": "retargeted"}])
    fresh = scene.put("fresh")
    scene.apply({"key": "password", "secretName": "fresh"}, name="fresh")

    with scene.operator():
        scene.await_content("rotated", password=rotated)
        scene.await_content("tampered", password=scene.vault.value("tampered"))
        scene.await_content("deleted", password=scene.vault.value("deleted"))
        scene.await_content("retargeted", other=scene.vault.value("retargeted"))
        scene.await_content("fresh", password=fresh)


@story
def test_what_failed_before_a_restart_is_not_taken_for_well_before_anybody_has_looked(scene: LifeScene) -> None:
    scene.put()
    with scene.operator() as first:
        scene.apply()
        scene.await_synced()
        scene.vault.disable("db-password")
        scene.await_reason("SecretDisabled", within=NEXT_POLL)
        assert first.stop() == 0

    scene.vault.latency(3.0)
    with scene.operator():
        scene.await_calls("list", more=2)

        assert scene.await_reason("SecretDisabled").status == "False"
    assert scene.told() == {"Created": 1, "SecretDisabled": 1}


@story
def test_two_operators_at_once_as_in_an_update_do_not_fight(scene: LifeScene) -> None:
    scene.put()
    with scene.operator() as old, scene.operator():
        scene.apply()
        scene.await_synced()
        value = scene.put()
        scene.await_content(password=value, within=NEXT_POLL)
        scene.await_calls("list", more=4)  # both have settled it
        before = resource_version(scene.secret()), resource_version(scene.vault_secret())

        scene.await_calls("list", more=2)

        assert (resource_version(scene.secret()), resource_version(scene.vault_secret())) == before
        assert old.stop() == 0
        value = scene.put()
        scene.await_content(password=value, within=NEXT_POLL)


@story
def test_the_garbage_collector_needs_no_operator(scene: LifeScene) -> None:
    scene.put()
    with scene.operator() as first:
        scene.apply()
        scene.await_synced()
        assert first.stop() == 0

    scene.delete()

    eventually(lambda: scene.vault_secret() is None and scene.secret() is None, "both are gone")


@story
def test_what_was_left_behind_while_no_operator_ran_is_let_go_at_the_start(scene: LifeScene) -> None:
    value = scene.put()
    with scene.operator() as first:
        for name in ("left", "kept"):
            scene.apply(name=name, onDelete="Retain")
        for name in ("left", "kept"):
            scene.await_synced(name)
        assert first.stop() == 0
    scene.delete("left")
    before = resource_version(scene.secret("kept"))

    with scene.operator():
        released = scene.await_released("left")

        assert scene.content("left") == {"password": value.encode()}
        assert resource_version(scene.secret("kept")) == before
        made = scene.apply(name="left", onDelete="Retain")
        taken_up = scene.await_synced("left")
    assert taken_up["metadata"]["uid"] == released["metadata"]["uid"]
    assert taken_up["metadata"]["labels"][OWNER_UID_LABEL] == made["metadata"]["uid"]
    assert scene.content("left") == {"password": value.encode()}


@story
def test_a_namespace_goes_while_no_operator_runs(scene: LifeScene) -> None:
    scene.put()
    with scene.operator() as first:
        scene.apply()
        scene.await_synced()
        assert first.stop() == 0

    path = f"/api/v1/namespaces/{scene.namespace}"
    scene.api.delete(path)

    eventually(lambda: scene.api.get(path) is None, "the namespace is gone", within=45)


@story
def test_a_killed_operator_leaves_nothing_that_its_successor_cannot_finish(scene: LifeScene) -> None:
    values = {f"db-{number}": scene.put(f"db-{number}") for number in range(30)}
    with scene.operator() as first:
        scene.vault.latency(0.05)
        for name in values:
            scene.apply({"key": "password", "secretName": name}, name=name)
        first.signal(signal.SIGKILL)
        first.wait()
    scene.vault.latency(0)

    with scene.operator():
        for name, value in values.items():
            scene.await_content(name, password=value)
            scene.await_reason("Synced", name)
    assert MARK not in scene.log.read_text()
