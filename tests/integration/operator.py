"""The operator within this process, in its own thread and event loop: started and stopped, and nothing else."""

import asyncio
import selectors
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from vaultsync import manager
from vaultsync.settings import Settings

TLS_CLOSE: Final = 300.0
"""Seconds that the API server may take to close TLS; kopf's connections wait for it when they are closed."""


@contextmanager
def running(environ: Mapping[str, str]) -> Iterator[None]:
    """Run the operator with these variables while the block lasts, then stop it; raises what ended it before."""
    stop = asyncio.Event()
    selector = selectors.DefaultSelector()
    failures: list[BaseException] = []
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        loop = runner.get_loop()

        def run() -> None:
            try:
                runner.run(_run(environ, stop, selector))
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


async def _run(environ: Mapping[str, str], stop: asyncio.Event, selector: selectors.BaseSelector) -> None:
    ours = len(selector.get_map())
    await manager.run(Settings.from_env(environ), environ, stop=stop)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert left == set(), "an operator that has ended leaves no task behind"
    async with asyncio.timeout(TLS_CLOSE):
        while len(selector.get_map()) > ours:  # noqa: ASYNC110 - nothing reports the end of a closed connection
            await asyncio.sleep(0.01)
