"""Sends spans to a collector, from a thread of its own; says once when that fails, and never why in others' words."""

import logging
import threading
from collections.abc import Sequence
from typing import Any, Self

import requests
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

logger = logging.getLogger("vaultsync")

FLUSH_WITHIN = 2.0
"""Seconds that the last spans may take when the operator stops; what is late is lost."""


class Delivery:
    """A collector's address, the spans on their way there, and the tracer that makes them."""

    def __init__(self, provider: TracerProvider, exporter: "ToldExporter", tracer: trace.Tracer) -> None:
        """To be made by `begin`."""
        self.tracer = tracer
        self._provider = provider
        self._exporter = exporter

    @classmethod
    def begin(cls, version: str) -> Self:
        """Begin to send what is traced; where to, which part of it and as whose, OpenTelemetry asks the environment."""
        ours = Resource.create({SERVICE_NAME: "vaultsync", SERVICE_VERSION: version})
        provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
        # What it has to say from here on may hold a header, and would be said with each attempt: the exporter tells it.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        exporter = ToldExporter()
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return cls(provider, exporter, provider.get_tracer("vaultsync", version))

    def listen_to_libraries(self) -> None:
        """Take in the spans of libraries, too, which ask for the process's tracer; it can be set only once."""
        trace.set_tracer_provider(self._provider)

    def end(self) -> None:
        """Send what is left, within `FLUSH_WITHIN`; a collector that is known to be away is not waited for."""
        # OpenTelemetry would wait for half a minute, and cannot be told otherwise.
        farewell = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        farewell.start()
        if not self._exporter.fails:
            farewell.join(FLUSH_WITHIN)


class ToldExporter(SpanExporter):
    """Exports by OTLP, and logs when that begins to fail and when it goes well again."""

    def __init__(self) -> None:
        self.fails = False
        self._session = _Session()
        self._exporter = OTLPSpanExporter(session=self._session)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; what fails is lost."""
        self._session.trouble = "not sent"
        result = self._exporter.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self.fails:
            logger.warning("traces are not delivered", extra={"detail": self._session.trouble})
        elif self.fails and not failed:
            logger.info("traces are delivered again")
        self.fails = failed
        return result

    def shutdown(self) -> None:
        """Send nothing more."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # OpenTelemetry has not annotated it


class _Session(requests.Session):
    """Remembers what became of the last request: a status or the kind of failure, whose text may hold a header."""

    trouble = "not sent"

    def request(self, *arguments: Any, **options: Any) -> requests.Response:  # noqa: ANN401  whatever requests takes
        try:
            response = super().request(*arguments, **options)
        except Exception as error:
            self.trouble = type(error).__name__
            raise
        self.trouble = f"HTTP {response.status_code}"
        return response
