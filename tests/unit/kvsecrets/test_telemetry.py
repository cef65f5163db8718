"""Log lines and OpenTelemetry spans, and that they contain nothing secret."""

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from kvsecrets._protocol import Request, Response
from kvsecrets._telemetry import Tracer, find_tracer, log_exchange, log_pause, operation_span, record_exchange
from kvsecrets.errors import ConnectionFailed, KeyVaultError, SecretNotFound

HEADERS = {"authorization": "Bearer hush", "content-type": "application/json"}
REQUEST = Request("PUT", "https://shop.vault.azure.net/secrets/db?api-version=7.4&$skiptoken=hush", HEADERS, b"hush")
RESPONSE = Response(
    200,
    {"x-ms-request-id": "theirs", "x-ms-keyvault-region": "westus2", "set-cookie": "hush", "x-new": "hush"},
    b"hush",
)


def test_a_request_is_one_log_line_with_its_request_ids(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "kvsecrets")

    log_exchange(REQUEST, "ours", RESPONSE, 0.0123)

    [record] = caplog.records
    assert record.getMessage() == (
        "PUT shop.vault.azure.net/secrets/db: 200 in 12 ms, request id theirs, client request id ours, "
        "{'x-ms-keyvault-region': 'westus2'}"
    )


@pytest.mark.parametrize("outcome", [RESPONSE, ConnectionFailed("gone")], ids=["response", "error"])
def test_values_tokens_queries_and_unknown_headers_are_never_logged(
    outcome: Response | KeyVaultError, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "kvsecrets")

    log_exchange(REQUEST, "ours", outcome, 0)

    assert len(caplog.records) == 1
    assert "hush" not in caplog.text


def test_an_error_is_logged_by_its_class(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "kvsecrets")

    log_exchange(REQUEST, "ours", ConnectionFailed("gone"), 0)

    assert "PUT shop.vault.azure.net/secrets/db: ConnectionFailed in 0 ms" in caplog.text


def test_waits_are_logged_at_info_and_requests_are_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "kvsecrets")

    log_exchange(REQUEST, "ours", RESPONSE, 0)
    log_pause(1.234)

    assert [record.getMessage() for record in caplog.records] == ["waiting 1.2 s before the next request"]


@dataclass
class Recorder:
    """A tracer that records spans with their attributes."""

    spans: dict[str, dict[str, str | int]] = field(default_factory=dict)

    @contextmanager
    def start_as_current_span(
        self, name: str, *, record_exception: bool = True, set_status_on_exception: bool = True
    ) -> Iterator["RecordedSpan"]:
        assert not record_exception
        assert not set_status_on_exception
        self.spans[name] = {}
        yield RecordedSpan(self.spans[name])


@dataclass
class RecordedSpan:
    attributes: dict[str, str | int]

    def set_attribute(self, key: str, value: str | int) -> None:
        self.attributes[key] = value

    def set_status(self, status: StatusCode) -> None:
        self.attributes["status"] = status.name


def test_an_operation_is_a_span_with_the_vault_and_the_response() -> None:
    recorder = Recorder()

    with operation_span(recorder, "get_secret", "shop.vault.azure.net") as span:
        record_exchange(span, REQUEST, "ours", RESPONSE)

    assert recorder.spans == {
        "kvsecrets.get_secret": {
            "az.namespace": "Microsoft.KeyVault",
            "server.address": "shop.vault.azure.net",
            "http.request.method": "PUT",
            "http.response.status_code": 200,
            "az.client_request_id": "ours",
            "az.service_request_id": "theirs",
            "kvsecrets.secret.name": "db",
        }
    }


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "secrets/db/0123456789abcdef", "db"),
        ("PATCH", "secrets/db/", "db"),
        ("POST", "deletedsecrets/db/recover", "db"),
        ("GET", "secrets/db/versions", "db"),
        ("GET", "secrets/restore", "restore"),
        ("POST", "secrets/restore", None),
        ("GET", "secrets", None),
    ],
)
def test_a_span_has_the_name_of_the_secret_also_without_a_response(method: str, path: str, name: str | None) -> None:
    recorder = Recorder()
    request = Request(method, f"https://shop.vault.azure.net/{path}?api-version=7.4&$skiptoken=hush")

    with operation_span(recorder, "call", "shop.vault.azure.net") as span:
        record_exchange(span, request, "ours", ConnectionFailed("gone"))

    assert recorder.spans["kvsecrets.call"].get("kvsecrets.secret.name") == name
    assert "hush" not in str(recorder.spans)


def test_an_error_is_recorded_by_its_class_and_raised() -> None:
    recorder = Recorder()

    with pytest.raises(SecretNotFound), operation_span(recorder, "get_secret", "shop.vault.azure.net"):
        raise SecretNotFound(404, request_id="theirs", message="hush")

    attributes = recorder.spans["kvsecrets.get_secret"]
    assert (attributes["error.type"], attributes["az.service_request_id"]) == ("SecretNotFound", "theirs")
    assert attributes["status"] == "ERROR"
    assert "hush" not in str(attributes)


def test_an_exported_span_does_not_contain_the_text_of_an_error() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    with (
        pytest.raises(RuntimeError),
        operation_span(cast("Tracer", provider.get_tracer("kvsecrets")), "get_secret", "shop.vault.azure.net"),
    ):
        raise RuntimeError("hush")

    (span,) = exporter.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert "hush" not in span.to_json()


def test_there_is_a_tracer_if_opentelemetry_is_installed() -> None:
    assert (find_tracer() is not None) == (importlib.util.find_spec("opentelemetry") is not None)
