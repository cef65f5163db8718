"""Crowds inside the operator: who waits for one of its own connections does not see a failure of what is called."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from kvsecrets._protocol import Request as HttpRequest
from kvsecrets._protocol import Response as HttpResponse
from tests.builders import START, an_access, revealed
from tests.clocks import Clock, frozen, skip
from tests.fakes import FakeCredentials
from tests.unit.vaultsync.adapters.keyvault.served import ServedVault, served
from tests.unit.vaultsync.adapters.kube.scripted import connected
from vaultsync.adapters.keyvault import Budget, VaultClients
from vaultsync.adapters.keyvault.clients import MAX_CALLS, TIMEOUT
from vaultsync.adapters.keyvault.rate_limit import FAILURE_THRESHOLD
from vaultsync.adapters.kube.requests import Request
from vaultsync.errors import Reason, SyncError
from vaultsync.state.secrets import SecretRef
from vaultsync.trust import client_tls

WAVES = 3
"""In the third, reads have waited for longer than a read may last."""

API_CONNECTIONS = 4


@pytest.fixture
async def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ServedVault]:
    """A vault on a port, which answers when the test says so."""
    async with served(1, tmp_path, monkeypatch) as (vault,):
        yield vault


@pytest.fixture
async def clients() -> AsyncIterator[VaultClients]:
    """Clients whose connections are those of the operator."""
    clock = Clock()
    clients = VaultClients(
        FakeCredentials(),
        tls=client_tls(),
        budget=Budget(),
        count_call=lambda *_: None,
        now=clock,
        clock=clock.seconds,
    )
    yield clients
    await clients.aclose()


async def test_a_tenant_with_more_reads_than_connections_does_not_have_a_slow_vault_taken_for_a_dead_one(
    vault: ServedVault, clients: VaultClients
) -> None:
    """A tenant reads so many secrets of a slow vault at once that others wait longer than a read may last."""
    vault.resumed.clear()
    with frozen():
        names = [f"secret-{number}" for number in range(WAVES * MAX_CALLS)]
        for name in names:
            vault.vault.set(name, "s3cret")
        reads = [asyncio.create_task(clients.get(an_access(vault.url), SecretRef(name))) for name in names]
        for wave in range(1, WAVES + 1):
            while len(vault.transports) < wave * MAX_CALLS:  # noqa: ASYNC110  the server signals nothing
                await asyncio.sleep(0)
            await skip(TIMEOUT * 0.6)
            vault.resumed.set()
            vault.resumed.clear()
        vault.resumed.set()

        assert {revealed(await read) for read in reads} == {"s3cret"}
    limiter = clients.rate_limiter(an_access(vault.url))
    assert limiter is not None
    assert not limiter.is_open


async def test_a_tenant_with_1000_reads_has_another_wait_only_for_those_that_run(
    vault: ServedVault, clients: VaultClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenant reads a thousand secrets at once, before another one reads a single secret of the same vault."""
    access, respond, arrived = an_access(vault.url), vault.vault.respond, []

    def recorded(request: HttpRequest) -> HttpResponse:
        arrived.append("db-password" in request.url)
        return respond(request)

    monkeypatch.setattr(vault.vault, "respond", recorded)
    vault.resumed.clear()
    names = [f"secret-{number}" for number in range(1000)]
    for name in names:
        vault.vault.set(name, "s3cret")
    with frozen():
        reads = [asyncio.create_task(clients.get(access, SecretRef(name), namespace="attacker")) for name in names]
        while len(vault.transports) < MAX_CALLS:  # noqa: ASYNC110  the server signals nothing
            await asyncio.sleep(0)
        reads.append(asyncio.create_task(clients.get(access, SecretRef("db-password"), namespace="victim")))
        await asyncio.sleep(0)
        vault.resumed.set()
        await asyncio.gather(*reads)

    # Those that run, each with a challenge first, and those whose turns were before.
    assert arrived.index(True) <= 3 * MAX_CALLS


async def test_a_tenant_who_takes_all_connections_of_the_system_does_not_open_the_circuit_breaker() -> None:
    """A tenant has the operator open so many connections that the system gives it no more for another's vault."""

    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no file") from OSError(24, "Too many open files")

    clock = Clock(START)
    async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as http:
        clients = VaultClients(
            FakeCredentials(),
            http=http,
            budget=Budget(),
            count_call=lambda *_: None,
            now=clock,
            clock=clock.seconds,
        )
        reasons = set()
        for _ in range(FAILURE_THRESHOLD + 1):
            with pytest.raises(SyncError) as caught:
                await clients.get(an_access(), SecretRef("db-password"))
            reasons.add(caught.value.reason)
        limiter = clients.rate_limiter(an_access())
        await clients.aclose()

    assert reasons == {Reason.WAITING}
    assert limiter is not None
    assert not limiter.is_open


async def test_a_tenant_with_more_writes_than_connections_does_not_have_the_api_server_taken_for_a_dead_one() -> None:
    """A tenant causes so many requests that others wait for a connection longer than a request may last."""
    patience, arrived, release = 60.0, asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def slow(_: web.Request) -> web.StreamResponse:
        arrived.release()
        await release.acquire()
        return web.json_response({})

    count = WAVES * API_CONNECTIONS
    async with connected(*[slow] * count, patience=patience) as (connection, _):
        with frozen():
            request = Request("GET", "/api/v1/namespaces/shop/secrets/db", about="Secret shop/db")
            sent = [asyncio.create_task(connection.send(request)) for _ in range(count)]
            for _ in range(WAVES):
                for _ in range(API_CONNECTIONS):
                    await arrived.acquire()
                await skip(patience * 0.6)
                for _ in range(API_CONNECTIONS):
                    release.release()

            assert [await one for one in sent] == [{}] * count
