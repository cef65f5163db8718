"""An operator survives what breaks of its whole control plane, one thing after another."""

import time
from typing import Final

from tests.e2e.concurrency import scenario
from tests.faults.harness import World, check_log
from tests.faults.plane_faults import FAULTS

BROKEN_SECONDS: Final = 12.0


@scenario
def test_nothing_is_lost(world: World) -> None:
    with world.instance() as instance:
        world.settle()
        for fault in FAULTS:
            world.tamper("db")
            with fault.during(world):
                world.rotate()
                time.sleep(BROKEN_SECONDS)
            world.delete_target("web")
            world.await_right()
            world.check()
        world.await_quiet()
    check_log(instance.running)
