"""Export of spans to a real receiver, and to none."""

import logging
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
import requests

from tests.authorities import Authority
from tests.collector import Collector
from vaultsync.adapters.tracing.export import Delivery, _Session

NOWHERE = "http://127.0.0.1:1"
NO_LIMIT = 600
"""Seconds or more: what waits that long fails the test."""
FLUSH_TIMEOUT = "vaultsync.adapters.tracing.export.FLUSH_TIMEOUT"
BACKOFF = "opentelemetry.exporter.otlp.common.http._OTLPHTTPClient._compute_backoff"
VALUE = "MARKED-t0ken"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector.listening() as collector:
        yield collector


@pytest.fixture(autouse=True)
def _restored_globals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """OpenTelemetry and requests read the process's environment, and a logger is set for the whole process."""
    for name in [name for name in os.environ if name.startswith("OTEL_") or name.endswith("CA_BUNDLE")]:  # noqa: TID251  the process's own
        monkeypatch.delenv(name)
    level = logging.getLogger("opentelemetry").level
    yield
    logging.getLogger("opentelemetry").setLevel(level)


class Deliver(Protocol):
    """Starts an export with these variables; spans are sent on request."""

    def __call__(self, to: str, *, ca_file: str = "", **environ: str) -> Delivery: ...


@pytest.fixture
def deliver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deliver]:
    # A backoff beyond the timeout: a failed export is not retried, however little of the timeout has passed.
    monkeypatch.setattr(BACKOFF, lambda *_: 2.0 * NO_LIMIT)
    threads = set(threading.enumerate())
    begun: list[Delivery] = []

    def begin(to: str, *, ca_file: str = "", **environ: str) -> Delivery:
        quiet = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": to,
            "OTEL_EXPORTER_OTLP_TIMEOUT": str(NO_LIMIT),
            "OTEL_BSP_SCHEDULE_DELAY": "3600000",
        }
        with pytest.MonkeyPatch.context() as patch:
            for name, text in (quiet | environ).items():
                patch.setenv(name, text)
            begun.append(Delivery.start("1.2.3", ca_file))
        return begun[-1]

    yield begin
    for delivery in begun:
        delivery._exporter.shutdown()
        delivery._provider.shutdown()
    # A thread that still exports would log into the next test.
    for thread in set(threading.enumerate()) - threads:
        thread.join()


def send(delivery: Delivery, *, times: int = 1) -> None:
    """Trace something, and try to send it."""
    for _ in range(times):
        with delivery.tracer.start_as_current_span("poll"):
            pass
        delivery._provider.force_flush()


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str | None]]:
    """Level, message and detail of each of our log lines."""
    ours = [record for record in caplog.records if record.name == "vaultsync"]
    return [(record.levelname, record.getMessage(), vars(record).get("detail")) for record in ours]


def test_a_retry_without_time_does_not_hide_why_the_first_request_failed() -> None:
    session = _Session()
    with pytest.raises(requests.ConnectionError):
        session.post(NOWHERE, timeout=NO_LIMIT)
    with pytest.raises(ValueError, match="timeout"):
        session.post(NOWHERE, timeout=0)

    assert session.result == "ConnectionError"


def test_the_collector_receives_spans_of_vaultsync(deliver: Deliver, collector: Collector) -> None:
    send(deliver(collector.url))

    (span,) = collector.spans
    assert (span.resource["service.name"], span.resource["service.version"]) == ("vaultsync", "1.2.3")
    assert [path for path, _, _ in collector.requests] == ["/v1/traces"]


@pytest.mark.parametrize("variable", [True, False], ids=["a variable of OpenTelemetry", "the operator's setting"])
def test_a_collector_may_have_a_certificate_of_an_authority_that_only_a_file_names(
    deliver: Deliver, tmp_path: Path, variable: bool
) -> None:
    authority, file = Authority.make(has_key_ids=False, critical=False), tmp_path / "ca.crt"
    file.write_text(authority.pem)
    with Collector.listening(tls=authority.server_tls("127.0.0.1")) as collector:
        if variable:
            send(deliver(collector.url, OTEL_EXPORTER_OTLP_CERTIFICATE=str(file)))
        else:
            send(deliver(collector.url, ca_file=str(file)))

    assert len(collector.spans) == 1


def test_resource_and_headers_come_from_the_environment(deliver: Deliver, collector: Collector) -> None:
    send(
        deliver(
            collector.url,
            OTEL_SERVICE_NAME="vaultsync-west",
            OTEL_RESOURCE_ATTRIBUTES="service.version=theirs,deployment.environment.name=test",
            OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20ours",
            OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        )
    )

    (span,) = collector.spans
    assert span.resource["service.name"] == "vaultsync-west"
    assert span.resource["service.version"] == "theirs"
    assert span.resource["deployment.environment.name"] == "test"
    assert [headers["authorization"] for _, headers, _ in collector.requests] == ["Bearer ours"]


def test_sampling_comes_from_the_environment(deliver: Deliver, collector: Collector) -> None:
    send(deliver(collector.url, OTEL_TRACES_SAMPLER="always_off"))

    assert collector.requests == []


def test_the_last_spans_are_sent_at_the_end(
    deliver: Deliver, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FLUSH_TIMEOUT, NO_LIMIT)
    delivery = deliver(collector.url)
    with delivery.tracer.start_as_current_span("poll"):
        pass

    delivery.stop()

    assert [span.name for span in collector.spans] == ["poll"]


def test_stopping_does_not_wait_until_a_slow_collector_responds(
    deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FLUSH_TIMEOUT, 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        delivery = deliver(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with delivery.tracer.start_as_current_span("poll"):
            pass

        delivery.stop()

        assert "last spans" in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_a_failing_export_is_logged_once_and_so_is_its_recovery(
    deliver: Deliver, collector: Collector, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    caplog.set_level(logging.DEBUG, "vaultsync")
    collector.status = status
    delivery = deliver(collector.url)

    send(delivery, times=3)
    collector.status = 200
    send(delivery, times=3)

    assert logged(caplog) == [
        ("WARNING", "traces are not delivered", f"HTTP {status}"),
        ("INFO", "traces are delivered again", None),
    ]


def test_an_unreachable_collector_is_logged_once_and_not_waited_for(
    deliver: Deliver, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FLUSH_TIMEOUT, NO_LIMIT)
    delivery = deliver(NOWHERE)
    send(delivery, times=3)
    stopped = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(delivery._provider, "shutdown", lambda: stopped.wait(2 * NO_LIMIT))
        delivery.stop()
    stopped.set()

    assert logged(caplog) == [("WARNING", "traces are not delivered", "ConnectionError")]


@pytest.mark.parametrize(
    ("headers", "detail"),
    [(f"authorization=Bearer%0A{VALUE}", "InvalidHeader"), (VALUE, "ConnectionError")],
    ids=["a line break in it", "no name before it"],
)
def test_a_header_that_cannot_be_sent_is_in_no_log_line(
    deliver: Deliver, caplog: pytest.LogCaptureFixture, headers: str, detail: str
) -> None:
    caplog.set_level(logging.WARNING)

    send(deliver(NOWHERE, OTEL_EXPORTER_OTLP_HEADERS=headers))

    assert logged(caplog) == [("WARNING", "traces are not delivered", detail)]
    assert VALUE not in "".join(str(vars(record)) for record in caplog.records)
