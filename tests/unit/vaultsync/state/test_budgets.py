"""The reads of a tenant in any 10 seconds: bounded, and none of another tenant."""

from hypothesis import given
from hypothesis import strategies as st

from vaultsync.state.budgets import SECONDS, ReadBudgets

ONE, OTHER = ("grant", "one"), ("grant", "other")


def test_reads_are_taken_until_the_bucket_is_empty_and_again_as_it_fills() -> None:
    budgets = ReadBudgets()

    assert [budgets.take(ONE, 1, most=2, now=0.0) for _ in range(3)] == [0.0, 0.0, 5.0]
    assert budgets.take(OTHER, 1, most=2, now=0.0) == 0.0
    assert budgets.take(ONE, 1, most=2, now=4.0) == 1.0
    assert budgets.take(ONE, 1, most=2, now=5.0) == 0.0


def test_more_reads_than_a_bucket_holds_are_owed() -> None:
    budgets = ReadBudgets()

    assert budgets.take(ONE, 10, most=2, now=0.0) == 0.0
    assert budgets.take(ONE, 1, most=2, now=0.0) == 45.0


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 5)), max_size=60))
def test_no_ten_seconds_have_many_more_reads_than_two_buckets(steps: list[tuple[float, int]]) -> None:
    budgets, now, taken = ReadBudgets(), 0.0, list[tuple[float, int]]()
    for pause, reads in steps:
        now += pause
        if not budgets.take(ONE, reads, most=10, now=now):
            taken.append((now, reads))

    for end, _ in taken:
        within = sum(reads for at, reads in taken if end - SECONDS < at <= end)
        assert within <= 10 + 10 + 5


def test_full_buckets_are_forgotten() -> None:
    budgets = ReadBudgets()
    for number in range(100):
        budgets.take(("grant", f"namespace-{number}"), 1, most=10, now=float(number * 20))

    assert len(budgets._full_at) == 1
