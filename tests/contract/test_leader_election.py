"""What the client library's own leader election does; vaultsync has its own as long as this is so."""

import asyncio

import aiohttp
import pytest
from kubernetes.aio.client import ApiException
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord
from kubernetes.aio.leaderelection.resourcelock.baselock import BaseLock


class Lock(BaseLock):  # type: ignore[misc]  # the library has no annotations
    """A lock in memory; once it was taken, the API server does not respond, and then refuses connections."""

    async def get(self, name: str, namespace: str) -> tuple[bool, object]:
        if self.is_taken:
            await self.is_refusing.wait()
            raise aiohttp.ClientConnectionError
        absent = ApiException(status=404)
        absent.body = '{"code": 404}'
        return False, absent

    async def create(self, name: str, namespace: str, election_record: LeaderElectionRecord) -> bool:
        self.is_taken = True
        return True

    is_taken = False
    is_refusing: asyncio.Event


async def leading() -> tuple["asyncio.Task[None]", "asyncio.Task[None]", asyncio.Event]:
    """Return an election, the work that it has begun, and the event that ends its next request."""
    work: list[asyncio.Task[None]] = []
    lock = Lock("lock", "team", "a")
    lock.is_refusing = asyncio.Event()

    async def lead() -> None:
        task = asyncio.current_task()
        assert task is not None
        work.append(task)
        await asyncio.Event().wait()

    config = Config(
        lock,
        lease_duration=6,
        renew_deadline=5,
        retry_period=2,
        onstarted_leading=lead,
        onstopped_leading=None,
    )
    running = asyncio.create_task(LeaderElection(config).run())
    while not work:  # noqa: ASYNC110  the library does not signal it
        await asyncio.sleep(0)
    return running, work[0], lock.is_refusing


async def test_it_goes_on_leading_when_the_api_server_refuses_connections() -> None:
    running, work, is_refusing = await leading()
    is_refusing.set()

    with pytest.raises(aiohttp.ClientConnectionError):
        await running

    assert not work.done()
    work.cancel()


async def test_it_goes_on_leading_when_it_is_cancelled() -> None:
    running, work, _ = await leading()

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert not work.done()
    work.cancel()
