"""Two operators survive what happens to the one that leads: the other one takes over."""

import pytest

from tests.e2e.concurrency import scenario
from tests.faults.fault import Fault
from tests.faults.harness import World, check_log
from tests.faults.leader_faults import FAULTS


@pytest.mark.parametrize("fault", FAULTS, ids=str)
@scenario
def test_another_takes_over(world: World, fault: Fault) -> None:
    with world.pair() as pair:
        world.settle()
        former = world.leader()
        world.survive(fault)
        assert world.leader() is not former
    for instance in pair:
        check_log(instance.running)
