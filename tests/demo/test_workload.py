"""The actions of the workload and their times."""

from demo.dashboard.record import Moment
from demo.dashboard.workload import Action, run


class FakeClock:
    """A clock that advances by what is waited for."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


def test_each_action_is_run_at_its_time() -> None:
    clock, done = FakeClock(), list[float]()
    actions = [Action(at, lambda: done.append(clock.now)) for at in (0, 4, 10)]

    run(actions, clock=clock, wait=clock.wait, say=lambda *_: None)

    assert done == [0, 4, 10]


def test_an_action_that_is_late_is_run_at_once() -> None:
    clock, done = FakeClock(), list[float]()
    actions = [Action(0, lambda: clock.wait(6)), Action(4, lambda: done.append(clock.now))]

    run(actions, clock=clock, wait=clock.wait, say=lambda *_: None)

    assert done == [6]


def test_an_action_with_a_text_is_printed_and_marked() -> None:
    clock, said = FakeClock(), list[tuple[float, str]]()
    actions = [Action(0, lambda: None), Action(3, lambda: None, "a storm")]

    moments = run(actions, clock=clock, wait=clock.wait, say=lambda at, text: said.append((at, text)))

    assert moments == [Moment(3, "a storm")]
    assert said == [(3, "a storm")]
