"""Reconciles and polls as spans, made by OpenTelemetry's own tracer."""

import asyncio
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from tests.builders import VAULT
from vaultsync.adapters.tracing.spans import Spans
from vaultsync.api import ObjectKey
from vaultsync.policy.requeue import Result

KEY = ObjectKey("shop", "db")
VALUE = "MARKED-s3cret"


class Harness:
    """Spans, and what is left of them when they have ended."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.tracer = provider.get_tracer("vaultsync")
        self.spans = Spans(self.tracer)

    @property
    def ended(self) -> Sequence[ReadableSpan]:
        return self._kept.get_finished_spans()


@pytest.fixture
def harness() -> Harness:
    return Harness()


async def test_a_reconcile_is_a_span_with_its_vaultsecret_and_result(harness: Harness) -> None:
    async def work(key: ObjectKey, failures: int) -> Result:
        harness.spans.note({"reason": "Synced", "change": "rotated"}, failed=False)
        return Result(30.0 + failures)

    after = await harness.spans.work(work)(KEY, 2)

    (span,) = harness.ended
    assert (span.name, span.parent, span.status.status_code) == ("reconcile", None, StatusCode.UNSET)
    assert dict(span.attributes or {}) == {
        "k8s.namespace.name": "shop",
        "vaultsync.vaultsecret": "db",
        "vaultsync.reason": "Synced",
        "vaultsync.change": "rotated",
    }
    assert after == Result(32.0)


def test_a_poll_is_a_span_with_its_vault_and_mode(harness: Harness) -> None:
    with harness.spans.poll(VAULT):
        harness.spans.note({"mode": "list", "calls": 3, "result": "VaultThrottled"}, failed=True)

    (span,) = harness.ended
    assert (span.name, span.parent, span.status.status_code) == ("poll", None, StatusCode.ERROR)
    assert dict(span.attributes or {}) == {
        "vaultsync.vault": VAULT,
        "vaultsync.mode": "list",
        "vaultsync.calls": 3,
        "vaultsync.result": "VaultThrottled",
    }


def test_calls_are_child_spans(harness: Harness) -> None:
    with harness.spans.poll(VAULT), harness.tracer.start_as_current_span("kvsecrets.list"):
        pass

    call, poll = harness.ended
    assert call.parent == poll.context


async def test_a_reconcile_is_a_trace_of_its_own(harness: Harness) -> None:
    async def work(key: ObjectKey, failures: int) -> Result:
        return Result(None)

    async def start(key: ObjectKey) -> Result:
        return await harness.spans.work(work)(key, 0)

    with harness.spans.poll(VAULT):
        await asyncio.create_task(start(KEY))

    reconcile, _ = harness.ended
    assert reconcile.parent is None


def test_of_an_unexpected_exception_only_the_type_is_an_attribute(harness: Harness) -> None:
    with pytest.raises(RuntimeError), harness.spans.poll(VAULT):
        raise RuntimeError(VALUE)

    (span,) = harness.ended
    assert (span.attributes or {})["error.type"] == "RuntimeError"
    assert span.status.status_code is StatusCode.ERROR
    assert VALUE not in span.to_json()


def test_a_note_outside_of_a_span_is_ignored(harness: Harness) -> None:
    harness.spans.note({"reason": "InvalidSpec"}, failed=True)

    assert harness.ended == ()
