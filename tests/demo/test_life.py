"""What happens before the dashboard, and when."""

from demo.dashboard.life import Deed, play
from demo.dashboard.record import Moment


class Hours:
    """A clock that goes on while somebody waits, and with each thing that is done."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


def test_everything_is_done_when_its_time_has_come() -> None:
    hours, done = Hours(), list[float]()
    deeds = [Deed(at, lambda: done.append(hours.now)) for at in (0, 4, 10)]

    play(deeds, clock=hours, wait=hours.wait, say=lambda *_: None)

    assert done == [0, 4, 10]


def test_what_comes_late_is_not_waited_for() -> None:
    hours, done = Hours(), list[float]()
    deeds = [Deed(0, lambda: hours.wait(6)), Deed(4, lambda: done.append(hours.now))]

    play(deeds, clock=hours, wait=hours.wait, say=lambda *_: None)

    assert done == [6]


def test_what_has_a_text_is_told_and_marked() -> None:
    hours, told = Hours(), list[tuple[float, str]]()
    deeds = [Deed(0, lambda: None), Deed(3, lambda: None, "a storm")]

    moments = play(deeds, clock=hours, wait=hours.wait, say=lambda at, text: told.append((at, text)))

    assert moments == [Moment(3, "a storm")]
    assert told == [(3, "a storm")]
