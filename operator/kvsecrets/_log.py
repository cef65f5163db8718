"""Writes what went over the wire to the logger `kvsecrets`: never a value, a body, a token or a query.

One line at DEBUG for each exchange, one at INFO for each wait before another attempt. Of the headers only those that
are listed here are written, so that what the service adds one day does not end up in logs by itself.
"""

import logging
from collections.abc import Mapping
from urllib.parse import urlsplit

from kvsecrets._wire import Request, Response
from kvsecrets.errors import KeyVaultError

LOGGER = logging.getLogger("kvsecrets")
LOGGED_HEADERS = (
    "content-length",
    "content-type",
    "date",
    "retry-after",
    "x-ms-keyvault-network-info",
    "x-ms-keyvault-region",
    "x-ms-keyvault-service-version",
)


def log_exchange(request: Request, client_request_id: str, outcome: Response | KeyVaultError, seconds: float) -> None:
    """Write one line about a request and what came of it."""
    if not LOGGER.isEnabledFor(logging.DEBUG):
        return
    headers: Mapping[str, str] = outcome.headers if isinstance(outcome, Response) else {}
    parts = urlsplit(request.url)
    LOGGER.debug(
        "%s %s%s: %s in %.0f ms, request id %s, client request id %s, %s",
        request.method,
        parts.netloc,
        parts.path,
        outcome.status if isinstance(outcome, Response) else type(outcome).__name__,
        seconds * 1000,
        headers.get("x-ms-request-id", "-"),
        client_request_id,
        {name: headers[name] for name in LOGGED_HEADERS if name in headers},
    )


def log_pause(seconds: float) -> None:
    """Write that the next attempt waits."""
    LOGGER.info("waiting %.1f s before the next request", seconds)
