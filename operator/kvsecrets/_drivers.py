"""Runs flows: takes each effect that a flow yields, does it for threads or for asyncio, and sends back what came of it.

The two drivers say the same in two worlds. What they share and what a flow may not touch (clocks, chance, HTTP client,
tokens) is here and nowhere else; every rule about requests and answers is in the flows.
"""

import random
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Self, TypeAlias, TypeVar, assert_never

import httpx

from kvsecrets import _limits
from kvsecrets._exchange import exchange, exchange_async
from kvsecrets._flow import Answer, Done, Effect, Flow, Login, Now, Pause, Send, advance
from kvsecrets._log import log_exchange, log_pause
from kvsecrets._logins import AsyncLogins, Logins
from kvsecrets._tracing import Span, Tracer, find_tracer, note, traced
from kvsecrets._wire import Response
from kvsecrets.errors import KeyVaultError
from kvsecrets.models import ResponseInfo

T = TypeVar("T")
TIMEOUT = 30.0
"""Seconds that one attempt may take, unless told otherwise."""
HEADERS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "kvsecrets"}
"""Sent along with each request. Answers are small, and compressing secrets tells their size apart from their text."""
ResponseHook: TypeAlias = Callable[[ResponseInfo], None]
"""Is called with each answer of a call, those that are tried again and challenges included."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Clocks, chance and limits, passed in so that tests can choose them."""

    host: str
    timeout: float
    monotonic: Callable[[], float]
    uniform: Callable[[float, float], float]
    tracer: Tracer | None = None

    @classmethod
    def real(cls, host: str, timeout: float) -> Self:
        """Return those of this machine."""
        return cls(host, _limits.timeout(timeout), time.monotonic, random.uniform, find_tracer())


def wall_clock() -> float:
    """Return the seconds since 1970, by which tokens end."""
    return time.time()  # noqa: TID251 - this is the one place where the library gets it from


class _Run:
    """One run of a flow: its request id, its hook and its span."""

    __slots__ = ("headers", "hook", "span")

    def __init__(self, hook: ResponseHook | None, span: Span | None) -> None:
        self.headers = {**HEADERS, "x-ms-client-request-id": str(uuid.uuid4())}
        self.hook = hook
        self.span = span

    def saw(self, effect: Send, outcome: Response | KeyVaultError, seconds: float) -> None:
        """Tell log, span and hook what came of a request."""
        request_id = self.headers["x-ms-client-request-id"]
        log_exchange(effect.request, request_id, outcome, seconds)
        if isinstance(outcome, Response):
            if self.span is not None:
                note(self.span, effect.request.method, request_id, outcome)
            if self.hook is not None:
                self.hook(ResponseInfo(outcome.status, outcome.headers))


class Driver:
    """Runs flows in the calling thread; any number of threads may use one driver."""

    def __init__(
        self,
        connection: Callable[[], AbstractContextManager[httpx.Client]],
        logins: Logins,
        surroundings: Surroundings,
        sleep: Callable[[float], None],
    ) -> None:
        self._connection = connection
        self._logins = logins
        self._around = surroundings
        self._sleep = sleep

    def run(self, flow: Flow[T], hook: ResponseHook | None = None) -> T:
        """Run a flow to its end and return its result."""
        with _span(self._around, flow) as span:
            run = _Run(hook, span)
            try:
                step = advance(flow, None)
                while not isinstance(step, Done):
                    step = advance(flow, self._answer(step, run))
                return step.result
            finally:
                flow.close()

    def _answer(self, effect: Effect, run: _Run) -> Answer | KeyVaultError:
        """Return what came of an effect; a failure is for the flow to judge."""
        try:
            return self._outcome(effect, run)
        except KeyVaultError as error:
            return error

    def _outcome(self, effect: Effect, run: _Run) -> Answer:
        if isinstance(effect, Send):
            return self._exchange(effect, run)
        if isinstance(effect, Login):
            return self._logins.token(effect)
        if isinstance(effect, Pause):
            self._sleep(_drawn(self._around, effect))
            return None
        if isinstance(effect, Now):
            return self._around.monotonic()
        assert_never(effect)

    def _exchange(self, effect: Send, run: _Run) -> Response:
        around = self._around
        start = around.monotonic()
        try:
            with self._connection() as http:
                response = exchange(http, effect, run.headers, around.timeout, around.monotonic)
        except KeyVaultError as error:
            run.saw(effect, error, around.monotonic() - start)
            raise
        run.saw(effect, response, around.monotonic() - start)
        return response


class AsyncDriver:
    """Runs flows in the calling task; any number of tasks of one event loop may use one driver."""

    def __init__(
        self,
        connection: Callable[[], AbstractAsyncContextManager[httpx.AsyncClient]],
        logins: AsyncLogins,
        surroundings: Surroundings,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._connection = connection
        self._logins = logins
        self._around = surroundings
        self._sleep = sleep

    async def run(self, flow: Flow[T], hook: ResponseHook | None = None) -> T:
        """Run a flow to its end and return its result; cancelling the task closes the flow."""
        with _span(self._around, flow) as span:
            run = _Run(hook, span)
            try:
                step = advance(flow, None)
                while not isinstance(step, Done):
                    step = advance(flow, await self._answer(step, run))
                return step.result
            finally:
                flow.close()

    async def _answer(self, effect: Effect, run: _Run) -> Answer | KeyVaultError:
        """Return what came of an effect; a failure is for the flow to judge."""
        try:
            return await self._outcome(effect, run)
        except KeyVaultError as error:
            return error

    async def _outcome(self, effect: Effect, run: _Run) -> Answer:
        if isinstance(effect, Send):
            return await self._exchange(effect, run)
        if isinstance(effect, Login):
            return await self._logins.token(effect)
        if isinstance(effect, Pause):
            await self._sleep(_drawn(self._around, effect))
            return None
        if isinstance(effect, Now):
            return self._around.monotonic()
        assert_never(effect)

    async def _exchange(self, effect: Send, run: _Run) -> Response:
        around = self._around
        start = around.monotonic()
        try:
            async with self._connection() as http:
                response = await exchange_async(http, effect, run.headers, around.timeout)
        except KeyVaultError as error:
            run.saw(effect, error, around.monotonic() - start)
            raise
        run.saw(effect, response, around.monotonic() - start)
        return response


def _drawn(around: Surroundings, effect: Pause) -> float:
    seconds = around.uniform(effect.least, effect.most)
    log_pause(seconds)
    return seconds


def _span(around: Surroundings, flow: Flow[Any]) -> AbstractContextManager[Span | None]:
    if around.tracer is None:
        return nullcontext()
    return traced(around.tracer, getattr(flow, "__name__", "call"), around.host)
