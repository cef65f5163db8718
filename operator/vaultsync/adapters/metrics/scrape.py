"""Renders metrics for whoever scrapes, beside the event loop: happenings from a registry, states as they are now."""

import asyncio
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from vaultsync.adapters.metrics.per_vaultsecret import exposition
from vaultsync.adapters.metrics.recorder import Recorder
from vaultsync.adapters.metrics.snapshot import State, families

_END = b"# EOF\n"
"""How OpenMetrics ends; Prometheus' text just stops."""


class Scrapes:
    """Answers scrapes, one at a time.

    Ten thousand VaultSecrets are four megabytes. So the state is taken within the loop, where it cannot change
    meanwhile, and rendered in a thread, beside which the loop goes on.
    """

    def __init__(self, recorder: Recorder, *, state: Callable[[], State], per_vault_secret: bool) -> None:
        """`state` is called within the loop, and must be quick."""
        self._telemetry = recorder
        self._state = state
        self._per_vault_secret = per_vault_secret
        self._turn = asyncio.Lock()

    async def render(self, accept: str) -> tuple[bytes, str]:
        """Render everything in the format that an Accept header asks for; gives the text and its content type."""
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):
            # It asks for a version that is no number.
            encode, content_type = choose_encoder("")
        async with self._turn:
            state = self._state()
            self._telemetry.forget_vaults_but(state.vaults)
            text = await asyncio.to_thread(self._rendered, encode, state)
        return text, content_type

    def _rendered(self, encode: Callable[[Collector], bytes], state: State) -> bytes:
        text = encode(_Page(self._telemetry.registry, state))
        if not self._per_vault_secret:
            return text
        body = text.removesuffix(_END)
        return b"".join((body, exposition(state).encode(), text[len(body) :]))


class _Page(Collector):
    """The metrics of one scrape but for those of each VaultSecret."""

    def __init__(self, registry: CollectorRegistry, state: State) -> None:
        self._registry = registry
        self._state = state

    def collect(self) -> Iterator[Metric]:
        yield from self._registry.collect()
        yield from families(self._state)
