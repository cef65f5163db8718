"""Serves `/metrics` on one port, and `/healthz` and `/readyz` on another; measures and decides nothing.

The probes have a port of their own, without TLS or authorization: whatever happens to the port of metrics, a kubelet
learns whether the operator works, and nobody can have it restarted by filling that port.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import Any, Protocol

from aiohttp import web

from vaultsync.adapters.http_server.bounded import Handler, serve
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


def serve_metrics(
    host: str,
    port: int,
    render: Render,
    *,
    tls: ssl.SSLContext | None = None,
    token_reviewer: TokenReviewer | None = None,
) -> AbstractAsyncContextManager[int]:
    """Serve `/metrics` within the context; yields the port.

    Args:
        host: The address to listen on.
        port: The port to listen on; 0 for any free one.
        render: Renders the metrics.
        tls: Serves HTTPS; by default HTTP.
        token_reviewer: Authorizes the clients; by default no authorization is required.

    Raises:
        OSError: The port is in use.
    """

    async def scrape(request: web.Request) -> web.Response:
        body, content_type = await render(request.headers.get("Accept", ""))
        response = web.Response(body=body, headers={"Content-Type": content_type})
        response.enable_compression()
        return response

    handler = scrape if token_reviewer is None else _authorized(scrape, token_reviewer)
    return serve(host, port, {"/metrics": handler}, tls=tls)


def serve_probes(
    host: str, port: int, *, is_alive: Callable[[], bool], is_ready: Callable[[], bool]
) -> AbstractAsyncContextManager[int]:
    """Serve the probes within the context; yields the port.

    Args:
        host: The address to listen on.
        port: The port to listen on; 0 for any free one.
        is_alive: `/healthz` responds with HTTP status 503 unless this returns True.
        is_ready: `/readyz` responds with HTTP status 503 unless this returns True.

    Raises:
        OSError: The port is in use.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n") if is_alive() else web.Response(text="not alive\n", status=503)

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ready\n") if is_ready() else web.Response(text="not ready\n", status=503)

    return serve(host, port, {"/healthz": healthz, "/readyz": readyz})


def _authorized(handler: Handler, token_reviewer: TokenReviewer) -> Handler:
    reviews = asyncio.Semaphore(MAX_CONCURRENT_REVIEWS)

    async def authorize(request: web.Request) -> web.StreamResponse:
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
