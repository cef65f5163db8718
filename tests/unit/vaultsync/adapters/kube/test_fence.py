"""No write is sent for a namespace that this replica does not serve, whatever delays it on its way."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import Configuration

from tests.clocks import Clock
from tests.unit.vaultsync.adapters.kube.scripted import connected, document, hanging_up, silence
from vaultsync.adapters.kube.connection import Connection
from vaultsync.adapters.kube.fence import KERNEL_TIMEOUT, FencedRequest, fenced
from vaultsync.adapters.kube.requests import Request
from vaultsync.errors import NotServed, SyncError
from vaultsync.policy.leases import LEASE_DURATION, RENEW_DEADLINE
from vaultsync.state.shards import Shards

SECRET = "/api/v1/namespaces/shop/secrets/db"
READ = Request("GET", SECRET, about="Secret shop/db")
WRITE = Request("PATCH", SECRET, about="Secret shop/db", body={"data": {}})
WRITES = [
    WRITE,
    Request("DELETE", SECRET, about="Secret shop/db"),
    Request("POST", "/api/v1/namespaces/shop/events", about="Event", body={}),
    Request("PATCH", "/apis/apps/v1/namespaces/shop/deployments/web", about="Deployment shop/web", body={}),
    Request("PATCH", "/apis/vaultsync.dev/v1alpha1/namespaces/shop/vaultsecrets/db/status", about="Status", body={}),
    Request("PATCH", "/apis/vaultsync.dev/v1alpha1/vaultgrants/shop/status", about="Status of VaultGrant", body={}),
]


def held(seconds: float = 8.0) -> tuple[Shards, Clock]:
    clock = Clock()
    shards = Shards(clock=clock.seconds)
    shards.hold(0, until=clock.seconds() + seconds)
    return shards, clock


async def settled() -> None:
    """Let whatever was scheduled run."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("request_", WRITES, ids=lambda one: f"{one.method} {one.path}")
async def test_a_standby_writes_nothing(request_: Request) -> None:
    async with connected(shards=Shards(clock=Clock().seconds)) as (connection, script):
        with pytest.raises(NotServed, match="does not serve its namespace: nothing is written"):
            await connection.send(request_)

    assert script.sent == []


@pytest.mark.parametrize("request_", [READ, Request("POST", "/apis/x/v1/reviews", about="review", fenced=False)])
async def test_a_standby_reads_and_asks_for_reviews(request_: Request) -> None:
    async with connected(document(200, {"kind": "x"}), shards=Shards(clock=Clock().seconds)) as (connection, _):
        assert await connection.send(request_) == {"kind": "x"}


@pytest.mark.parametrize(("request_", "counts"), [(WRITE, True), (READ, False)])
async def test_a_write_counts_until_its_response_is_known(request_: Request, counts: bool) -> None:
    shards, _ = held()

    async with fenced(request_, shards):
        assert shards.is_written(0) is counts

    assert not shards.is_written(0)


async def test_a_replica_writes_for_the_namespaces_of_its_shards() -> None:
    shards, clock = Shards(3, clock=lambda: 0.0), Clock()
    shards.hold(shards.shard_of("shop"), until=clock.seconds())
    billing = Request("PATCH", "/api/v1/namespaces/billing/secrets/db", about="Secret billing/db", body={})

    async with connected(document(200, {}), shards=shards) as (connection, script):
        await connection.send(WRITE)
        with pytest.raises(NotServed, match="Secret billing/db"):
            await connection.send(billing)

    assert [one.path for one in script.sent] == [SECRET]


@pytest.mark.parametrize(
    ("path", "namespace"),
    [
        (SECRET, "shop"),
        ("/apis/apps/v1/namespaces/shop/deployments/namespaces", "shop"),
        ("/api/v1/namespaces", None),
        ("/api/v1/namespaces/shop", None),
        ("/apis/vaultsync.dev/v1alpha1/vaultgrants/namespaces/status", None),
        ("/apis/vaultsync.dev/v1alpha1/namespaces/namespaces/vaultsecrets/db/status", "namespaces"),
    ],
)
def test_the_namespace_of_a_request_is_that_of_its_path(path: str, namespace: str | None) -> None:
    assert Request("PATCH", path, about="x").namespace == namespace


@pytest.mark.parametrize("request_", WRITES[:2], ids=["with a body", "without a body"])
@pytest.mark.parametrize("looks", range(12))
async def test_a_freeze_between_any_two_steps_lets_no_byte_out(request_: Request, looks: int) -> None:
    # The process is stopped at each place where the clock is read: from then on the deadline has passed.
    seen = 0

    def clock() -> float:
        nonlocal seen
        seen += 1
        return 0.0 if seen <= looks else 100.0

    shards = Shards(clock=clock)
    shards.hold(0, until=8.0)
    outgoing = bytearray()
    async with connected(document(200, {}), shards=shards) as (connection, script), recorded(outgoing):
        with suppress(NotServed):
            await connection.send(request_)

    assert bool(script.sent) == bool(outgoing)
    if outgoing:
        # Enough looks: one of them was the last before the bytes.
        assert looks >= (4 if request_.body is not None else 3)


@asynccontextmanager
async def recorded(outgoing: bytearray) -> AsyncIterator[None]:
    """Record the bytes that requests hand to a transport."""
    writes = FencedRequest.send

    async def send(self: FencedRequest, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        assert conn.transport is not None
        conn.transport.write = _recording(outgoing, conn.transport.write)  # type: ignore[method-assign]
        return await writes(self, conn)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FencedRequest, "send", send)
        yield


def _recording(outgoing: bytearray, write: Callable[..., None]) -> Callable[..., None]:
    def both(data: bytes) -> None:
        outgoing.extend(data)
        write(data)

    return both


async def test_a_write_that_has_waited_for_its_turn_too_long_is_not_sent() -> None:
    shards, clock = held()
    gate = asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        await gate.wait()
        return web.json_response({})

    async with connected(slow, shards=shards, connections=1) as (connection, script), asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(connection.send(READ))
        await script.arrivals(1)
        writing = tasks.create_task(failure_of(connection, WRITE))
        await settled()
        clock.turn(8)
        gate.set()

    assert isinstance(writing.result(), NotServed)
    assert reading.result() == {}
    assert [one.method for one in script.sent] == ["GET"]


async def failure_of(connection: Connection, request: Request) -> SyncError:
    with pytest.raises(SyncError) as caught:
        await connection.send(request)
    return caught.value


async def test_a_write_whose_connection_took_too_long_is_not_sent() -> None:
    shards, clock = held()
    received: list[str] = []
    async with slow_tls(received) as (configuration, has_connected, gate):
        connection = Connection(configuration, user_agent="vaultsync/1", connections=1, shards=shards)
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(failure_of(connection, WRITE))
            await has_connected.wait()
            clock.turn(8)
            gate.set()
        await connection.close()

    assert isinstance(writing.result(), NotServed)
    assert received == []


async def test_a_write_is_not_repeated_after_the_deadline() -> None:
    shards, clock = held()

    async def closing(request: web.Request) -> web.StreamResponse:
        clock.turn(8)
        return await hanging_up(request)

    async with connected(closing, document(200, {}), shards=shards) as (connection, script):
        assert isinstance(await failure_of(connection, WRITE), NotServed)
        assert len(script.sent) == 1


async def test_a_running_write_is_cut_off_at_the_deadline() -> None:
    shards, clock = held(0.05)
    async with connected(silence, shards=shards) as (connection, script), asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(failure_of(connection, WRITE))
        await script.arrivals(1)
        clock.turn(8)

    assert isinstance(writing.result(), NotServed)
    assert "the write was cut off, and may have been stored" in writing.result().message


async def test_a_write_runs_on_while_the_lease_is_renewed() -> None:
    shards, clock = held(0.05)
    gate = asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        await gate.wait()
        return web.json_response({})

    async with connected(slow, shards=shards) as (connection, script), asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(connection.send(WRITE))
        await script.arrivals(1)
        shards.renew(0, until=clock.seconds() + 8)
        await asyncio.sleep(0.1)
        clock.turn(7)
        gate.set()

    assert writing.result() == {}


async def test_a_timeout_of_the_api_server_is_none_of_the_fence() -> None:
    shards, _ = held()
    async with connected(silence, shards=shards, patience=0.05) as (connection, _):
        error = await failure_of(connection, WRITE)

    assert not isinstance(error, NotServed)
    assert "did not respond in time" in error.message


async def test_a_write_that_is_cancelled_on_its_way_counts_until_it_has_arrived_or_never_will() -> None:
    shards, clock = held()
    async with connected(silence, shards=shards) as (connection, script):
        writing = asyncio.create_task(connection.send(WRITE))
        await script.arrivals(1)
        writing.cancel()
        await asyncio.wait({writing})

    assert shards.is_written(0)
    clock.turn(KERNEL_TIMEOUT)
    assert not shards.is_written(0)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux limits it")
async def test_the_kernel_drops_what_it_could_not_send_before_the_lease_runs_out() -> None:
    options: list[int] = []
    send = FencedRequest.send

    async def looking(self: FencedRequest, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        response = await send(self, conn)
        assert conn.transport is not None
        sock = conn.transport.get_extra_info("socket")
        options.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
        return response

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FencedRequest, "send", looking)
        async with connected(document(200, {}), shards=held()[0]) as (connection, _):
            await connection.send(WRITE)

    assert options == [KERNEL_TIMEOUT * 1000]
    assert RENEW_DEADLINE + KERNEL_TIMEOUT < LEASE_DURATION


@asynccontextmanager
async def slow_tls(received: list[str]) -> AsyncIterator[tuple[Configuration, asyncio.Event, asyncio.Event]]:
    """Serve HTTPS whose handshake waits until an event is set; the other is set when a client connects."""
    authority, has_connected, gate = trustme.CA(), asyncio.Event(), asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        received.append(request.method)
        return web.json_response({})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        has_connected.set()
        await gate.wait()
        behind = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(_pump(reader, behind[1]), _pump(behind[0], writer))

    server = TestServer(app, scheme="https", shutdown_timeout=0)
    await server.start_server(ssl=tls)
    front = await asyncio.start_server(forward, "127.0.0.1", 0)
    configuration = Configuration(host=f"https://127.0.0.1:{front.sockets[0].getsockname()[1]}")
    configuration.ca_cert_data = authority.cert_pem.bytes().decode()
    try:
        yield configuration, has_connected, gate
    finally:
        front.close()
        await server.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
