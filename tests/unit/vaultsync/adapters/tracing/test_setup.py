"""When tracing starts, and the errors that prevent it."""

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
from vaultsync.adapters.tracing import export, start_tracing

async def main():
    export.FLUSH_TIMEOUT = 600
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
    """Run a program in a separate process: the process's tracer can be set only once."""
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


async def test_without_tracing_nothing_is_wrapped() -> None:
    async def work(key: ObjectKey, failures: int) -> Result:
        return Result(None)

    assert Untraced().work(work) is work


@pytest.mark.slow
def test_without_tracing_opentelemetry_is_not_imported() -> None:
    assert output_of(WHAT_IS_IMPORTED, {}) == "[]\n"


@pytest.mark.slow
def test_our_spans_and_those_of_libraries_are_exported_until_the_end() -> None:
    with Collector.listening() as collector:
        output_of(OURS_AND_A_LIBRARYS, {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})

    (poll,) = [span for span in collector.spans if span.name == "poll"]
    assert [span.name for span in collector.below(poll)] == ["kvsecrets.list"]


@pytest.mark.parametrize("missing", ["opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http", "requests"])
async def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name in [name for name in sys.modules if name.startswith(("vaultsync.adapters.tracing.", missing))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)

    with pytest.raises(CannotTrace) as refused:
        async with start_tracing(COLLECTOR, version="1.2.3"):
            pass

    assert "OTEL_EXPORTER_OTLP_ENDPOINT is set" in str(refused.value)
    assert missing in str(refused.value)
    assert "pip install 'vaultsync[tracing]'" in str(refused.value)


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"])
async def test_an_unsupported_protocol_is_an_error(name: str) -> None:
    with pytest.raises(CannotTrace, match=f"{name}: only http/protobuf is supported"):
        async with start_tracing({**COLLECTOR, name: "grpc"}, version="1.2.3"):
            pass
