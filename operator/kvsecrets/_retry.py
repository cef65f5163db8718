"""Which requests are retried and how long to wait: exponential backoff with full jitter, capped, Retry-After respected.

https://learn.microsoft.com/azure/key-vault/general/overview-throttling requires clients to back off exponentially.
Draws no random number and does not sleep: the driver does, within the bounds computed here.
"""

from dataclasses import dataclass

from kvsecrets._protocol import MAX_RESPONSE_BYTES, Flow, Request, Response, pause, send
from kvsecrets._responses import retry_after
from kvsecrets.errors import ConnectionFailed, ConnectionProblem

THROTTLED = 429
RETRYABLE_STATUSES = frozenset({408, THROTTLED, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a request is attempted, and how long to wait between attempts.

    Retried are the statuses 408, 429, 500, 502, 503 and 504 and failed connections, except for rejected certificates.
    Requests that must not run twice (recover and restore) are retried only if they certainly were not executed.
    https://learn.microsoft.com/azure/key-vault/general/overview-throttling

    Args:
        attempts: Number of attempts in total; 1 disables retries.
        base_delay: Upper bound in seconds of the wait before the second attempt; it doubles for each further attempt.
            Each wait is drawn at random between 0 and its upper bound (full jitter), which spreads out many clients.
        cap: Upper bound in seconds of a single wait. If the service requests more (`Retry-After`), the request is not
            retried: the error is raised at once, with the requested seconds in `retry_after`.

    Raises:
        ValueError: `attempts` is below 1, `base_delay` is negative, or `base_delay` is above `cap`.
    """

    attempts: int = 4
    base_delay: float = 1.0
    cap: float = 30.0

    def __post_init__(self) -> None:
        """Reject values out of range."""
        if self.attempts < 1:
            raise ValueError(f"attempts {self.attempts}: must be at least 1")
        if not 0 <= self.base_delay <= self.cap:
            raise ValueError(f"base_delay {self.base_delay}, cap {self.cap}: must satisfy 0 <= base_delay <= cap")

    def bounds(self, failures: int, requested: float | None = None) -> tuple[float, float] | None:
        """Return the bounds of the next wait.

        Args:
            failures: How many attempts have failed, from 1.
            requested: The seconds that the service requested (`Retry-After`); None if it requested none.

        Returns:
            The minimum and maximum of the wait in seconds, or None if the request must not be retried.
        """
        minimum = requested or 0.0
        if failures >= self.attempts or minimum > self.cap:
            return None
        step = min(self.cap, self.base_delay * 2.0 ** min(failures - 1, 32))
        return minimum, max(minimum, min(self.cap, minimum + step))


def send_with_retries(
    request: Request, policy: RetryPolicy, *, repeatable: bool = True, max_bytes: int = MAX_RESPONSE_BYTES
) -> Flow[Response]:
    """Send a request, with retries.

    Args:
        request: The request, sent unchanged with each attempt.
        policy: The number of attempts and the waits.
        repeatable: Whether the service may execute the request twice.
        max_bytes: Upper bound of the response body.

    Returns:
        The last response, whatever its status.

    Raises:
        ConnectionFailed: The last attempt got no response.
    """
    failures = 0
    while True:
        try:
            response = yield from send(request, max_bytes)
        except ConnectionFailed as error:
            failures += 1
            bounds = policy.bounds(failures)
            if bounds is None or error.problem is ConnectionProblem.UNTRUSTED or not (repeatable or error.unsent):
                raise
        else:
            if response.status not in RETRYABLE_STATUSES or not (repeatable or response.status == THROTTLED):
                return response
            failures += 1
            bounds = policy.bounds(failures, retry_after(response.headers))
            if bounds is None:
                return response
        yield from pause(*bounds)
