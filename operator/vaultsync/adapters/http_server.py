"""Serves `/metrics`, `/healthz` and `/readyz` on one port; measures and decides nothing."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Protocol

from aiohttp import web

from vaultsync.errors import SyncError

logger = logging.getLogger(__name__)

Render = Callable[[str], Awaitable[tuple[bytes, str]]]
"""Renders the metrics for an Accept header; returns the body and its content type."""

MAX_CONCURRENT_REVIEWS = 2
"""Scrapes whose tokens are reviewed at the same time: unauthorized requests must not load the API server."""


class TokenReviewer(Protocol):
    """Authenticates and authorizes bearer tokens."""

    async def authenticate(self, token: str) -> Mapping[str, Any] | None:
        """Return the user of a token; None if it is not valid. Raises `SyncError`."""
        ...

    async def authorize(self, user: Mapping[str, Any], path: str) -> bool:
        """Return whether that user may GET a path. Raises `SyncError`."""
        ...


@asynccontextmanager
async def serve(
    host: str,
    port: int,
    *,
    metrics: Render,
    is_alive: Callable[[], bool],
    is_ready: Callable[[], bool],
    tls: ssl.SSLContext | None = None,
    token_reviewer: TokenReviewer | None = None,
) -> AsyncIterator[int]:
    """Serve within the context; yields the port.

    Args:
        host: The address to listen on.
        port: The port to listen on; 0 for any free one.
        metrics: Renders `/metrics`.
        is_alive: `/healthz` responds with HTTP status 503 unless this returns True. No authorization is required.
        is_ready: `/readyz` responds with HTTP status 503 unless this returns True. No authorization is required.
        tls: Serves HTTPS; by default HTTP.
        token_reviewer: Authorizes the clients of `/metrics`; by default no authorization is required.

    Raises:
        OSError: The port is in use.
    """

    async def render(request: web.Request) -> web.Response:
        body, content_type = await metrics(request.headers.get("Accept", ""))
        response = web.Response(body=body, headers={"Content-Type": content_type})
        response.enable_compression()
        return response

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n") if is_alive() else web.Response(text="not alive\n", status=503)

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ready\n") if is_ready() else web.Response(text="not ready\n", status=503)

    scrape = render if token_reviewer is None else _authorized(render, token_reviewer)
    application = web.Application()
    application.add_routes([web.get("/metrics", scrape), web.get("/healthz", healthz), web.get("/readyz", readyz)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, ssl_context=tls)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


Handler = Callable[[web.Request], Awaitable[web.Response]]


def _authorized(handler: Handler, token_reviewer: TokenReviewer) -> Handler:
    reviews = asyncio.Semaphore(MAX_CONCURRENT_REVIEWS)

    async def authorize(request: web.Request) -> web.Response:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            return _error(HTTPStatus.UNAUTHORIZED, "a bearer token is required")
        try:
            async with reviews:
                user = await token_reviewer.authenticate(token)
                if user is None:
                    return _error(HTTPStatus.UNAUTHORIZED, "the token is not valid")
                if not await token_reviewer.authorize(user, request.path):
                    return _error(HTTPStatus.FORBIDDEN, f"no permission to get {request.path}")
        except SyncError as error:
            logger.warning("token review failed", extra={"detail": error.message})
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, "the token cannot be reviewed")
        return await handler(request)

    return authorize


def _error(status: HTTPStatus, message: str) -> web.Response:
    # https://www.rfc-editor.org/rfc/rfc6750#section-3
    headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}
    return web.Response(text=f"{message}\n", status=status, headers=headers)
