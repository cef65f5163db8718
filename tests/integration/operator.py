"""The operator within this process, in a thread and an event loop of its own: started and stopped, and nothing else."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from vaultsync import app
from vaultsync.settings import Settings

FAREWELL: Final = 0.25
"""Seconds that closed TLS connections take to be gone: https://docs.aiohttp.org/en/stable/client_advanced.html#graceful-shutdown"""


@contextmanager
def running(environ: Mapping[str, str]) -> Iterator[None]:
    """Run the operator with these variables while the block lasts, then stop it; raises what ended it before."""
    stop = asyncio.Event()
    failures: list[BaseException] = []
    with asyncio.Runner() as runner:
        loop = runner.get_loop()

        def run() -> None:
            try:
                runner.run(_live(environ, stop))
            except BaseException as error:  # noqa: BLE001  it is raised again where the test sees it
                failures.append(error)

        thread = threading.Thread(target=run, name="operator")
        thread.start()
        try:
            yield
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()
    if failures:
        raise failures[0]


async def _live(environ: Mapping[str, str], stop: asyncio.Event) -> None:
    await app.run(Settings.from_env(environ), environ, stop=stop)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert left == set(), "an operator that has ended leaves no task behind"
    await asyncio.sleep(FAREWELL)
