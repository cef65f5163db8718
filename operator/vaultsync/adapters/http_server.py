"""What the operator serves on its one port: `/metrics`, `/healthz`, `/readyz`; measures and decides nothing."""

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
"""Gives the metrics for an Accept header: the text, and its content type."""

QUESTIONS_AT_ONCE = 2
"""For so many scrapes at once the gatekeeper is asked: whoever knocks often must not keep others from the cluster."""


class TokenReviewer(Protocol):
    """Who knows people and their rights."""

    async def user_of(self, token: str) -> Mapping[str, Any] | None:
        """Say whose token it is; None if it is nobody's. Raises `SyncError`."""
        ...

    async def authorize(self, user: Mapping[str, Any], path: str) -> bool:
        """Say whether that user may GET a path. Raises `SyncError`."""
        ...


@asynccontextmanager
async def serve(
    host: str,
    port: int,
    *,
    metrics: Render,
    is_ready: Callable[[], bool],
    tls: ssl.SSLContext | None = None,
    token_reviewer: TokenReviewer | None = None,
) -> AsyncIterator[int]:
    """Serve while the context lasts; gives the port, which is a free one if 0 was asked for.

    `/healthz` answers while the event loop runs; `/readyz` says 503 until `is_ready`; both answer everybody. `/metrics`
    is for those whom the gatekeeper lets in, if there is one. Raises OSError if the port is taken.
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

    scrape = rendered if token_reviewer is None else _guarded(rendered, token_reviewer)
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


def _guarded(handler: Handler, token_reviewer: TokenReviewer) -> Handler:
    turn = asyncio.Semaphore(QUESTIONS_AT_ONCE)

    async def let_in(request: web.Request) -> web.Response:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            return _refusal(HTTPStatus.UNAUTHORIZED, "show a bearer token")
        try:
            async with turn:
                user = await token_reviewer.user_of(token)
                if user is None:
                    return _refusal(HTTPStatus.UNAUTHORIZED, "nobody has that token")
                if not await token_reviewer.authorize(user, request.path):
                    return _refusal(HTTPStatus.FORBIDDEN, f"no right to get {request.path}")
        except SyncError as error:
            logger.warning("cannot tell who may scrape", extra={"detail": error.message})
            return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "cannot tell who may scrape")
        return await handler(request)

    return let_in


def _refusal(status: HTTPStatus, why: str) -> web.Response:
    # https://www.rfc-editor.org/rfc/rfc6750#section-3
    headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}
    return web.Response(text=f"{why}\n", status=status, headers=headers)
