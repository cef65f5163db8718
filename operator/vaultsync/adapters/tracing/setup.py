"""Whether the environment asks for tracing, and what begins and ends with it; imports OpenTelemetry only when asked."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Protocol, TypeAlias

from vaultsync.api import ObjectKey
from vaultsync.policy.requeue import Result

Work: TypeAlias = Callable[[ObjectKey, int], Awaitable[Result]]

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN = "http/protobuf"


class CannotTrace(Exception):
    """Tracing is asked for, and cannot be had; the text says what to change."""


class Tracing(Protocol):
    """What the operator tells of itself in spans."""

    def work(self, work: Work) -> Work:
        """Let each reconcile be a span."""
        ...

    def poll(self, vault_url: str) -> AbstractContextManager[None]:
        """Let one poll of a vault be a span."""
        ...

    def note(self, facts: Mapping[str, str | int], *, failed: bool) -> None:
        """Add how it ended to the reconcile or poll that runs."""
        ...


class Untraced:
    """Nobody asks: nothing is wrapped, nothing is told."""

    def work(self, work: Work) -> Work:
        """Give it back as it is."""
        return work

    def poll(self, vault_url: str) -> AbstractContextManager[None]:  # noqa: ARG002  there is nobody to tell
        """Let it be."""
        return nullcontext()

    def note(self, facts: Mapping[str, str | int], *, failed: bool) -> None:
        """Let it be."""


@asynccontextmanager
async def start_tracing(environ: Mapping[str, str], *, version: str) -> AsyncIterator[Tracing]:
    """Trace while the block lasts, if `environ` names where to; the rest of what it says is for OpenTelemetry to read.

    The client library finds the process's tracer by itself, so that only the first who traces in a process is heard.

    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/

    Raises:
        CannotTrace: It asks for tracing without the libraries being there, in a protocol that is not spoken, or with
            numbers that make no sense.
    """
    asked_by = _first(environ, _ENDPOINTS)
    if asked_by is None or _is_off(environ):
        yield Untraced()
        return
    _check_protocol(environ)
    try:
        from vaultsync.adapters.tracing.export import Delivery  # noqa: PLC0415  it may not be there
        from vaultsync.adapters.tracing.spans import Spans  # noqa: PLC0415  the same
    except ModuleNotFoundError as error:
        raise CannotTrace(
            f"{asked_by} is set, and the module {error.name} is not installed, without which no traces can be sent: "
            "pip install 'vaultsync[operator,tracing]', or unset the variable."
        ) from error
    try:
        delivery = Delivery.begin(version)
    except ValueError as error:
        raise CannotTrace(f"OpenTelemetry refuses what its variables say: {error}") from error
    delivery.listen_to_libraries()
    try:
        yield Spans(delivery.tracer)
    finally:
        await asyncio.to_thread(delivery.end)


def _is_off(environ: Mapping[str, str]) -> bool:
    return environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"


def _check_protocol(environ: Mapping[str, str]) -> None:
    """Refuse to begin in another protocol than is wanted: a collector that waits for that one would not tell why."""
    name = _first(environ, _PROTOCOLS)
    if name is not None and environ[name] != _SPOKEN:
        raise CannotTrace(f"{name}: traces are sent by {_SPOKEN}, most often to port 4318, and in no other way.")


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    """The first of these variables that says something."""
    return next((name for name in names if environ.get(name)), None)
