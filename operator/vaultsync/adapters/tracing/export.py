"""Exports spans to a collector in a thread; logs once when that starts to fail, without texts of other libraries."""

import logging
import ssl
import threading
from collections.abc import Sequence
from typing import Any, Self

import requests
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from requests.adapters import HTTPAdapter

from vaultsync.trust import client_tls

logger = logging.getLogger("vaultsync")

NOT_SENT = "not sent"

FLUSH_TIMEOUT = 2.0
"""Seconds to export the last spans when the operator stops; after it they are dropped."""


class Delivery:
    """A tracer, the queue of its spans, and their export to a collector."""

    def __init__(self, provider: TracerProvider, exporter: "LoggingExporter", tracer: trace.Tracer) -> None:
        """Use `start`."""
        self.tracer = tracer
        self._provider = provider
        self._exporter = exporter

    @classmethod
    def start(cls, version: str, ca_file: str = "") -> Self:
        """Start to export; OpenTelemetry reads address, sampling and resource from the environment.

        Raises:
            ValueError: A variable of OpenTelemetry is not valid.
        """
        ours = Resource.create({SERVICE_NAME: "vaultsync", SERVICE_VERSION: version})
        provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
        # Its log lines may contain a header, and are repeated with each attempt: the exporter logs instead.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        exporter = LoggingExporter(client_tls(ca_file))
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return cls(provider, exporter, provider.get_tracer("vaultsync", version))

    def trace_libraries(self) -> None:
        """Export the spans of libraries, too, by the tracer provider of the process; it can be set only once."""
        trace.set_tracer_provider(self._provider)

    def stop(self) -> None:
        """Export what is left within `FLUSH_TIMEOUT`; does not wait for a collector whose last export failed."""
        # OpenTelemetry waits for half a minute, which is not configurable.
        shutdown = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        shutdown.start()
        if not self._exporter.is_failing:
            shutdown.join(FLUSH_TIMEOUT)


class LoggingExporter(SpanExporter):
    """Exports by OTLP, and logs when that starts to fail and when it succeeds again."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        """`tls` verifies the collector."""
        self.is_failing = False
        self._session = _Session()
        self._session.mount("https://", _Verified(tls))
        self._exporter = OTLPSpanExporter(session=self._session)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export spans; those that fail are dropped."""
        self._session.result = NOT_SENT
        failed = self._exporter.export(spans) is not SpanExportResult.SUCCESS
        if failed and not self.is_failing:
            logger.warning("traces are not delivered", extra={"detail": self._session.result})
        elif self.is_failing and not failed:
            logger.info("traces are delivered again")
        self.is_failing = failed
        return SpanExportResult.FAILURE if failed else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Export nothing more."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # OpenTelemetry has not annotated it


class _Session(requests.Session):
    """Keeps the result of the first request of an export: its status, or the type of its exception without the text.

    The exporter repeats one that fails until its time is over. The last one may have none left, which is a ValueError.
    """

    result = NOT_SENT

    def request(self, *arguments: Any, **options: Any) -> requests.Response:  # noqa: ANN401  those of requests
        try:
            response = super().request(*arguments, **options)
        except Exception as error:
            self._keep(type(error).__name__)
            raise
        self._keep(f"HTTP {response.status_code}")
        return response

    def _keep(self, result: str) -> None:
        if self.result == NOT_SENT:
            self.result = result


class _Verified(HTTPAdapter):
    """Opens connections with a TLS context; requests adds the authorities of OpenTelemetry's variables to it."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401  those of requests
        super().init_poolmanager(*arguments, ssl_context=self._tls, **options)

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:  # noqa: ANN401  the same
        return super().proxy_manager_for(proxy, ssl_context=self._tls, **options)
