"""Traces: sent where OpenTelemetry's variables say, with nothing secret in them, and never in the way of the work."""

import socket
import sys
import time
from functools import partial
from typing import Final

from tests.collector import CollectedSpan, Collector
from tests.e2e.life.scenes import LifeScene
from tests.e2e.operators import RunningOperator
from tests.e2e.scene import MARK, entry
from tests.e2e.together import story
from vaultsync import __version__

QUICKLY: Final = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
WITHOUT_TRACING: Final = (
    sys.executable,
    "-c",
    "import sys; sys.modules['opentelemetry.sdk'] = None; from vaultsync.__main__ import main; sys.exit(main())",
)


def is_about(name: str, span: CollectedSpan) -> bool:
    """Whether it is a reconcile of that VaultSecret."""
    return span.attributes.get("vaultsync.vaultsecret") == name


def synced(span: CollectedSpan) -> bool:
    """Whether it is a reconcile that wrote the target."""
    return span.name == "reconcile" and span.attributes.get("vaultsync.change") == "created"


@story
def test_a_reconcile_is_a_trace_with_the_calls_to_the_vault_below(scene: LifeScene) -> None:
    scene.put()
    with Collector.listening() as collector, scene.operator(environ=collector.environ()):
        scene.apply()
        scene.await_synced()

        reconcile = collector.await_span(synced)
        collector.await_span(lambda span: span.parent == reconcile.id)

    assert reconcile.attributes == {
        "k8s.namespace.name": scene.namespace,
        "vaultsync.vaultsecret": "db",
        "vaultsync.reason": "Synced",
        "vaultsync.change": "created",
    }
    assert (reconcile.parent, reconcile.failed) == ("", False)
    (call,) = collector.below(reconcile)
    assert call.name == "kvsecrets.get_secret"
    assert call.attributes["http.response.status_code"] == 200
    assert str(call.attributes["server.address"]) in scene.vault.url
    assert (call.resource["service.name"], call.resource["service.version"]) == ("vaultsync", __version__)


@story
def test_a_poll_is_a_trace_with_its_listing_below(scene: LifeScene) -> None:
    scene.put()
    with Collector.listening() as collector, scene.operator(environ=collector.environ()):
        scene.apply()

        poll = collector.await_span(lambda span: span.name == "poll")
        collector.await_span(lambda span: span.parent == poll.id)

    assert poll.attributes == {
        "vaultsync.vault": scene.vault.url,
        "vaultsync.mode": "list",
        "vaultsync.calls": 1,
        "vaultsync.result": "Synced",
    }
    assert poll.parent == ""
    assert {call.attributes["http.response.status_code"] for call in collector.below(poll)} == {200}


@story
def test_no_value_and_no_message_is_in_a_trace(scene: LifeScene) -> None:
    scene.put()
    with Collector.listening() as collector, scene.operator(environ=collector.environ()) as running:
        scene.apply()
        scene.await_synced()
        scene.apply(entry(encoding="Base64"), name="undecodable")
        scene.apply(entry(source="nowhere"), name="missing")
        scene.await_reason("EncodingInvalid", "undecodable")
        scene.await_reason("SecretNotFound", "missing")
        collector.await_span(synced)
        for name in ("undecodable", "missing"):
            collector.await_span(partial(is_about, name))
        assert running.stop() == 0

    ended = {span.attributes["vaultsync.vaultsecret"]: span for span in collector.spans if span.name == "reconcile"}
    assert {name: (span.attributes["vaultsync.reason"], span.failed) for name, span in ended.items()} == {
        "db": ("Synced", False),
        "undecodable": ("EncodingInvalid", True),
        "missing": ("SecretNotFound", True),
    }
    assert {span.message for span in collector.spans} == {""}
    assert sum(span.events for span in collector.spans) == 0
    assert [body for _, _, body in collector.requests if MARK.encode() in body] == []


@story
def test_what_was_traced_last_is_sent_at_the_end(scene: LifeScene) -> None:
    scene.put()
    with Collector.listening() as collector:
        hourly = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "3600000"}
        with scene.operator(environ=hourly) as running:
            scene.apply()
            scene.await_synced()
            assert collector.spans == []

            assert running.stop() == 0

    assert [span for span in collector.spans if synced(span)]


@story
def test_a_collector_that_is_away_is_told_once_and_is_in_nobodys_way(scene: LifeScene) -> None:
    value = scene.put()
    with scene.operator(environ={**QUICKLY, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}) as running:
        scene.apply()
        scene.await_content(password=value)
        scene.await_polls_elsewhere()

        began = time.monotonic()
        assert running.stop() == 0
        took = time.monotonic() - began

    told = [line for line in running.lines() if line.get("level") != "DEBUG" and "trace" in line["message"].lower()]
    assert [(line["message"], line["detail"]) for line in told] == [("traces are not delivered", "ConnectionError")]
    assert [line for line in running.lines() if line.get("logger", "").startswith("opentelemetry")] == []
    assert took < 6, "what it promises without traces"


@story
def test_a_collector_that_never_answers_delays_nothing_but_the_end_and_that_by_two_seconds(scene: LifeScene) -> None:
    value = scene.put()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        there = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with scene.operator(environ={"OTEL_EXPORTER_OTLP_ENDPOINT": there}) as running:
            scene.apply()
            scene.await_content(password=value)

            assert running.stop() == 0

    assert "Traceback" not in scene.log.read_text()


@story
def test_without_the_libraries_it_names_the_extra_that_has_them_and_ends(scene: LifeScene) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}

    with RunningOperator.start(environ, scene.log, program=WITHOUT_TRACING) as running:
        assert running.wait() == 2

    (line,) = [line for line in running.lines() if line["message"] == "cannot start"]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in line["detail"]
    assert "vaultsync[operator,tracing]" in line["detail"]
    assert "Traceback" not in scene.log.read_text()
