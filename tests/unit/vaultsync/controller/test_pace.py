"""Token buckets per key, on a clock that the test turns."""

from hypothesis import given
from hypothesis import strategies as st

from vaultsync.controller.pace import BURST, SECONDS, Pace


class Runner:
    """Runs keys whenever their pace allows it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pace = Pace(lambda: self.now)

    def run(self, key: str) -> bool:
        if self.pace.wait(key):
            return False
        self.pace.spend(key)
        return True


def test_single_runs_never_wait() -> None:
    runner = Runner()
    for _ in range(10 * BURST):
        assert runner.run("a")
        runner.now += SECONDS


def test_after_a_burst_each_run_waits_until_its_time() -> None:
    runner = Runner()
    assert [runner.run("a") for _ in range(BURST + 2)] == [True] * BURST + [False] * 2
    assert runner.pace.wait("a") == SECONDS
    assert runner.run("b")

    runner.now += SECONDS
    assert [runner.run("a"), runner.run("a")] == [True, False]


def test_a_key_that_rests_has_its_burst_again() -> None:
    runner = Runner()
    for _ in range(BURST):
        runner.run("a")
    runner.now += BURST * SECONDS

    assert [runner.run("a") for _ in range(BURST + 1)] == [True] * BURST + [False]


def test_keys_that_rest_are_forgotten() -> None:
    runner = Runner()
    for number in range(1000):
        runner.run(f"key-{number}")
    runner.now += SECONDS
    runner.run("a")

    assert list(runner.pace._full_at) == ["a"]


@given(steps=st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 3 * SECONDS)), max_size=200))
def test_no_key_runs_more_often_than_its_burst_and_its_share_of_the_time(steps: list[tuple[str, float]]) -> None:
    runner = Runner()
    runs = dict.fromkeys("ab", 0)
    for key, seconds in steps:
        runs[key] += runner.run(key)
        assert runs[key] <= BURST + runner.now / SECONDS + 1e-6
        runner.now += seconds
