"""The journal and the checker on a real cluster and operator, with nothing broken."""

from collections.abc import Callable

from tests.faults.harness import World, check_log


def test_without_faults_targets_are_correct_and_nothing_is_written_after_that(new_world: Callable[[], World]) -> None:
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
