"""When a request is sent again and how long to wait before: exponential, with full jitter, capped, Retry-After obeyed.

https://learn.microsoft.com/azure/key-vault/general/overview-throttling asks clients to back off exponentially.
Draws no random number and waits for nothing itself: the driver does, between the bounds that are given here.
"""

from dataclasses import dataclass

from kvsecrets._failures import retry_after
from kvsecrets._flow import ANSWER_LIMIT, Flow, pause, send
from kvsecrets._wire import Request, Response
from kvsecrets.errors import ConnectionFailed, ConnectionProblem

THROTTLED = 429
RETRIED = frozenset({THROTTLED, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently a request is tried.

    Args:
        attempts: How many times in all; 1 means no second try.
        base_delay: The most seconds before the second attempt; each further wait may be twice as long. Every wait is
            drawn anew between nothing and its most ("full jitter"), so that many clients do not come back at once.
        cap: The most seconds that one wait may take. When the vault asks for a longer one (`Retry-After`), we don't
            wait: the error is raised at once and tells it in `retry_after`.

    Tried again are statuses 429, 500, 502, 503 and 504, and connections that failed, other than for a certificate.
    Requests that must not run twice (recover and restore) are tried again only if they certainly were not carried out.
    """

    attempts: int = 4
    base_delay: float = 1.0
    cap: float = 30.0

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.attempts < 1:
            raise ValueError(f"attempts {self.attempts}: at least one")
        if not 0 <= self.base_delay <= self.cap:
            raise ValueError(
                f"base_delay {self.base_delay}, cap {self.cap}: both from 0, the first not above the second"
            )

    def bounds(self, failures: int, asked: float | None = None) -> tuple[float, float] | None:
        """Return the least and the most seconds to wait after so many failures; None means: give up.

        Args:
            failures: How many attempts have failed, from 1.
            asked: The seconds that the vault asked for, if it did.
        """
        least = asked or 0.0
        if failures >= self.attempts or least > self.cap:
            return None
        step = min(self.cap, self.base_delay * 2.0 ** min(failures - 1, 32))
        return least, max(least, min(self.cap, least + step))


def attempted(
    request: Request, policy: RetryPolicy, *, repeatable: bool = True, limit: int = ANSWER_LIMIT
) -> Flow[Response]:
    """Send a request, again if need be; return the last answer, whatever it says, or raise the last failure."""
    failures = 0
    while True:
        try:
            response = yield from send(request, limit)
        except ConnectionFailed as failed:
            failures += 1
            bounds = policy.bounds(failures)
            if bounds is None or failed.problem is ConnectionProblem.UNTRUSTED or not (repeatable or failed.unsent):
                raise
        else:
            if response.status not in RETRIED or not (repeatable or response.status == THROTTLED):
                return response
            failures += 1
            bounds = policy.bounds(failures, retry_after(response.headers))
            if bounds is None:
                return response
        yield from pause(*bounds)
