"""Rollouts: a workload is restarted when the content of its Secret changes, and for no other reason."""

from datetime import datetime
from typing import Any, Final

import pytest

from tests.e2e.concurrency import scenario
from tests.e2e.harness import Harness, entry, in_a_window
from vaultsync.api.v1alpha1 import WorkloadKind
from vaultsync.policy.rollout import SETTLING

WEB: Final = {"kind": "Deployment", "name": "web"}
OFTEN: Final = WEB | {"minInterval": "10s"}
"""With the shortest `minInterval` that is allowed."""


def rotate(harness: Harness, *names: str) -> None:
    """Rotate the secret, and wait until these Secrets hold the new value."""
    value = harness.put_long_ago()
    for name in names or ("db",):
        harness.await_content(name, password=value)


def restarts(harness: Harness) -> list[dict[str, Any]]:
    """What the status says of the workloads."""
    found: list[dict[str, Any]] = (harness.vault_secret() or {})["status"]["restarts"]
    return found


@pytest.mark.parametrize("kind", WorkloadKind)
@scenario
def test_a_rotation_restarts_a_workload_once(harness: Harness, kind: WorkloadKind) -> None:
    harness.run(kind)
    harness.put_long_ago()
    harness.apply(restart=[OFTEN | {"kind": kind}])
    harness.await_synced()

    rotate(harness)

    harness.eventually(lambda: harness.rollouts(kind) == 1, f"the {kind} is restarted")
    harness.await_event("Normal", "Restarted", f"{kind} web", "Secret db")
    harness.await_polls_elsewhere()
    assert harness.rollouts(kind) == 1
    harness.await_event_counts(Created=1, Rotated=1, Restarted=1)


@scenario
def test_neither_the_creation_of_a_secret_nor_a_corrected_drift_restarts_a_workload(harness: Harness) -> None:
    harness.run()
    value = harness.put()
    harness.apply(restart=[OFTEN])
    harness.await_content(password=value)

    harness.tamper(stringData={"password": "guessed"})
    harness.await_event_counts(Created=1, Tampered=1)

    harness.await_content(password=value)
    harness.await_polls_elsewhere()
    assert harness.rollouts() == 0


@scenario
def test_a_changed_spec_that_changes_the_content_restarts_a_workload(harness: Harness) -> None:
    harness.run()
    value = harness.put()
    harness.apply(restart=[OFTEN])
    harness.await_synced()

    harness.change(data=[entry(), entry("again")])

    harness.await_content(password=value, again=value)
    harness.eventually(lambda: harness.rollouts() == 1, "the Deployment is restarted")


@scenario
def test_two_vaultsecrets_that_change_in_one_poll_restart_their_workload_once(harness: Harness) -> None:
    def attempt(number: int, _: float) -> bool:
        workload, names = f"web-{number}", (f"one-{number}", f"two-{number}")
        harness.run(name=workload)
        harness.put_long_ago()
        for name in names:
            harness.apply(name=name, restart=[OFTEN | {"name": workload}])
            harness.await_synced(name)

        rotate(harness, *names)

        harness.eventually(lambda: harness.rollouts(name=workload) > 0, "the Deployment is restarted")
        changes = [datetime.fromisoformat(harness.status(name)["contentChangeTime"]) for name in names]
        if max(changes) - min(changes) >= SETTLING:
            return False
        harness.await_polls_elsewhere()
        assert harness.rollouts(name=workload) == 1
        harness.eventually(
            lambda: sum(harness.event_counts(name)["Restarted"] for name in names) == 1, "one event of the restart"
        )
        return True

    in_a_window(attempt)


@scenario
def test_a_second_rotation_waits_for_the_min_interval(harness: Harness) -> None:
    harness.run()
    harness.put_long_ago()
    harness.apply(restart=[WEB | {"minInterval": "1h"}])
    harness.await_synced()
    rotate(harness)
    harness.eventually(lambda: harness.rollouts() == 1, "the Deployment is restarted")

    rotate(harness)

    harness.await_polls_elsewhere()
    assert harness.rollouts() == 1


@scenario
def test_a_missing_workload_is_reported_and_not_restarted_when_it_is_created(harness: Harness) -> None:
    harness.put_long_ago()
    harness.apply(restart=[OFTEN])
    harness.await_synced()

    rotate(harness)

    problem = harness.await_event("Warning", "RestartFailed", f"Deployment {harness.namespace}/web").message
    harness.await_event_counts(Created=1, Rotated=1, RestartFailed=1)
    harness.eventually(
        lambda: [each.get("problem") for each in restarts(harness)] == [problem], "a problem in the status"
    )
    harness.await_reason("Synced")
    harness.run()
    harness.eventually(lambda: "problem" not in restarts(harness)[0], "no problem in the status")
    assert harness.rollouts() == 0
    harness.await_event_counts(Created=1, Rotated=1, RestartFailed=1)
