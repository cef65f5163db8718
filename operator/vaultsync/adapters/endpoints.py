"""What the operator serves on its one port: `/metrics`, `/healthz`, `/readyz`; measures and decides nothing."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Render = Callable[[str], Awaitable[tuple[bytes, str]]]
"""Gives the metrics for an Accept header: the text, and its content type."""


@asynccontextmanager
async def serve(host: str, port: int, *, metrics: Render, is_ready: Callable[[], bool]) -> AsyncIterator[int]:
    """Serve while the context lasts; gives the port, which is a free one if 0 was asked for.

    `/healthz` answers while the event loop runs; `/readyz` says 503 until `is_ready`. Raises OSError if the
    port is taken.
    """

    async def rendered(request: web.Request) -> web.Response:
        body, content_type = await metrics(request.headers.get("Accept", ""))
        response = web.Response(body=body, headers={"Content-Type": content_type})
        response.enable_compression()
        return response

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ready\n") if is_ready() else web.Response(text="not ready yet\n", status=503)

    application = web.Application()
    application.add_routes([web.get("/metrics", rendered), web.get("/healthz", healthz), web.get("/readyz", readyz)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
