"""Each fault of the login, for an operator and vaults of its own."""

import pytest

from tests.e2e.concurrency import scenario
from tests.emulator.client import Emulator
from tests.faults.fault import Fault
from tests.faults.harness import World, check_log
from tests.faults.login_faults import FAULTS


@pytest.mark.parametrize("fault", FAULTS, ids=str)
@scenario
def test_nothing_is_lost(world: World, fault: Fault) -> None:
    with Emulator.start(world.folder / world.namespace) as emulator:
        world = world.with_emulator(emulator)
        with world.operator() as operator:
            world.settle()

            world.survive(fault)

            check_log(operator)
