"""The journal and the checker on a real cluster and operator, with nothing broken."""

from collections.abc import Callable

from tests.faults.harness import World, check_log


def test_a_world_without_faults_is_right_and_quiet(new_world: Callable[[], World]) -> None:
    world = new_world()

    with world.operator() as operator:
        world.settle()
        world.rotate()
        world.tamper("db")
        world.delete_target("web")
        world.await_right()
        world.await_quiet()
        check_log(operator)

    world.check()
    assert world.checker.checked
