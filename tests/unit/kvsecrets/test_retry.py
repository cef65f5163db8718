"""When a request is tried again and how long it waits: stepped by hand, so that no test waits."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsecrets._retry import RetryPolicy, attempted
from kvsecrets._wire import Request, Response
from kvsecrets.errors import ConnectionFailed, ConnectionProblem
from tests.unit.kvsecrets.stepping import Talk, answer

REQUEST = Request("GET", "https://shop.vault.azure.net/secrets/db")
POLICY = RetryPolicy(attempts=3, base_delay=1, cap=10)

seconds = st.floats(min_value=0, max_value=1e6)


def test_an_answer_that_is_no_failure_is_returned_at_once() -> None:
    talk = Talk(attempted(REQUEST, POLICY)).answer(answer(status=404))

    assert talk.result.status == 404


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_these_statuses_are_tried_again(status: int) -> None:
    talk = Talk(attempted(REQUEST, POLICY)).answer(answer(status=status)).answer(None)

    assert talk.sends == REQUEST


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 409, 501, 505])
def test_other_statuses_are_not_tried_again(status: int) -> None:
    assert Talk(attempted(REQUEST, POLICY)).answer(answer(status=status)).result.status == status


def test_each_wait_may_be_twice_as_long_as_the_one_before() -> None:
    talk = Talk(attempted(REQUEST, POLICY)).answer(answer(status=503))
    first = talk.pauses
    second = talk.answer(None).answer(answer(status=503)).pauses

    assert [first, second] == [(0, 1), (0, 2)]


def test_the_last_failure_is_returned_when_no_attempt_is_left() -> None:
    talk = Talk(attempted(REQUEST, RetryPolicy(attempts=2))).answer(answer(status=500)).answer(None)

    assert talk.answer(answer(status=503)).result.status == 503


def test_a_single_attempt_never_waits() -> None:
    assert Talk(attempted(REQUEST, RetryPolicy(attempts=1))).answer(answer(status=503)).result.status == 503


def test_retry_after_in_seconds_is_the_least_wait() -> None:
    talk = Talk(attempted(REQUEST, POLICY)).answer(answer(status=429, retry_after="7"))

    assert talk.pauses == (7, 8)


def test_retry_after_as_a_date_is_read_on_the_vaults_own_clock() -> None:
    asked = answer(status=503, retry_after="Mon, 24 Nov 2025 10:47:05 GMT", date="Mon, 24 Nov 2025 10:47:00 GMT")

    assert Talk(attempted(REQUEST, POLICY)).answer(asked).pauses == (5, 6)


def test_a_wait_longer_than_the_cap_is_left_to_the_caller() -> None:
    talk = Talk(attempted(REQUEST, POLICY)).answer(answer(status=429, retry_after="11"))

    assert talk.result.status == 429


def test_a_failed_connection_is_tried_again_and_its_last_failure_raised() -> None:
    talk = Talk(attempted(REQUEST, RetryPolicy(attempts=2))).answer(ConnectionFailed("first")).answer(None)

    with pytest.raises(ConnectionFailed, match="second"):
        talk.answer(ConnectionFailed("second"))


def test_a_certificate_that_is_refused_is_not_tried_again() -> None:
    talk = Talk(attempted(REQUEST, POLICY))

    with pytest.raises(ConnectionFailed):
        talk.answer(ConnectionFailed("wrong name", ConnectionProblem.UNTRUSTED))


@pytest.mark.parametrize("problem", [ConnectionProblem.TIMED_OUT, ConnectionProblem.BROKEN])
def test_what_must_not_run_twice_is_not_tried_again_when_it_may_have_run(problem: ConnectionProblem) -> None:
    talk = Talk(attempted(REQUEST, POLICY, repeatable=False))

    with pytest.raises(ConnectionFailed):
        talk.answer(ConnectionFailed("gone", problem))


@pytest.mark.parametrize(
    "refused",
    [ConnectionFailed("no connection"), answer(status=429)],
    ids=["it never left", "it was throttled"],
)
def test_what_must_not_run_twice_is_tried_again_when_it_cannot_have_run(refused: Response | ConnectionFailed) -> None:
    talk = Talk(attempted(REQUEST, POLICY, repeatable=False)).answer(refused).answer(None)

    assert talk.sends == REQUEST


def test_what_must_not_run_twice_is_not_tried_again_after_a_servers_failure() -> None:
    assert Talk(attempted(REQUEST, POLICY, repeatable=False)).answer(answer(status=503)).result.status == 503


@given(
    attempts=st.integers(1, 50),
    base=seconds,
    more=seconds,
    failures=st.integers(1, 10_000),
    asked=st.none() | seconds,
)
def test_every_wait_lies_between_what_was_asked_and_the_cap(
    attempts: int, base: float, more: float, failures: int, asked: float | None
) -> None:
    policy = RetryPolicy(attempts=attempts, base_delay=base, cap=base + more)

    bounds = policy.bounds(failures, asked)

    if bounds is None:
        assert failures >= attempts or (asked or 0) > policy.cap
    else:
        least, most = bounds
        assert (asked or 0) <= least <= most <= policy.cap
        assert math.isfinite(most)


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"attempts": 0}, "at least one"),
        ({"base_delay": -1}, "from 0"),
        ({"base_delay": 5, "cap": 4}, "not above the second"),
        ({"cap": math.nan}, "from 0"),
    ],
    ids=["no attempt", "a wait into the past", "a cap below the base", "no number"],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, float], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        RetryPolicy(**wrong)  # type: ignore[arg-type]  # the wrong numbers are the point
