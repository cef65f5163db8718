"""Requests, responses, JSON bodies and flows as plain values; does no I/O and knows no HTTP library.

A flow is a generator that describes a conversation with the service. It yields an *effect* and is sent the result:

    Send          one HTTP request      → the Response (ConnectionFailed or UnexpectedAnswer is thrown into the flow)
    TokenRequest  an access token       → a Token (LoginFailed is thrown into the flow)
    Pause         a delay               → None
    Now           the monotonic time    → seconds

and it returns its result. A driver (`_drivers.py`) runs flows, for threads and for asyncio. Retries, challenges, login,
paging and polling are therefore written once, and tested by stepping a generator. Flows call each other with
`yield from`, and yield only through the four functions at the end, which give each result its type.
"""

import json
import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Generic, TypeAlias, TypeVar

from kvsecrets.errors import KeyVaultError

MAX_RESPONSE_BYTES = 4 * 1024 * 1024
"""Upper bound of a response body. The largest valid one is a page of 25 secrets with 15 tags each of 256 + 256
characters: 1.2 MB if every character is escaped."""
MAX_JSON_DEPTH = 32
"""Upper bound of nested arrays and objects in a JSON body. Key Vault's own bodies have fewer than ten levels."""

_NOT_BRACKETS = re.compile(r'(?:"(?:[^"\\]++|\\.)*+"?|[^]["{}]++)++', re.DOTALL)
"""Strings, terminated or not, and all other text between brackets. Possessive: a hostile body must not backtrack."""
_NESTING = {"[": 1, "{": 1, "]": -1, "}": -1}


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request: an absolute URL with its query, headers and a body. The repr shows neither headers nor body."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    check: "Callable[[Response], None] | None" = field(default=None, repr=False, compare=False)
    """Raises `UnexpectedAnswer` if a response is not one to this request: its connection is then not used again."""


@dataclass(frozen=True)
class Response:
    """One HTTP response. Header names are in lower case. The repr shows neither headers nor body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    @cached_property
    def document(self) -> object:
        """The JSON of the body; None where it has none: then neither a field nor an error code is found in it."""
        try:
            return decode_json(self.body)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, which the repr does not show. Times are seconds since 1970."""

    text: str = field(repr=False)
    expires_on: float
    refresh_on: float | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """Send this request and read at most `max_bytes` of the response body."""

    request: Request
    max_bytes: int = MAX_RESPONSE_BYTES


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """Get a token for a scope; never the `rejected` one, which the vault did not accept."""

    scope: str
    tenant: str | None = None
    claims: str | None = field(default=None, repr=False)
    rejected: Token | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for a random number of seconds within these bounds; the driver draws it."""

    min_seconds: float
    max_seconds: float


@dataclass(frozen=True, slots=True)
class Now:
    """Read the monotonic clock, in seconds."""


T = TypeVar("T")
Effect: TypeAlias = Send | TokenRequest | Pause | Now
EffectResult: TypeAlias = Response | Token | float | None
Flow: TypeAlias = Generator[Effect, EffectResult, T]


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """A flow has returned this result."""

    result: T


def advance(flow: Flow[T], result: EffectResult | KeyVaultError) -> Effect | Done[T]:
    """Resume a flow with the result of its last effect, or with None to start it.

    An error is thrown into the flow.

    Returns:
        The next effect, or `Done` with the flow's result.
    """
    try:
        return flow.throw(result) if isinstance(result, KeyVaultError) else flow.send(result)
    except StopIteration as end:
        return Done(end.value)


def send(request: Request, max_bytes: int = MAX_RESPONSE_BYTES) -> Flow[Response]:
    """Yield one HTTP request and return its response."""
    result = yield Send(request, max_bytes)
    assert isinstance(result, Response)
    return result


def get_token(request: TokenRequest) -> Flow[Token]:
    """Yield a token request and return the token."""
    result = yield request
    assert isinstance(result, Token)
    return result


def pause(min_seconds: float, max_seconds: float) -> Flow[None]:
    """Yield a delay within these bounds."""
    yield Pause(min_seconds, max_seconds)


def now() -> Flow[float]:
    """Return the monotonic time in seconds."""
    result = yield Now()
    assert isinstance(result, float)
    return result


def decode_json(body: bytes) -> object:
    """Decode a JSON body from an untrusted peer.

    The depth is checked before the decoder runs. The decoder itself recurses in C up to the interpreter's recursion
    limit: with a raised limit, a body of a few kilobytes of `[` overflows the stack and crashes the process.

    Raises:
        ValueError: It is not JSON in UTF-8, or it is nested deeper than `MAX_JSON_DEPTH`.
    """
    text = body.decode("utf-8")
    if text.count("[") + text.count("{") > MAX_JSON_DEPTH and _depth(text) > MAX_JSON_DEPTH:
        raise ValueError(f"JSON is nested deeper than {MAX_JSON_DEPTH} levels")
    try:
        return json.loads(text)
    except RecursionError:  # the caller's own stack is almost full
        raise ValueError("JSON is nested too deeply") from None


def _depth(text: str) -> int:
    """Return how deep brackets outside of strings are nested."""
    brackets = _NOT_BRACKETS.sub("", text)
    return max(accumulate(map(_NESTING.__getitem__, brackets)), default=0)
