"""The idiom of this library: a flow is a conversation with the outside world that does no I/O itself.

A flow is a generator. It yields an *effect*, which says what it wants, and is sent what came of it:

    Send   one HTTP request      → the Response (or ConnectionFailed, UnexpectedAnswer is thrown into the flow)
    Login  a token               → a Token (or LoginFailed is thrown)
    Pause  some time to pass     → None
    Now    the time              → seconds on a clock that only goes forward

and it returns its result. A driver (`_drivers.py`) runs flows, once for threads and once for asyncio, so that what is
hard (retry, challenge, login, paging, waiting) is written once and tested by stepping a generator. Flows call each
other with `yield from`, and yield only by way of the four functions at the end, which give each answer its type.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from kvsecrets._wire import Request, Response
from kvsecrets.errors import KeyVaultError

ANSWER_LIMIT = 4 * 1024 * 1024
"""Bytes of an answer that we are willing to read. The largest honest one is a page of 25 secrets with 15 tags each of
256 + 256 characters: 1.2 MB if every character is escaped."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, hidden in its text form; times are seconds since 1970."""

    text: str = field(repr=False)
    expires_on: float
    refresh_on: float | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """Send this request and read at most `limit` bytes of answer."""

    request: Request
    limit: int = ANSWER_LIMIT


@dataclass(frozen=True, slots=True)
class Login:
    """Get a token for a scope; not the `refused` one, which the vault has turned down."""

    scope: str
    tenant: str | None = None
    claims: str | None = field(default=None, repr=False)
    refused: Token | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Pause:
    """Let time pass: at least so many seconds, at most so many; the driver draws a number in between."""

    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Now:
    """Tell the time, in seconds on a clock that only goes forward."""


T = TypeVar("T")
Effect: TypeAlias = Send | Login | Pause | Now
Answer: TypeAlias = Response | Token | float | None
Flow: TypeAlias = Generator[Effect, Answer, T]


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """A flow has ended, with this result."""

    result: T


def advance(flow: Flow[T], answer: Answer | KeyVaultError) -> Effect | Done[T]:
    """Give a flow what it asked for, or None to begin with; return what it wants next, or that it has ended."""
    try:
        return flow.throw(answer) if isinstance(answer, KeyVaultError) else flow.send(answer)
    except StopIteration as end:
        return Done(end.value)


def send(request: Request, limit: int = ANSWER_LIMIT) -> Flow[Response]:
    """Ask for one HTTP exchange."""
    answer = yield Send(request, limit)
    assert isinstance(answer, Response)
    return answer


def login(effect: Login) -> Flow[Token]:
    """Ask for a token."""
    answer = yield effect
    assert isinstance(answer, Token)
    return answer


def pause(least: float, most: float) -> Flow[None]:
    """Ask for time to pass."""
    yield Pause(least, most)


def now() -> Flow[float]:
    """Ask for the time."""
    answer = yield Now()
    assert isinstance(answer, float)
    return answer
