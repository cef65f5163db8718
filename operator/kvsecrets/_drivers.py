"""Runs flows for threads and for asyncio: executes each effect that a flow yields, and sends its result back.

Clocks, random numbers, connections and tokens are used here only. Every rule about requests and responses is in the
flows.
"""

import asyncio
import random
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Self, TypeAlias, TypeVar, assert_never

from kvsecrets import _validation
from kvsecrets._exchange import AsyncExchange
from kvsecrets._limits import Cancellation, Limits
from kvsecrets._protocol import (
    Done,
    Effect,
    EffectResult,
    Flow,
    Now,
    Pause,
    Response,
    Send,
    Token,
    TokenRequest,
    advance,
)
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
from kvsecrets._version import __version__
from kvsecrets.errors import KeyVaultError
from kvsecrets.models import ResponseInfo

T = TypeVar("T")
TIMEOUT = 30.0
"""Default timeout of one attempt, in seconds."""
HEADERS = {"accept": "application/json", "accept-encoding": "identity"}
"""Sent with each request. Responses are small, and the size of a compressed secret reveals something about its text."""
ResponseHook: TypeAlias = Callable[[ResponseInfo], None]
"""Called with each response of a call, including challenges and responses that are retried."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """The user agent, clock, random numbers, timeout and tracer of a client; tests pass their own."""

    host: str
    timeout: float
    monotonic: Callable[[], float]
    uniform: Callable[[float, float], float]
    tracer: Tracer | None = None
    user_agent: str = "kvsecrets"

    @classmethod
    def system(cls, host: str, timeout: float, application_id: str | None) -> Self:
        """Return those of the system."""
        seconds, agent = _validation.timeout(timeout), user_agent(application_id)
        return cls(host, seconds, time.monotonic, random.uniform, find_tracer(), agent)

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


def user_agent(application_id: str | None) -> str:
    """Return the user agent, which the logs of a vault have: application, library, Python and system.

    https://learn.microsoft.com/azure/key-vault/general/logging#interpret-your-key-vault-logs
    """
    python = ".".join(map(str, sys.version_info[:3]))
    own = f"kvsecrets/{__version__} Python/{python} ({sys.platform})"
    return own if application_id is None else f"{_validation.application_id(application_id)} {own}"


def _check_asyncio() -> None:
    """Say what other event loops, such as trio's, need instead: timeouts, logins and connections are asyncio's."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        failed = RuntimeError(
            "AsyncSecretClient needs a running event loop of asyncio; under trio, use SecretClient in threads: "
            "await trio.to_thread.run_sync(client.get_secret, name)"
        )
    else:
        return
    raise failed


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
    """One run of a flow: its request id, its hook, its span and its limits."""

    __slots__ = ("headers", "hook", "limits", "span")

    def __init__(self, agent: str, hook: ResponseHook | None, span: Span | None, limits: Limits) -> None:
        trace = {} if span is None else trace_headers()
        self.headers = {**HEADERS, "user-agent": agent, **trace, "x-ms-client-request-id": str(uuid.uuid4())}
        self.hook = hook
        self.limits = limits
        self.span = span

    def record(self, effect: Send, outcome: Response | KeyVaultError, seconds: float) -> None:
        """Pass the outcome of a request to the log and, while its caller waits, to span, limits and hook."""
        request_id = self.headers["x-ms-client-request-id"]
        log_exchange(effect.request, request_id, outcome, seconds)
        if self.limits.is_abandoned:
            return
        if self.span is not None:
            record_exchange(self.span, effect.request, request_id, outcome)
        self.limits.note(outcome)
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

    def run(
        self,
        flow: Flow[T],
        hook: ResponseHook | None = None,
        timeout: float | None = None,
        cancel: Cancellation | None = None,
    ) -> T:
        """Run a flow to its end and return its result.

        A limited one runs in a thread of its own: neither a credential nor the system's resolver can be interrupted,
        so at its end the caller leaves them behind. They end by themselves, and their results are dropped.
        """
        limits = Limits(timeout, cancel, self._runtime.monotonic)
        with self._runtime.span(flow) as span:
            call = _Call(self._runtime.user_agent, hook, span, limits)
            return self._run_limited(flow, call) if limits.are_set else self._run(flow, call)

    def _run(self, flow: Flow[T], call: _Call) -> T:
        try:
            self._check_open()
            step = advance(flow, None)
            while not isinstance(step, Done):
                step = advance(flow, self._result(step, call))
            return step.result
        finally:
            flow.close()

    def _run_limited(self, flow: Flow[T], call: _Call) -> T:
        # A signal handler may cancel: unlike those of an Event and a Future, this queue's method may interrupt itself.
        limits, ended, outcome = call.limits, SimpleQueue[None](), Future[T]()

        def work() -> None:
            try:
                outcome.set_result(self._run(flow, call))
            except BaseException as error:  # noqa: BLE001 - it is raised in the thread of the caller
                outcome.set_exception(error)
            ended.put(None)

        # The context has the current span, whose children are those of a credential.
        threading.Thread(target=copy_context().run, args=(work,), name="kvsecrets-call", daemon=True).start()
        try:
            notifying = nullcontext() if limits.cancel is None else limits.cancel.notifying(partial(ended.put, None))
            with notifying, suppress(Empty):
                ended.get(timeout=limits.timeout)
        finally:
            limits.is_abandoned = not outcome.done()
        if limits.is_abandoned:
            raise limits.ended()
        return outcome.result()

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
            return self._token(effect, call.limits)
        if isinstance(effect, Pause):
            seconds = self._runtime.draw_pause(effect)
            call.limits.check_pause(seconds)
            self._sleep(seconds)
            return None
        if isinstance(effect, Now):
            return self._runtime.monotonic()
        assert_never(effect)

    def _token(self, effect: TokenRequest, limits: Limits) -> Token:
        try:
            return self._tokens.token(effect, limits.left())
        except TimeoutError:
            ended = limits.ended()
        raise ended

    def _send(self, effect: Send, call: _Call) -> Response:
        self._check_open()
        runtime, limits = self._runtime, call.limits
        start = runtime.monotonic()
        try:
            with self._connections() as http:
                # After the wait for a connection: a call that has ended meanwhile sends nothing.
                response = exchange(http, effect, call.headers, limits.attempt(runtime.timeout), limits.clock)
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

    async def run(
        self,
        flow: Flow[T],
        hook: ResponseHook | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as in the form for threads
        cancel: Cancellation | None = None,
    ) -> T:
        """Run a flow to its end and return its result; cancelling the task closes the flow.

        Raises:
            RuntimeError: No event loop of asyncio runs.
        """
        _check_asyncio()
        limits = Limits(timeout, cancel, self._runtime.monotonic)
        with self._runtime.span(flow) as span:
            call = _Call(self._runtime.user_agent, hook, span, limits)
            return await (self._run_limited(flow, call) if limits.are_set else self._run(flow, call))

    async def _run(self, flow: Flow[T], call: _Call) -> T:
        try:
            self._check_open()
            step = advance(flow, None)
            while not isinstance(step, Done):
                step = advance(flow, await self._result(step, call))
            return step.result
        finally:
            flow.close()

    async def _run_limited(self, flow: Flow[T], call: _Call) -> T:
        loop, limits = asyncio.get_running_loop(), call.limits
        scope = asyncio.timeout(limits.timeout)

        def expire() -> None:
            with suppress(RuntimeError):  # the call has ended in the meantime
                scope.reschedule(loop.time())

        def notify() -> None:
            with suppress(RuntimeError):  # the loop was closed in the meantime
                loop.call_soon_threadsafe(expire)

        cancel = limits.cancel
        try:
            async with scope:
                with nullcontext() if cancel is None else cancel.notifying(notify):
                    return await self._run(flow, call)
        except TimeoutError:
            if not scope.expired():
                raise
        raise limits.ended()

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
            seconds = self._runtime.draw_pause(effect)
            call.limits.check_pause(seconds)
            await self._sleep(seconds)
            return None
        if isinstance(effect, Now):
            return self._runtime.monotonic()
        assert_never(effect)

    async def _send(self, effect: Send, call: _Call) -> Response:
        self._check_open()
        runtime = self._runtime
        timeout, start = call.limits.attempt(runtime.timeout), runtime.monotonic()
        try:
            response = await self._exchange(effect, call.headers, timeout)
        except KeyVaultError as error:
            call.record(effect, error, runtime.monotonic() - start)
            raise
        call.record(effect, response, runtime.monotonic() - start)
        return response
