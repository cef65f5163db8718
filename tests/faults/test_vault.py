"""Each fault of a vault: meanwhile its secrets rotate, and targets are changed and deleted in the cluster."""

import pytest

from tests.e2e.concurrency import scenario
from tests.faults.fault import Fault
from tests.faults.harness import World
from tests.faults.vault_faults import DATE_AHEAD, FAULTS


@pytest.mark.parametrize("fault", FAULTS, ids=str)
@scenario
def test_nothing_is_lost(world: World, fault: Fault) -> None:
    world.settle(pages=2)
    # A replica that lags now shows what was before.
    world.rotate()
    world.await_right()

    world.survive(fault)


@scenario
def test_a_date_that_was_ahead_hides_no_later_rotation(world: World) -> None:
    world.settle()
    with DATE_AHEAD.during(world):
        world.rotate()
        world.await_right()

    # The date of the last read is later than that of each poll now.
    world.rotate()

    world.await_right()
    world.check()
