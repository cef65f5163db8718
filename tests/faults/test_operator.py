"""The operator survives what happens to its process."""

import random
import time
from threading import Timer
from typing import Final

import pytest

from tests.e2e.concurrency import scenario
from tests.e2e.harness import eventually
from tests.faults.api_proxy import Held
from tests.faults.fault import Fault
from tests.faults.harness import World, check_log
from tests.faults.operator_faults import CLOCK_AHEAD, FAULTS

KILLS: Final = 8
LONGEST_LIFE: Final = 2.0
"""Seconds after the start in which an operator takes over: it lists, polls, reads and writes."""


@pytest.mark.parametrize("fault", FAULTS, ids=str)
@scenario
def test_it_survives(world: World, fault: Fault) -> None:
    with world.instance() as instance:
        world.settle()
        world.survive(fault)
    check_log(instance.running)


@scenario
def test_a_clock_that_jumps_ahead_cuts_no_grace_period_short(world: World) -> None:
    with world.instance() as instance:
        world.settle(onSourceDeleted="Delete", deleteAfter="10m")
        # Not in the model: a write without its key is a violation.
        world.vault.delete("db-0")
        world.eventually(lambda: "missing" in world.status("db"), "the secret is missing")
        with CLOCK_AHEAD.during(world):
            polls = instance.running.metric("vaultsync_polls_total")
            eventually(lambda: instance.running.metric("vaultsync_polls_total") >= polls + 3, "three polls")
            world.check()


@scenario
def test_it_is_killed_at_random_moments_while_secrets_rotate(world: World) -> None:
    moments = random.Random(world.namespace)  # noqa: S311 - not secret
    with world.instance() as instance:
        world.settle()
        for _ in range(KILLS):
            world.rotate()
            time.sleep(moments.uniform(0, LONGEST_LIFE))
            instance.kill()
            instance.start()
        world.await_right()
        world.await_quiet()
        world.check()


@pytest.mark.parametrize("lets_go", [True, False])
@scenario
def test_it_stops_in_mid_write(world: World, lets_go: bool) -> None:
    with world.instance() as instance:
        world.settle()
        held = Held(methods=frozenset({"PATCH"}), path="/secrets/")
        with instance.api.fault(held):
            world.rotate()
            held.wait()
            if lets_go:
                Timer(1.0, held.end).start()
            assert instance.stop() == 0
        instance.start()
        world.await_right()
        world.await_quiet()
        world.check()


@scenario
def test_a_write_that_arrives_late_does_not_undo_a_later_one(world: World) -> None:
    with world.instance() as instance:
        world.settle()
        held = Held(methods=frozenset({"PATCH"}), path="/secrets/db$", times=1)
        with instance.api.fault(held):
            world.rotate()
            held.wait()
            instance.kill()
            instance.start()
            world.rotate()
            world.await_right()
        world.await_quiet()
        world.check()
