"""Certificate workers for tests, which are ended after them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from vaultsync.adapters.certificates.workers import CertificateWorkers, Limits


@asynccontextmanager
async def running_workers(limits: Limits | None = None) -> AsyncIterator[CertificateWorkers]:
    """Workers within these limits; none of them runs afterwards."""
    workers = CertificateWorkers(limits)
    try:
        yield workers
    finally:
        await workers.aclose()
    assert workers.processes == frozenset()


async def until(condition: Callable[[], object]) -> None:
    """Return as soon as a condition is true."""
    while not condition():  # noqa: ASYNC110  processes do not signal it
        await asyncio.sleep(0)


async def until_started(workers: CertificateWorkers) -> int:
    """Return the process of the first worker, once it is started."""
    await until(lambda: workers.processes)
    (process,) = workers.processes
    return process
