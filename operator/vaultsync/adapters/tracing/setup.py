"""Starts and stops tracing if the environment configures it; imports OpenTelemetry only then."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Protocol

from vaultsync.policy.requeue import Work

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SUPPORTED = "http/protobuf"


class CannotTrace(Exception):
    """Tracing is configured, but cannot start; the text says what to change."""


class Tracing(Protocol):
    """Spans of the operator's work."""

    def work(self, work: Work) -> Work:
        """Wrap a reconcile function, so that each call is a span."""
        ...

    def poll(self, vault_url: str) -> AbstractContextManager[None]:
        """Return a context for one poll of a vault, which is a span."""
        ...

    def note(self, facts: Mapping[str, str | int], *, failed: bool) -> None:
        """Add the result to the span of the current reconcile or poll."""
        ...


class Untraced:
    """Tracing is not configured: no spans."""

    def work(self, work: Work) -> Work:
        """Return it unchanged."""
        return work

    def poll(self, vault_url: str) -> AbstractContextManager[None]:  # noqa: ARG002  there is no span
        """Do nothing."""
        return nullcontext()

    def note(self, facts: Mapping[str, str | int], *, failed: bool) -> None:
        """Do nothing."""


@asynccontextmanager
async def start_tracing(environ: Mapping[str, str], *, version: str, ca_file: str = "") -> AsyncIterator[Tracing]:
    """Trace within the context, if `environ` has an endpoint; OpenTelemetry reads the other variables itself.

    The collector's certificate may be of an authority in `ca_file`, as it is now.

    The client library uses the tracer provider of the process, which only the first call in a process can set.

    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/

    Raises:
        CannotTrace: The libraries are not installed, the protocol is not supported, or a variable is not valid.
    """
    variable = _first(environ, _ENDPOINTS)
    if variable is None or _is_off(environ):
        yield Untraced()
        return
    _check_protocol(environ)
    try:
        from vaultsync.adapters.tracing.export import Delivery  # noqa: PLC0415  an optional dependency
        from vaultsync.adapters.tracing.spans import Spans  # noqa: PLC0415  the same
    except ModuleNotFoundError as error:
        raise CannotTrace(
            f"{variable} is set, but the module {error.name} is not installed: "
            "pip install 'vaultsync[tracing]', or unset the variable."
        ) from error
    try:
        delivery = Delivery.start(version, ca_file)
    except ValueError as error:
        raise CannotTrace(f"A variable of OpenTelemetry is not valid: {error}") from error
    delivery.trace_libraries()
    try:
        yield Spans(delivery.tracer)
    finally:
        await asyncio.to_thread(delivery.stop)


def _is_off(environ: Mapping[str, str]) -> bool:
    return environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"


def _check_protocol(environ: Mapping[str, str]) -> None:
    """Raise for another protocol than the supported one, as its collector would drop the spans without an error."""
    name = _first(environ, _PROTOCOLS)
    if name is not None and environ[name] != _SUPPORTED:
        raise CannotTrace(f"{name}: only {_SUPPORTED} is supported, usually on port 4318.")


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    """Return the first of these variables that is set and not empty."""
    return next((name for name in names if environ.get(name)), None)
