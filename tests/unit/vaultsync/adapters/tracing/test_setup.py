"""Whether tracing begins, and what becomes of it where it cannot."""

import subprocess
import sys
from collections.abc import Mapping

import pytest

from tests.collector import Collector
from vaultsync.adapters.tracing import CannotTrace, Untraced, start_tracing
from vaultsync.api import ObjectKey
from vaultsync.policy.requeue import Result

COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}

OURS_AND_A_LIBRARYS = """
import asyncio, os
from opentelemetry import trace
from vaultsync.adapters.tracing import start_tracing

async def main():
    async with start_tracing(os.environ, version="1.2.3") as tracing:
        with tracing.poll("https://shop.vault.azure.net"):
            with trace.get_tracer("kvsecrets").start_as_current_span("kvsecrets.list"):
                pass

asyncio.run(main())
"""

WHAT_IS_IMPORTED = """
import asyncio, sys
import vaultsync.manager
from vaultsync.adapters.tracing import start_tracing

async def main():
    async with start_tracing({}, version="1.2.3"):
        print([name for name in sys.modules if name in ("opentelemetry.sdk", "opentelemetry.exporter")])

asyncio.run(main())
"""


def output_of(program: str, environ: Mapping[str, str]) -> str:
    """Run a program in a process of its own: the process's tracer can be set only once."""
    paths = {"PYTHONPATH": "operator"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**paths, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:1"},
        {**COLLECTOR, "OTEL_SDK_DISABLED": "TRUE"},
        {**COLLECTOR, "OTEL_TRACES_EXPORTER": "none"},
    ],
    ids=["nothing says so", "the endpoint is empty", "it is for metrics", "OpenTelemetry is off", "traces are off"],
)
async def test_nothing_is_traced_when(environ: Mapping[str, str]) -> None:
    async with start_tracing(environ, version="1.2.3") as tracing:
        assert isinstance(tracing, Untraced)


async def test_untraced_work_is_not_even_wrapped() -> None:
    async def work(key: ObjectKey, failures: int) -> Result:
        return Result(None)

    assert Untraced().work(work) is work


def test_what_makes_and_sends_spans_is_not_even_imported_when_nobody_asks() -> None:
    assert output_of(WHAT_IS_IMPORTED, {}) == "[]\n"


def test_our_spans_and_those_of_libraries_go_to_the_collector_and_the_last_ones_at_the_end() -> None:
    with Collector.listening() as collector:
        output_of(OURS_AND_A_LIBRARYS, {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})

    (poll,) = [span for span in collector.spans if span.name == "poll"]
    assert [span.name for span in collector.below(poll)] == ["kvsecrets.list"]


@pytest.mark.parametrize("missing", ["opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http", "requests"])
async def test_a_library_that_is_missing_is_named_with_the_extra_that_has_it(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for name in [name for name in sys.modules if name.startswith(("vaultsync.adapters.tracing.", missing))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)

    with pytest.raises(CannotTrace) as refused:
        async with start_tracing(COLLECTOR, version="1.2.3"):
            pass

    assert "OTEL_EXPORTER_OTLP_ENDPOINT is set" in str(refused.value)
    assert missing in str(refused.value)
    assert "pip install 'vaultsync[operator,tracing]'" in str(refused.value)


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"])
async def test_a_protocol_that_is_not_spoken_is_refused(name: str) -> None:
    with pytest.raises(CannotTrace, match=f"{name}: traces are sent by http/protobuf"):
        async with start_tracing({**COLLECTOR, name: "grpc"}, version="1.2.3"):
            pass
