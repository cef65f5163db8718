"""Log lines and OpenTelemetry spans of requests; never a value, a body, a token or a query.

The logger `kvsecrets` gets one line at DEBUG for each request, and one at INFO for each wait. Only the headers listed
here are logged, so a header that the service adds later is not. Each operation is one span if `opentelemetry-api` is
installed; the application chooses exporter and sampling.
Names follow https://opentelemetry.io/docs/specs/semconv/http/http-spans/ where it has one.
"""

import contextlib
import importlib
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from kvsecrets._protocol import Request, Response
from kvsecrets.errors import KeyVaultError, ResponseError

LOGGER = logging.getLogger("kvsecrets")
_SECRET_PATH = re.compile("/(?:deleted)?secrets/([0-9a-zA-Z-]+)")
_RESTORE = "/secrets/restore"
LOGGED_HEADERS = (
    "content-length",
    "content-type",
    "date",
    "retry-after",
    "x-ms-keyvault-network-info",
    "x-ms-keyvault-region",
    "x-ms-keyvault-service-version",
)


class Span(Protocol):
    """The methods of an OpenTelemetry span that are used here."""

    def set_attribute(self, key: str, value: str | int) -> None:
        """Set an attribute."""
        ...

    def set_status(self, status: Any) -> None:  # noqa: ANN401  its type is OpenTelemetry's
        """Set the status."""
        ...


class Tracer(Protocol):
    """The methods of an OpenTelemetry tracer that are used here."""

    def start_as_current_span(
        self, name: str, *, record_exception: bool = ..., set_status_on_exception: bool = ...
    ) -> AbstractContextManager[Any]:
        """Start a span that ends with the context."""
        ...


def log_exchange(request: Request, client_request_id: str, outcome: Response | KeyVaultError, seconds: float) -> None:
    """Log a request and its response or error."""
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
    """Log the wait before the next request."""
    LOGGER.info("waiting %.1f s before the next request", seconds)


def find_tracer() -> Tracer | None:
    """Return OpenTelemetry's tracer for this library, or None if its API is not installed."""
    try:
        trace = importlib.import_module("opentelemetry.trace")
    except ImportError:
        return None
    return cast("Tracer", trace.get_tracer("kvsecrets"))


@contextlib.contextmanager
def operation_span(tracer: Tracer, operation: str, host: str) -> Iterator[Span]:
    """Run one operation in a span. An error is recorded by its class, since its text may be the service's."""
    with tracer.start_as_current_span(
        f"kvsecrets.{operation}", record_exception=False, set_status_on_exception=False
    ) as span:
        span.set_attribute("az.namespace", "Microsoft.KeyVault")
        span.set_attribute("server.address", host)
        try:
            yield span
        except Exception as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(importlib.import_module("opentelemetry.trace").StatusCode.ERROR)
            if isinstance(error, ResponseError) and error.request_id:
                span.set_attribute("az.service_request_id", error.request_id)
            raise


def record_exchange(span: Span, request: Request, client_request_id: str, outcome: Response | KeyVaultError) -> None:
    """Set a span's attributes from a request and its response; those of an operation's last ones remain."""
    span.set_attribute("http.request.method", request.method)
    span.set_attribute("az.client_request_id", client_request_id)
    if (name := _secret_name(request)) is not None:
        span.set_attribute("kvsecrets.secret.name", name)
    if isinstance(outcome, Response):
        span.set_attribute("http.response.status_code", outcome.status)
        if "x-ms-request-id" in outcome.headers:
            span.set_attribute("az.service_request_id", outcome.headers["x-ms-request-id"])


def trace_headers() -> dict[str, str]:
    """Return `traceparent` and `tracestate` of the current span; nothing else of its context, such as baggage.

    https://www.w3.org/TR/trace-context/
    """
    headers: dict[str, str] = {}
    propagation = importlib.import_module("opentelemetry.trace.propagation.tracecontext")
    propagation.TraceContextTextMapPropagator().inject(headers)
    return headers


def _secret_name(request: Request) -> str | None:
    """Return the name of the secret that a request is about; None for lists and for a restore."""
    path = urlsplit(request.url).path
    match = None if path == _RESTORE and request.method == "POST" else _SECRET_PATH.match(path)
    return match[1] if match else None
