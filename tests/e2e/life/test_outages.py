"""What the operator lives through: an API server out of reach, a login refused; it goes on by itself."""

import uuid

from tests.e2e.life.scenes import LifeScene
from tests.e2e.scene import Event, entry, eventually, resource_version
from tests.e2e.together import story

BACK = 60.0
"""Seconds within which everything is well again: attempts come further and further apart."""


@story
def test_what_changed_while_the_api_server_was_out_of_reach_is_put_right(scene: LifeScene) -> None:
    names = ("tampered", "deleted", "orphaned", "retargeted")
    for name in names:
        scene.put(name)
    with scene.cable() as cable, scene.operator(through=cable) as running:
        for name in names:
            scene.apply(entry(source=name), name=name)
        scene.apply(entry(source="tampered"), name="left", onDelete="Retain")
        for name in (*names, "left"):
            scene.await_synced(name)

        cable.pull_out()
        scene.tamper("tampered", stringData={"password": "guessed"})
        scene.api.delete(scene.path("secrets", "deleted"))
        scene.delete("orphaned")
        scene.delete("left")
        scene.change("retargeted", data=[entry("other", "retargeted")])
        fresh = scene.put("fresh")
        scene.apply(entry(source="fresh"), name="fresh")
        eventually(lambda: "out of sight" in scene.log.read_text(), "it has noticed")
        cable.plug_in()

        scene.await_content("fresh", password=fresh, within=BACK)
        scene.await_content("tampered", password=scene.vault.value("tampered"))
        scene.await_content("deleted", password=scene.vault.value("deleted"))
        scene.await_content("retargeted", other=scene.vault.value("retargeted"))
        eventually(lambda: running.metric("vaultsync_vaultsecrets") == 4, "the deleted ones are forgotten")
        scene.await_released("left")
        assert running.is_ready
        assert scene.secret("orphaned") is None


@story
def test_an_api_server_that_comes_back_costs_the_vault_nothing_and_nothing_is_written(scene: LifeScene) -> None:
    names = [f"db-{number}" for number in range(20)]
    scene.put()
    with scene.cable() as cable, scene.operator(through=cable):
        for name in names:
            scene.apply(name=name)
        targets = {name: scene.await_synced(name) for name in names}
        scene.await_calls("list", more=2)  # what was read within the second of its change has been read once more
        told = {name: resource_version(scene.vault_secret(name)) for name in names}
        reads = scene.calls("get")

        cable.pull_out()
        eventually(lambda: "out of sight" in scene.log.read_text(), "it has noticed")
        cable.plug_in()

        fresh = scene.put("fresh")
        scene.apply(entry(source="fresh"), name="fresh")
        scene.await_content("fresh", password=fresh, within=BACK)
        scene.await_calls("list", more=2)
        assert scene.calls("get") <= reads + 2  # both for what is new
        assert [name for name in names if scene.writes(name, since=targets[name])] == []
        assert {name: resource_version(scene.vault_secret(name)) for name in names} == told


@story
def test_a_rotation_while_the_api_server_is_out_of_reach_arrives_when_it_is_back(scene: LifeScene) -> None:
    scene.put()
    with scene.cable() as cable, scene.operator(through=cable):
        scene.apply()
        scene.await_synced()

        cable.pull_out()
        value = scene.put()
        eventually(lambda: "ClusterUnavailable" in scene.log.read_text(), "it has tried to write")
        cable.plug_in()

        scene.await_content(password=value, within=BACK)
        scene.await_reason("Synced", within=BACK)


@story
def test_a_refused_login_is_told_and_tried_again(scene: LifeScene) -> None:
    value = scene.put()
    client, secret = str(uuid.uuid4()), scene.value()
    scene.apply()
    with scene.operator(environ={"AZURE_CLIENT_ID": client, "AZURE_CLIENT_SECRET": secret}):
        ready = scene.await_reason("LoginFailed")
        assert ready.message == (
            f"Cannot log in for vault {scene.vault.url}; check the operator's identity: tenant, client, token."
        )
        eventually(lambda: scene.log.read_text().count("poll failed") >= 3, "it has been tried again")
        assert scene.events() == [Event("Warning", "LoginFailed", ready.message)]
        assert scene.secret() is None

        scene.emulator.register(client, secret=secret)

        scene.await_content(password=value, within=BACK)
    assert secret not in scene.log.read_text()
