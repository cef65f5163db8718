"""Which requests are retried and the bounds of each wait; stepped, so that no test waits."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsecrets._protocol import Request, Response
from kvsecrets._retry import RetryPolicy, send_with_retries
from kvsecrets.errors import ConnectionFailed, ConnectionProblem
from tests.unit.kvsecrets.stepper import Stepper, response

REQUEST = Request("GET", "https://shop.vault.azure.net/secrets/db")
POLICY = RetryPolicy(attempts=3, base_delay=1, cap=10)

seconds = st.floats(min_value=0, max_value=1e6)


def test_a_response_that_is_not_retryable_is_returned_at_once() -> None:
    stepper = Stepper(send_with_retries(REQUEST, POLICY)).resume(response(status=404))

    assert stepper.result.status == 404


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_these_statuses_are_retried(status: int) -> None:
    stepper = Stepper(send_with_retries(REQUEST, POLICY)).resume(response(status=status)).resume(None)

    assert stepper.request == REQUEST


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 409, 501, 505])
def test_other_statuses_are_not_retried(status: int) -> None:
    assert Stepper(send_with_retries(REQUEST, POLICY)).resume(response(status=status)).result.status == status


def test_the_upper_bound_doubles_with_each_wait() -> None:
    stepper = Stepper(send_with_retries(REQUEST, POLICY)).resume(response(status=503))
    first = stepper.pause
    second = stepper.resume(None).resume(response(status=503)).pause

    assert [first, second] == [(0, 1), (0, 2)]


def test_the_last_response_is_returned_when_no_attempt_is_left() -> None:
    stepper = Stepper(send_with_retries(REQUEST, RetryPolicy(attempts=2))).resume(response(status=500)).resume(None)

    assert stepper.resume(response(status=503)).result.status == 503


def test_a_single_attempt_never_waits() -> None:
    assert (
        Stepper(send_with_retries(REQUEST, RetryPolicy(attempts=1))).resume(response(status=503)).result.status == 503
    )


def test_retry_after_in_seconds_is_the_minimum_wait() -> None:
    stepper = Stepper(send_with_retries(REQUEST, POLICY)).resume(response(status=429, retry_after="7"))

    assert stepper.pause == (7, 8)


def test_retry_after_as_a_date_is_relative_to_the_vaults_clock() -> None:
    throttled = response(status=503, retry_after="Mon, 24 Nov 2025 10:47:05 GMT", date="Mon, 24 Nov 2025 10:47:00 GMT")

    assert Stepper(send_with_retries(REQUEST, POLICY)).resume(throttled).pause == (5, 6)


def test_a_retry_after_above_the_cap_is_returned_to_the_caller() -> None:
    stepper = Stepper(send_with_retries(REQUEST, POLICY)).resume(response(status=429, retry_after="11"))

    assert stepper.result.status == 429


def test_a_failed_connection_is_retried_and_its_last_error_raised() -> None:
    stepper = (
        Stepper(send_with_retries(REQUEST, RetryPolicy(attempts=2))).resume(ConnectionFailed("first")).resume(None)
    )

    with pytest.raises(ConnectionFailed, match="second"):
        stepper.resume(ConnectionFailed("second"))


def test_a_rejected_certificate_is_not_retried() -> None:
    stepper = Stepper(send_with_retries(REQUEST, POLICY))

    with pytest.raises(ConnectionFailed):
        stepper.resume(ConnectionFailed("wrong name", ConnectionProblem.UNTRUSTED))


@pytest.mark.parametrize("problem", [ConnectionProblem.TIMED_OUT, ConnectionProblem.BROKEN])
def test_a_request_that_must_not_run_twice_is_not_retried_if_it_may_have_run(problem: ConnectionProblem) -> None:
    stepper = Stepper(send_with_retries(REQUEST, POLICY, repeatable=False))

    with pytest.raises(ConnectionFailed):
        stepper.resume(ConnectionFailed("gone", problem))


@pytest.mark.parametrize(
    "failure",
    [ConnectionFailed("no connection"), response(status=429)],
    ids=["not sent", "throttled"],
)
def test_a_request_that_must_not_run_twice_is_retried_if_it_cannot_have_run(
    failure: Response | ConnectionFailed,
) -> None:
    stepper = Stepper(send_with_retries(REQUEST, POLICY, repeatable=False)).resume(failure).resume(None)

    assert stepper.request == REQUEST


def test_a_request_that_must_not_run_twice_is_not_retried_after_a_server_error() -> None:
    assert (
        Stepper(send_with_retries(REQUEST, POLICY, repeatable=False)).resume(response(status=503)).result.status == 503
    )


@given(
    attempts=st.integers(1, 50),
    base=seconds,
    more=seconds,
    failures=st.integers(1, 10_000),
    requested=st.none() | seconds,
)
def test_every_wait_is_between_the_requested_one_and_the_cap(
    attempts: int, base: float, more: float, failures: int, requested: float | None
) -> None:
    policy = RetryPolicy(attempts=attempts, base_delay=base, cap=base + more)

    bounds = policy.bounds(failures, requested)

    if bounds is None:
        assert failures >= attempts or (requested or 0) > policy.cap
    else:
        minimum, maximum = bounds
        assert (requested or 0) <= minimum <= maximum <= policy.cap
        assert math.isfinite(maximum)


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"attempts": 0}, "at least 1"),
        ({"base_delay": -1}, "0 <= base_delay"),
        ({"base_delay": 5, "cap": 4}, "base_delay <= cap"),
        ({"cap": math.nan}, "base_delay <= cap"),
    ],
    ids=["no attempt", "negative delay", "cap below the delay", "NaN"],
)
def test_values_out_of_range_are_rejected(arguments: dict[str, float], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        RetryPolicy(**arguments)  # type: ignore[arg-type]  # the wrong numbers are the point
