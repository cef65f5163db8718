"""Renders all metrics outside of the event loop: counters from a registry, the state at the time of the scrape."""

import asyncio
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from vaultsync.adapters.metrics.per_vaultsecret import exposition
from vaultsync.adapters.metrics.recorder import Recorder
from vaultsync.adapters.metrics.snapshot import Snapshot, families

_END = b"# EOF\n"
"""The last line of OpenMetrics; Prometheus' text format has none."""


class Scrapes:
    """Renders scrapes, one at a time; concurrent scrapes of one format share it, however many clients there are.

    Ten thousand VaultSecrets are four megabytes. The state is read in the event loop, where it cannot change
    concurrently, and rendered in a thread, so that it does not block the loop.
    """

    def __init__(self, recorder: Recorder, *, state: Callable[[], Snapshot], per_vault_secret: bool) -> None:
        """`state` is called in the event loop, and must not block."""
        self._recorder = recorder
        self._state = state
        self._per_vault_secret = per_vault_secret
        self._lock = asyncio.Lock()
        self._shared: dict[str, asyncio.Task[bytes]] = {}
        """What is being rendered, by its content type."""

    async def render(self, accept: str) -> tuple[bytes, str]:
        """Render all metrics in the format of an Accept header; returns the body and its content type."""
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):
            # The Accept header has a version that is not a number.
            encode, content_type = choose_encoder("")
        task = self._shared.get(content_type)
        if task is None:
            task = self._shared[content_type] = asyncio.create_task(self._render(encode))
            task.add_done_callback(lambda _: self._shared.pop(content_type))
        # A client that leaves interrupts nothing: a thread cannot be cancelled, and the next one would be beside it.
        return await asyncio.shield(task), content_type

    async def _render(self, encode: Callable[[Collector], bytes]) -> bytes:
        async with self._lock:
            state = self._state()
            self._recorder.forget_vaults_except(state.vaults)
            return await asyncio.to_thread(self._rendered, encode, state)

    def _rendered(self, encode: Callable[[Collector], bytes], state: Snapshot) -> bytes:
        text = encode(_Page(self._recorder.registry, state))
        if not self._per_vault_secret:
            return text
        body = text.removesuffix(_END)
        return b"".join((body, exposition(state).encode(), text[len(body) :]))


class _Page(Collector):
    """The metrics of one scrape, except those of each VaultSecret."""

    def __init__(self, registry: CollectorRegistry, state: Snapshot) -> None:
        self._registry = registry
        self._state = state

    def collect(self) -> Iterator[Metric]:
        yield from self._registry.collect()
        yield from families(self._state)
