"""A timeout that runs from its making, and TLS sockets that obey it; has no clock of its own, and starts no thread.

httpx gives the socket the same number of seconds anew before each wait, so that an answer which comes byte by byte may
take for ever. It hands that number on as it is: here it is one that knows what is left of it, and the socket asks it.
A socket that does not know of it waits for the whole number each time, as httpx means it.
"""

import ssl
from collections.abc import Callable
from typing import Self


class Countdown(float):
    """Seconds, counted from now on."""

    __slots__ = ("_end", "_monotonic")

    _end: float
    _monotonic: Callable[[], float]

    def __new__(cls, seconds: float, monotonic: Callable[[], float]) -> Self:
        """Start to count, on the clock that is given."""
        made = super().__new__(cls, seconds)
        made._end = monotonic() + seconds
        made._monotonic = monotonic
        return made

    def left(self) -> float:
        """Return the seconds that are left.

        Raises:
            TimeoutError: There are none.
        """
        left = self._end - self._monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class CountingSocket(ssl.SSLSocket):
    """A TLS socket whose waits end with the countdown that it was given as its timeout."""

    def settimeout(self, value: float | None, /) -> None:
        """Take the timeout of the next wait, in seconds; of a countdown, what is left of it.

        Raises:
            TimeoutError: The countdown is over.
        """
        super().settimeout(value.left() if isinstance(value, Countdown) else value)


def count(context: ssl.SSLContext) -> ssl.SSLContext:
    """Let the sockets of a context obey countdowns, and return the context.

    https://docs.python.org/3/library/ssl.html#ssl.SSLContext.sslsocket_class
    """
    context.sslsocket_class = CountingSocket
    return context
