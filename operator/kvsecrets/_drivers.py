"""Runs flows for threads and for asyncio: executes each effect that a flow yields, and sends its result back.

Clocks, random numbers, connections and tokens are used here only. Every rule about requests and responses is in the
flows.
"""

import random
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Self, TypeAlias, TypeVar, assert_never

from kvsecrets import _validation
from kvsecrets._exchange import AsyncExchange
from kvsecrets._protocol import Done, Effect, EffectResult, Flow, Now, Pause, Response, Send, TokenRequest, advance
from kvsecrets._telemetry import (
    Span,
    Tracer,
    find_tracer,
    log_exchange,
    log_pause,
    operation_span,
    record_exchange,
    trace_headers,
)
from kvsecrets._tokens import AsyncTokenProvider, TokenProvider
from kvsecrets._transport import ConnectionSource, exchange
from kvsecrets.errors import KeyVaultError
from kvsecrets.models import ResponseInfo

T = TypeVar("T")
TIMEOUT = 30.0
"""Default timeout of one attempt, in seconds."""
HEADERS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "kvsecrets"}
"""Sent with each request. Responses are small, and the size of a compressed secret reveals something about its text."""
ResponseHook: TypeAlias = Callable[[ResponseInfo], None]
"""Called with each response of a call, including challenges and responses that are retried."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """The clock, random numbers, timeout and tracer of a client; tests pass their own."""

    host: str
    timeout: float
    monotonic: Callable[[], float]
    uniform: Callable[[float, float], float]
    tracer: Tracer | None = None

    @classmethod
    def system(cls, host: str, timeout: float) -> Self:
        """Return those of the system."""
        return cls(host, _validation.timeout(timeout), time.monotonic, random.uniform, find_tracer())

    def draw_pause(self, effect: Pause) -> float:
        """Draw the seconds of a pause, and log them."""
        seconds = self.uniform(effect.min_seconds, effect.max_seconds)
        log_pause(seconds)
        return seconds

    def span(self, flow: Flow[Any]) -> AbstractContextManager[Span | None]:
        """Return the span of an operation, named after its flow; a null context without a tracer."""
        if self.tracer is None:
            return nullcontext()
        return operation_span(self.tracer, getattr(flow, "__name__", "call"), self.host)


def wall_clock() -> float:
    """Return the seconds since 1970, which token expiry is compared with."""
    return time.time()  # noqa: TID251 - the only place where the library reads it


class _Closable:
    """Refuses calls, and requests of calls that have begun, once it is closed; over whichever connections."""

    _is_closed = False

    def close(self) -> None:
        """Refuse everything from now on."""
        self._is_closed = True

    def _check_open(self) -> None:
        if self._is_closed:
            raise RuntimeError("this client is closed")


class _Call:
    """One run of a flow: its request id, its hook and its span."""

    __slots__ = ("headers", "hook", "span")

    def __init__(self, hook: ResponseHook | None, span: Span | None) -> None:
        trace = {} if span is None else trace_headers()
        self.headers = {**HEADERS, **trace, "x-ms-client-request-id": str(uuid.uuid4())}
        self.hook = hook
        self.span = span

    def record(self, effect: Send, outcome: Response | KeyVaultError, seconds: float) -> None:
        """Pass the outcome of a request to the log, the span and the hook."""
        request_id = self.headers["x-ms-client-request-id"]
        log_exchange(effect.request, request_id, outcome, seconds)
        if self.span is not None:
            record_exchange(self.span, effect.request, request_id, outcome)
        if self.hook is not None and isinstance(outcome, Response):
            self.hook(ResponseInfo(outcome.status, outcome.headers))


class Driver(_Closable):
    """Runs flows in the calling thread; threads may share a driver."""

    def __init__(
        self, connections: ConnectionSource, tokens: TokenProvider, runtime: Runtime, sleep: Callable[[float], None]
    ) -> None:
        self._connections = connections
        self._tokens = tokens
        self._runtime = runtime
        self._sleep = sleep

    def run(self, flow: Flow[T], hook: ResponseHook | None = None) -> T:
        """Run a flow to its end and return its result."""
        with self._runtime.span(flow) as span:
            call = _Call(hook, span)
            try:
                self._check_open()
                step = advance(flow, None)
                while not isinstance(step, Done):
                    step = advance(flow, self._result(step, call))
                return step.result
            finally:
                flow.close()

    def _result(self, effect: Effect, call: _Call) -> EffectResult | KeyVaultError:
        """Execute an effect; an error is returned, since the flow decides about it."""
        try:
            return self._execute(effect, call)
        except KeyVaultError as error:
            return error

    def _execute(self, effect: Effect, call: _Call) -> EffectResult:
        if isinstance(effect, Send):
            return self._send(effect, call)
        if isinstance(effect, TokenRequest):
            return self._tokens.token(effect)
        if isinstance(effect, Pause):
            self._sleep(self._runtime.draw_pause(effect))
            return None
        if isinstance(effect, Now):
            return self._runtime.monotonic()
        assert_never(effect)

    def _send(self, effect: Send, call: _Call) -> Response:
        self._check_open()
        runtime = self._runtime
        start = runtime.monotonic()
        try:
            with self._connections() as http:
                response = exchange(http, effect, call.headers, runtime.timeout, runtime.monotonic)
        except KeyVaultError as error:
            call.record(effect, error, runtime.monotonic() - start)
            raise
        call.record(effect, response, runtime.monotonic() - start)
        return response


class AsyncDriver(_Closable):
    """Runs flows in the calling task; the tasks of one event loop may share a driver."""

    def __init__(
        self,
        exchange: AsyncExchange,
        tokens: AsyncTokenProvider,
        runtime: Runtime,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._exchange = exchange
        self._tokens = tokens
        self._runtime = runtime
        self._sleep = sleep

    async def run(self, flow: Flow[T], hook: ResponseHook | None = None) -> T:
        """Run a flow to its end and return its result; cancelling the task closes the flow."""
        with self._runtime.span(flow) as span:
            call = _Call(hook, span)
            try:
                self._check_open()
                step = advance(flow, None)
                while not isinstance(step, Done):
                    step = advance(flow, await self._result(step, call))
                return step.result
            finally:
                flow.close()

    async def _result(self, effect: Effect, call: _Call) -> EffectResult | KeyVaultError:
        """Execute an effect; an error is returned, since the flow decides about it."""
        try:
            return await self._execute(effect, call)
        except KeyVaultError as error:
            return error

    async def _execute(self, effect: Effect, call: _Call) -> EffectResult:
        if isinstance(effect, Send):
            return await self._send(effect, call)
        if isinstance(effect, TokenRequest):
            return await self._tokens.token(effect)
        if isinstance(effect, Pause):
            await self._sleep(self._runtime.draw_pause(effect))
            return None
        if isinstance(effect, Now):
            return self._runtime.monotonic()
        assert_never(effect)

    async def _send(self, effect: Send, call: _Call) -> Response:
        self._check_open()
        runtime = self._runtime
        start = runtime.monotonic()
        try:
            response = await self._exchange(effect, call.headers, runtime.timeout)
        except KeyVaultError as error:
            call.record(effect, error, runtime.monotonic() - start)
            raise
        call.record(effect, response, runtime.monotonic() - start)
        return response
