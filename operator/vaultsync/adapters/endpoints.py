"""What the operator serves on its one port: `/metrics`, `/healthz`, `/readyz`; measures and decides nothing."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder


@asynccontextmanager
async def serve(
    host: str, port: int, *, registry: CollectorRegistry, is_ready: Callable[[], bool]
) -> AsyncIterator[int]:
    """Serve while the context lasts; gives the port, which is a free one if 0 was asked for.

    `/healthz` answers while the event loop runs; `/readyz` says 503 until `is_ready`. Raises OSError if the
    port is taken.
    """

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ready\n") if is_ready() else web.Response(text="not ready yet\n", status=503)

    application = web.Application()
    application.add_routes([web.get("/metrics", metrics), web.get("/healthz", healthz), web.get("/readyz", readyz)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
