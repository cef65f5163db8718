"""Programs that read a Secret only when they start are restarted when its content has changed, and not for less."""

from typing import Any, Final

import pytest

from tests.e2e.scene import NEXT_POLL, POLL, Event, Scene, entry, eventually
from tests.e2e.together import story
from vaultsync.api.restarts import WorkloadKind

WEB: Final = {"kind": "Deployment", "name": "web"}
OFTEN: Final = WEB | {"minInterval": "10s"}


def rotate(scene: Scene, *names: str) -> None:
    """Set the secret anew, and wait until these Secrets hold it."""
    value = scene.put()
    for name in names or ("db",):
        scene.await_content(name, password=value, within=NEXT_POLL)


def restarts(scene: Scene) -> list[dict[str, Any]]:
    """What the status says of the workloads."""
    found: list[dict[str, Any]] = (scene.vault_secret() or {})["status"]["restarts"]
    return found


@pytest.mark.parametrize("kind", WorkloadKind)
@story
def test_a_rotation_restarts_a_workload_once(scene: Scene, kind: WorkloadKind) -> None:
    scene.run(kind)
    scene.put()
    scene.apply(restart=[OFTEN | {"kind": kind}])
    scene.await_synced()

    rotate(scene)

    eventually(lambda: scene.rollouts(kind) == 1, f"the {kind} is restarted")
    event = Event("Normal", "Restarted", f"Restarted {kind} web, since what Secret db holds has changed.")
    eventually(lambda: event in scene.events(), str(event))
    scene.await_polls_elsewhere()
    assert scene.rollouts(kind) == 1
    assert scene.told() == {"Created": 1, "Rotated": 1, "Restarted": 1}


@story
def test_neither_the_creation_of_a_secret_nor_its_healing_restarts_anything(scene: Scene) -> None:
    scene.run()
    value = scene.put()
    scene.apply(restart=[OFTEN])
    scene.await_content(password=value)

    scene.tamper(stringData={"password": "guessed"})
    scene.await_told(Created=1, Tampered=1)

    scene.await_content(password=value)
    scene.await_polls_elsewhere()
    assert scene.rollouts() == 0


@story
def test_what_the_manifest_changes_in_the_content_restarts_a_workload_too(scene: Scene) -> None:
    scene.run()
    value = scene.put()
    scene.apply(restart=[OFTEN])
    scene.await_synced()

    scene.change(data=[entry(), entry("again")])

    scene.await_content(password=value, again=value)
    eventually(lambda: scene.rollouts() == 1, "the Deployment is restarted")


@story
def test_two_rotations_in_one_poll_restart_what_both_name_once(scene: Scene) -> None:
    scene.run()
    scene.put()
    for name in ("one", "two"):
        scene.apply(name=name, restart=[OFTEN])
        scene.await_synced(name)

    rotate(scene, "one", "two")

    eventually(lambda: scene.rollouts() == 1, "the Deployment is restarted")
    scene.await_polls_elsewhere()
    assert scene.rollouts() == 1
    assert scene.told("one")["Restarted"] + scene.told("two")["Restarted"] == 1


@story
def test_a_second_rotation_waits_for_the_shortest_time_between_two_restarts(scene: Scene) -> None:
    scene.run()
    scene.put()
    scene.apply(restart=[WEB])
    scene.await_synced()
    rotate(scene)
    eventually(lambda: scene.rollouts() == 1, "the Deployment is restarted")

    rotate(scene)

    scene.await_polls_elsewhere()
    assert scene.rollouts() == 1


@story
def test_a_workload_that_is_missing_is_told_and_needs_no_restart_once_it_is_there(scene: Scene) -> None:
    scene.put()
    scene.apply(restart=[OFTEN])
    scene.await_synced()

    rotate(scene)

    problem = f"Deployment {scene.namespace}/web is to be restarted and does not exist."
    scene.await_told(Created=1, Rotated=1, RestartFailed=1)
    assert Event("Warning", "RestartFailed", problem) in scene.events()
    eventually(lambda: [each.get("problem") for each in restarts(scene)] == [problem], "the status tells the problem")
    scene.await_reason("Synced")
    scene.run()
    eventually(lambda: "problem" not in restarts(scene)[0], "the problem is over", within=NEXT_POLL + POLL)
    assert scene.rollouts() == 0
    assert scene.told() == {"Created": 1, "Rotated": 1, "RestartFailed": 1}
