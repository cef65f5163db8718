"""Spans for OpenTelemetry, one for each operation, if the application has `opentelemetry-api`; never a value in them.

The application chooses exporter and sampling; without its set-up the API hands out spans that cost next to nothing.
Names follow https://opentelemetry.io/docs/specs/semconv/http/http-spans/ where there is one.
"""

import contextlib
import importlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol, cast

from kvsecrets._wire import Response
from kvsecrets.errors import ResponseError


class Span(Protocol):
    """The part of OpenTelemetry's span that is used here."""

    def set_attribute(self, key: str, value: str | int) -> None:
        """Say something about the operation."""
        ...

    def set_status(self, status: Any) -> None:  # noqa: ANN401  its type is OpenTelemetry's
        """Mark it as failed."""
        ...


class Tracer(Protocol):
    """The part of OpenTelemetry's tracer that is used here."""

    def start_as_current_span(
        self, name: str, *, record_exception: bool = ..., set_status_on_exception: bool = ...
    ) -> AbstractContextManager[Any]:
        """Start a span that ends with the context."""
        ...


def find_tracer() -> Tracer | None:
    """Return OpenTelemetry's tracer for this library, or None where its API is not installed."""
    try:
        trace = importlib.import_module("opentelemetry.trace")
    except ImportError:
        return None
    return cast("Tracer", trace.get_tracer("kvsecrets"))


@contextlib.contextmanager
def traced(tracer: Tracer, operation: str, host: str) -> Iterator[Span]:
    """Run one operation in a span of its own; a failure is told by its class, since its text may be anybody's."""
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


def note(span: Span, method: str, client_request_id: str, response: Response) -> None:
    """Tell a span about an answer; the last one of an operation stays."""
    span.set_attribute("http.request.method", method)
    span.set_attribute("http.response.status_code", response.status)
    span.set_attribute("az.client_request_id", client_request_id)
    if "x-ms-request-id" in response.headers:
        span.set_attribute("az.service_request_id", response.headers["x-ms-request-id"])
