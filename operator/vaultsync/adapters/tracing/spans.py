"""Spans of reconciles and polls: each is the root of a trace, with the calls to the vault as children.

Attributes are names, numbers and fixed texts; never messages of errors, which may contain text of users.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.trace import StatusCode, Tracer, get_current_span

from vaultsync.api import ObjectKey
from vaultsync.policy.requeue import Result, Work


class Spans:
    """Creates spans with a tracer."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def work(self, work: Work) -> Work:
        """Wrap a reconcile function, so that each call is a span."""

        async def traced(key: ObjectKey, failures: int) -> Result:
            about = {"k8s.namespace.name": key.namespace, "vaultsync.vaultsecret": key.name}
            with self._root("reconcile", about):
                return await work(key, failures)

        return traced

    @contextmanager
    def poll(self, vault_url: str) -> Iterator[None]:
        """Create the span of one poll of a vault."""
        with self._root("poll", {"vaultsync.vault": vault_url}):
            yield

    def note(self, facts: Mapping[str, str | int], *, failed: bool) -> None:
        """Add the result to the current span; does nothing outside of one."""
        span = get_current_span()
        span.set_attributes({f"vaultsync.{name}": fact for name, fact in facts.items()})
        if failed:
            span.set_status(StatusCode.ERROR)

    @contextmanager
    def _root(self, name: str, attributes: Mapping[str, str]) -> Iterator[None]:
        """Start a trace. A task inherits the span of the code that started it, which need not be its cause."""
        with self._tracer.start_as_current_span(
            name, context=Context(), attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise
