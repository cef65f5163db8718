"""Both drivers execute effects, report to hook, log and span, and close a flow in any case."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from functools import partial
from typing import Any, Protocol, cast

import httpx
import pytest
from opentelemetry import baggage, context
from opentelemetry.sdk.trace import TracerProvider

from kvsecrets._drivers import AsyncDriver, Driver, ResponseHook, Runtime, wall_clock
from kvsecrets._protocol import Flow, Request, TokenRequest, get_token, now, pause, send
from kvsecrets._tokens import AsyncTokenProvider, TokenProvider
from kvsecrets._transport import exchange_async
from kvsecrets.errors import ConnectionFailed, LoginFailed
from kvsecrets.models import ResponseInfo
from kvsecrets.testing import FakeCredential
from tests.unit.kvsecrets.test_telemetry import Recorder
from tests.unit.kvsecrets.test_transport import Server

REQUEST = Request("GET", "https://shop.vault.azure.net/secrets/db")
Handler = Callable[[httpx.Request], httpx.Response]


def ok(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, headers={"x-ms-request-id": "theirs"})


class Environment:
    """The environment of a driver: responses, time, random numbers and a credential."""

    def __init__(self, handler: Handler = ok, credential: Any = None, tracer: Recorder | None = None) -> None:  # noqa: ANN401 - also invalid ones
        self.handler = handler
        self.credential = credential or FakeCredential()
        self.slept: list[float] = []
        self.runtime = Runtime("shop.vault.azure.net", 5, lambda: 42.0, lambda low, high: (low + high) / 2, tracer)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Run(Protocol):
    async def __call__(self, environment: Environment, flow: Flow[Any], hook: ResponseHook | None = None) -> Any: ...  # noqa: ANN401 - the flow's result


async def sync(environment: Environment, flow: Flow[Any], hook: ResponseHook | None = None) -> Any:  # noqa: ANN401 - the flow's result
    with httpx.Client(transport=httpx.MockTransport(environment.handler)) as http:
        tokens = TokenProvider(environment.credential, wall_clock)
        driver = Driver(lambda: nullcontext(http), tokens, environment.runtime, environment.slept.append)
        return driver.run(flow, hook)


async def asynchronous(environment: Environment, flow: Flow[Any], hook: ResponseHook | None = None) -> Any:  # noqa: ANN401 - the flow's result
    async with httpx.AsyncClient(transport=httpx.MockTransport(environment.handler)) as http:
        tokens = AsyncTokenProvider(environment.credential, wall_clock)
        driver = AsyncDriver(partial(exchange_async, http), tokens, environment.runtime, environment.sleep)
        return await driver.run(flow, hook)


both = pytest.mark.parametrize("run", [sync, asynchronous], ids=["threads", "asyncio"])


@both
async def test_every_effect_is_executed_and_its_result_sent_back(run: Run) -> None:
    def flow() -> Flow[tuple[int, str, float]]:
        response = yield from send(REQUEST)
        token = yield from get_token(TokenRequest("scope"))
        yield from pause(1, 3)
        at = yield from now()
        return response.status, token.text, at

    environment = Environment()

    assert await run(environment, flow()) == (200, "fake-token-1", 42.0)
    assert environment.slept == [2.0]


@both
async def test_every_request_has_the_headers_and_one_id_for_the_whole_call(run: Run) -> None:
    def flow() -> Flow[None]:
        yield from send(REQUEST)
        yield from send(REQUEST)

    server = Server()
    await run(Environment(server), flow())

    assert [request.headers["user-agent"] for request in server.requests] == ["kvsecrets"] * 2
    assert [request.headers["accept-encoding"] for request in server.requests] == ["identity"] * 2
    assert len({request.headers["x-ms-client-request-id"] for request in server.requests}) == 1


@both
async def test_two_calls_have_two_ids(run: Run) -> None:
    server = Server()

    await run(Environment(server), send(REQUEST))
    await run(Environment(server), send(REQUEST))

    assert len({request.headers["x-ms-client-request-id"] for request in server.requests}) == 2


def refused(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


@both
async def test_a_failed_connection_is_thrown_into_the_flow(run: Run) -> None:
    def flow() -> Flow[str]:
        try:
            yield from send(REQUEST)
        except ConnectionFailed:
            return "handled"
        return "not thrown"

    assert await run(Environment(refused), flow()) == "handled"


@both
async def test_an_unhandled_error_reaches_the_caller(run: Run) -> None:
    with pytest.raises(ConnectionFailed):
        await run(Environment(refused), send(REQUEST))


class NoToken:
    def get_token(self, *scopes: str, **options: object) -> None:
        raise OSError("unreachable")


@both
async def test_a_failed_login_is_thrown_into_the_flow(run: Run) -> None:
    with pytest.raises(LoginFailed, match="unreachable"):
        await run(Environment(credential=NoToken()), get_token(TokenRequest("scope")))


@both
async def test_a_hook_gets_each_response_of_its_call(run: Run) -> None:
    statuses = iter([503, 200])
    seen: list[ResponseInfo] = []

    def flow() -> Flow[None]:
        yield from send(REQUEST)
        yield from send(REQUEST)

    await run(
        Environment(lambda _: httpx.Response(next(statuses), headers={"x-ms-request-id": "7"})), flow(), seen.append
    )

    assert [(info.status, info.request_id) for info in seen] == [(503, "7"), (200, "7")]


@both
async def test_an_error_of_a_hook_reaches_the_caller_and_closes_the_flow(run: Run) -> None:
    closed: list[bool] = []

    def flow() -> Flow[None]:
        try:
            yield from send(REQUEST)
        finally:
            closed.append(True)

    def hook(_: ResponseInfo) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await run(Environment(), flow(), hook)
    assert closed == [True]


@both
async def test_responses_errors_and_waits_are_logged(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "kvsecrets")

    await run(Environment(), send(REQUEST))
    with pytest.raises(ConnectionFailed):
        await run(Environment(refused), send(REQUEST))
    await run(Environment(), pause(2, 2))

    messages = [record.getMessage() for record in caplog.records if record.name == "kvsecrets"]
    assert [line.partition(" in ")[0] for line in messages] == [
        "GET shop.vault.azure.net/secrets/db: 200",
        "GET shop.vault.azure.net/secrets/db: ConnectionFailed",
        "waiting 2.0 s before the next request",
    ]


@both
async def test_a_call_is_one_span_named_after_its_operation(run: Run) -> None:
    def get_secret() -> Flow[None]:
        yield from send(REQUEST)

    recorder = Recorder()
    await run(Environment(tracer=recorder), get_secret())

    assert recorder.spans["kvsecrets.get_secret"]["http.response.status_code"] == 200
    assert recorder.spans["kvsecrets.get_secret"]["az.service_request_id"] == "theirs"


@both
async def test_each_request_continues_the_trace_and_sends_no_baggage(run: Run) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    server = Server()

    attached = context.attach(baggage.set_baggage("user", "alice"))
    try:
        with provider.get_tracer("app").start_as_current_span("app") as span:
            await run(Environment(server, tracer=cast("Recorder", provider.get_tracer("kvsecrets"))), send(REQUEST))
    finally:
        context.detach(attached)

    [request] = server.requests
    assert request.headers["traceparent"].split("-")[1] == f"{span.get_span_context().trace_id:032x}"
    assert "baggage" not in request.headers


async def test_cancelling_a_task_closes_its_flow() -> None:
    closed: list[bool] = []

    def flow() -> Flow[None]:
        try:
            yield from pause(60, 60)
        finally:
            closed.append(True)

    async def forever(_: float) -> None:
        await asyncio.Event().wait()

    sleeping: Callable[[float], Awaitable[None]] = forever
    tokens = AsyncTokenProvider(FakeCredential(), wall_clock)
    async with httpx.AsyncClient() as http:
        task = asyncio.create_task(
            AsyncDriver(partial(exchange_async, http), tokens, Environment().runtime, sleeping).run(flow())
        )
        await asyncio.sleep(0)
        task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await task
    assert closed == [True]


def test_the_systems_runtime_has_a_clock_and_random_numbers() -> None:
    runtime = Runtime.system("shop.vault.azure.net", 5, None)

    assert runtime.monotonic() <= runtime.monotonic()
    assert 1 <= runtime.uniform(1, 2) <= 2
    assert wall_clock() > 1_700_000_000
