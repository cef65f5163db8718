"""OpenTelemetry spans, exported by OTLP over HTTP if the environment configures it; contains no values or messages."""

from vaultsync.adapters.tracing.setup import CannotTrace, Tracing, Untraced, start_tracing

__all__ = ["CannotTrace", "Tracing", "Untraced", "start_tracing"]
