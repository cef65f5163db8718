"""Spans for OpenTelemetry, sent by OTLP over HTTP, if the environment asks for that; knows no value and no message."""

from vaultsync.adapters.tracing.setup import CannotTrace, Tracing, Untraced, start_tracing

__all__ = ["CannotTrace", "Tracing", "Untraced", "start_tracing"]
