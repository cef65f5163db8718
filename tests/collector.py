"""A collector of traces by OTLP over HTTP: receives spans and parses them with OpenTelemetry's own types."""

import gzip
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SOON: Final = 300.0
"""Seconds within which spans come that are sent ten times a second."""


@dataclass(frozen=True, slots=True)
class CollectedSpan:
    """One span: `parent` is the id of another, or empty."""

    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, str | int]
    failed: bool
    message: str
    events: int
    resource: dict[str, str | int]


@dataclass(slots=True)
class Collector:
    """What has come, and where to send it: `url` is what OTEL_EXPORTER_OTLP_ENDPOINT should say."""

    url: str = ""
    status: int = 200
    """What it answers."""
    spans: list[CollectedSpan] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    """Path, headers and body of each request, the body as it was before it was compressed."""

    @classmethod
    @contextmanager
    def listening(cls, *, tls: ssl.SSLContext | None = None) -> "Iterator[Collector]":
        """Listen on loopback while the block lasts."""
        collector = cls()
        with ThreadingHTTPServer(("127.0.0.1", 0), _handler(collector)) as server:
            if tls is not None:
                server.socket = tls.wrap_socket(server.socket, server_side=True)
            collector.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}"
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield collector
            finally:
                server.shutdown()
                thread.join()

    def environ(self) -> dict[str, str]:
        """What makes a program send its traces here, ten times a second."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}

    def await_span(self, fits: Callable[[CollectedSpan], bool]) -> CollectedSpan:
        """Return the first span that fits, as soon as it is there."""
        deadline = time.monotonic() + SOON
        while (found := next(filter(fits, tuple(self.spans)), None)) is None:
            assert time.monotonic() < deadline, f"no such span among {self.spans}"
            time.sleep(0.05)
        return found

    def below(self, span: CollectedSpan) -> list[CollectedSpan]:
        """The spans that have this one as their parent."""
        return [child for child in tuple(self.spans) if (child.trace, child.parent) == (span.trace, span.id)]

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        """Take in a request."""
        self.requests.append((path, headers, body))
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = _attributes(group.resource.attributes)
            self.spans += [_read(span, resource) for scope in group.scope_spans for span in scope.spans]


def _read(span: Any, resource: dict[str, str | int]) -> CollectedSpan:  # noqa: ANN401  protobuf's classes have no types
    return CollectedSpan(
        name=span.name,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        attributes=_attributes(span.attributes),
        failed=span.status.code == span.status.STATUS_CODE_ERROR,
        message=span.status.message,
        events=len(span.events),
        resource=resource,
    )


def _attributes(pairs: Any) -> dict[str, str | int]:  # noqa: ANN401  the same
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def _handler(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers["content-encoding"] == "gzip":
                body = gzip.decompress(body)
            if collector.status == 200:
                collector.take(self.path, {name.lower(): text for name, text in self.headers.items()}, body)
            self.send_response(collector.status)
            self.send_header("content-length", "0")
            self.end_headers()

        do_POST = answer  # noqa: N815  the name by which http.server finds it

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
