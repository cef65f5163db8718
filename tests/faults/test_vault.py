"""Each fault of a vault: meanwhile its secrets rotate, and targets are changed and deleted in the cluster."""

import pytest

from tests.e2e.concurrency import scenario
from tests.faults.fault import Fault
from tests.faults.harness import World
from tests.faults.vault_faults import FAULTS


@pytest.mark.parametrize("fault", FAULTS, ids=str)
@scenario
def test_nothing_is_lost(world: World, fault: Fault) -> None:
    world.settle(pages=2)
    # A replica that lags now shows what was before.
    world.rotate()
    world.await_right()

    world.survive(fault)
