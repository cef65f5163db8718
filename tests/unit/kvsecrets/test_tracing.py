"""Spans of OpenTelemetry: one for each operation, told what came of it, and nothing secret."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from kvsecrets._tracing import Tracer, find_tracer, note, traced
from kvsecrets._wire import Response
from kvsecrets.errors import SecretNotFound


@dataclass
class Recorder:
    """A tracer that keeps what it is told."""

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


def test_an_operation_is_a_span_that_knows_its_vault_and_its_answer() -> None:
    recorder = Recorder()

    with traced(recorder, "get_secret", "shop.vault.azure.net") as span:
        note(span, "GET", "ours", Response(200, {"x-ms-request-id": "theirs"}, b"hush"))

    assert recorder.spans == {
        "kvsecrets.get_secret": {
            "az.namespace": "Microsoft.KeyVault",
            "server.address": "shop.vault.azure.net",
            "http.request.method": "GET",
            "http.response.status_code": 200,
            "az.client_request_id": "ours",
            "az.service_request_id": "theirs",
        }
    }


def test_a_failure_is_told_by_its_class_and_raised() -> None:
    recorder = Recorder()

    with pytest.raises(SecretNotFound), traced(recorder, "get_secret", "shop.vault.azure.net"):
        raise SecretNotFound(404, request_id="theirs", message="hush")

    attributes = recorder.spans["kvsecrets.get_secret"]
    assert (attributes["error.type"], attributes["az.service_request_id"]) == ("SecretNotFound", "theirs")
    assert attributes["status"] == "ERROR"
    assert "hush" not in str(attributes)


def test_what_opentelemetry_keeps_of_a_failure_holds_nothing_of_its_text() -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))

    with (
        pytest.raises(RuntimeError),
        traced(cast("Tracer", provider.get_tracer("kvsecrets")), "get_secret", "shop.vault.azure.net"),
    ):
        raise RuntimeError("hush")

    (span,) = kept.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert "hush" not in span.to_json()


def test_a_tracer_is_there_exactly_when_opentelemetry_is() -> None:
    assert (find_tracer() is not None) == (importlib.util.find_spec("opentelemetry") is not None)
