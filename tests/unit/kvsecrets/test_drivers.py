"""Both drivers do what flows ask for, tell hook, log and span about it, and end a flow whatever happens."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any, Protocol

import httpx
import pytest

from kvsecrets._drivers import AsyncDriver, Driver, ResponseHook, Surroundings, wall_clock
from kvsecrets._flow import Flow, Login, login, now, pause, send
from kvsecrets._logins import AsyncLogins, Logins
from kvsecrets._wire import Request
from kvsecrets.errors import ConnectionFailed, LoginFailed
from kvsecrets.models import ResponseInfo
from kvsecrets.testing import FakeCredential
from tests.unit.kvsecrets.test_exchange import Server
from tests.unit.kvsecrets.test_tracing import Recorder

REQUEST = Request("GET", "https://shop.vault.azure.net/secrets/db")
Handler = Callable[[httpx.Request], httpx.Response]


def fine(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, headers={"x-ms-request-id": "theirs"})


class World:
    """What is around a driver, chosen by the test: answers, time, chance, and a credential."""

    def __init__(self, handler: Handler = fine, credential: Any = None, tracer: Recorder | None = None) -> None:  # noqa: ANN401 - also what is none
        self.handler = handler
        self.credential = credential or FakeCredential()
        self.slept: list[float] = []
        self.around = Surroundings(
            "shop.vault.azure.net", 5, lambda: 42.0, lambda least, most: (least + most) / 2, tracer
        )

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Run(Protocol):
    async def __call__(self, world: World, flow: Flow[Any], hook: ResponseHook | None = None) -> Any: ...  # noqa: ANN401 - the flow's result


async def sync(world: World, flow: Flow[Any], hook: ResponseHook | None = None) -> Any:  # noqa: ANN401 - the flow's result
    with httpx.Client(transport=httpx.MockTransport(world.handler)) as http:
        logins = Logins(world.credential, wall_clock)
        driver = Driver(lambda: nullcontext(http), logins, world.around, world.slept.append)
        return driver.run(flow, hook)


async def asynchronous(world: World, flow: Flow[Any], hook: ResponseHook | None = None) -> Any:  # noqa: ANN401 - the flow's result
    async with httpx.AsyncClient(transport=httpx.MockTransport(world.handler)) as http:
        logins = AsyncLogins(world.credential, wall_clock)
        driver = AsyncDriver(lambda: nullcontext(http), logins, world.around, world.sleep)
        return await driver.run(flow, hook)


both = pytest.mark.parametrize("run", [sync, asynchronous], ids=["threads", "asyncio"])


@both
async def test_every_effect_is_done_and_its_outcome_sent_back(run: Run) -> None:
    def flow() -> Flow[tuple[int, str, float]]:
        response = yield from send(REQUEST)
        token = yield from login(Login("scope"))
        yield from pause(1, 3)
        at = yield from now()
        return response.status, token.text, at

    world = World()

    assert await run(world, flow()) == (200, "fake-token-1", 42.0)
    assert world.slept == [2.0]


@both
async def test_every_request_carries_who_we_are_and_one_id_for_the_whole_call(run: Run) -> None:
    def flow() -> Flow[None]:
        yield from send(REQUEST)
        yield from send(REQUEST)

    server = Server()
    await run(World(server), flow())

    assert [request.headers["user-agent"] for request in server.seen] == ["kvsecrets"] * 2
    assert [request.headers["accept-encoding"] for request in server.seen] == ["identity"] * 2
    assert len({request.headers["x-ms-client-request-id"] for request in server.seen}) == 1


@both
async def test_two_calls_have_two_ids(run: Run) -> None:
    server = Server()

    await run(World(server), send(REQUEST))
    await run(World(server), send(REQUEST))

    assert len({request.headers["x-ms-client-request-id"] for request in server.seen}) == 2


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

    assert await run(World(refused), flow()) == "handled"


@both
async def test_what_a_flow_does_not_handle_reaches_the_caller(run: Run) -> None:
    with pytest.raises(ConnectionFailed):
        await run(World(refused), send(REQUEST))


class NoToken:
    def get_token(self, *scopes: str, **options: object) -> None:
        raise OSError("away")


@both
async def test_a_failed_login_is_thrown_into_the_flow(run: Run) -> None:
    with pytest.raises(LoginFailed, match="away"):
        await run(World(credential=NoToken()), login(Login("scope")))


@both
async def test_a_hook_sees_each_answer_of_its_call(run: Run) -> None:
    statuses = iter([503, 200])
    seen: list[ResponseInfo] = []

    def flow() -> Flow[None]:
        yield from send(REQUEST)
        yield from send(REQUEST)

    await run(World(lambda _: httpx.Response(next(statuses), headers={"x-ms-request-id": "7"})), flow(), seen.append)

    assert [(info.status, info.request_id) for info in seen] == [(503, "7"), (200, "7")]


@both
async def test_what_a_hook_raises_reaches_the_caller_and_ends_the_flow(run: Run) -> None:
    ended: list[bool] = []

    def flow() -> Flow[None]:
        try:
            yield from send(REQUEST)
        finally:
            ended.append(True)

    def hook(_: ResponseInfo) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await run(World(), flow(), hook)
    assert ended == [True]


@both
async def test_answers_and_failures_are_logged(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "kvsecrets")

    await run(World(), send(REQUEST))
    with pytest.raises(ConnectionFailed):
        await run(World(refused), send(REQUEST))
    await run(World(), pause(2, 2))

    told = [record.getMessage() for record in caplog.records if record.name == "kvsecrets"]
    assert [line.partition(" in ")[0] for line in told] == [
        "GET shop.vault.azure.net/secrets/db: 200",
        "GET shop.vault.azure.net/secrets/db: ConnectionFailed",
        "waiting 2.0 s before the next request",
    ]


@both
async def test_a_call_is_one_span_named_after_its_operation(run: Run) -> None:
    def get_secret() -> Flow[None]:
        yield from send(REQUEST)

    recorder = Recorder()
    await run(World(tracer=recorder), get_secret())

    assert recorder.spans["kvsecrets.get_secret"]["http.response.status_code"] == 200
    assert recorder.spans["kvsecrets.get_secret"]["az.service_request_id"] == "theirs"


async def test_cancelling_a_task_ends_its_flow() -> None:
    ended: list[bool] = []

    def flow() -> Flow[None]:
        try:
            yield from pause(60, 60)
        finally:
            ended.append(True)

    async def forever(_: float) -> None:
        await asyncio.Event().wait()

    sleeping: Callable[[float], Awaitable[None]] = forever
    logins = AsyncLogins(FakeCredential(), wall_clock)
    async with httpx.AsyncClient() as http:
        task = asyncio.create_task(AsyncDriver(lambda: nullcontext(http), logins, World().around, sleeping).run(flow()))
        await asyncio.sleep(0)
        task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await task
    assert ended == [True]


def test_the_surroundings_of_this_machine_have_a_clock_and_chance() -> None:
    around = Surroundings.real("shop.vault.azure.net", 5)

    assert around.monotonic() <= around.monotonic()
    assert 1 <= around.uniform(1, 2) <= 2
    assert wall_clock() > 1_700_000_000
