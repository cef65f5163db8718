"""The operator survives what happens to its process."""

import pytest

from tests.e2e.concurrency import scenario
from tests.faults.fault import Fault
from tests.faults.harness import World, check_log
from tests.faults.process_faults import FAULTS


@pytest.mark.parametrize("fault", FAULTS, ids=str)
@scenario
def test_it_survives(world: World, fault: Fault) -> None:
    with world.instance() as instance:
        world.settle()
        world.survive(fault)
        assert instance.running.is_running
    check_log(instance.running)
