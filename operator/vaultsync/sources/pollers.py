"""The pollers of all vaults that anybody asks: begun with the first who asks, ended after the last; polls nothing."""

import asyncio
from collections.abc import Callable

from vaultsync.sources.poller import Health, Poller
from vaultsync.state.vaults import VaultView
from vaultsync.state.vaultsecrets import VaultSecretCache


class Polls:
    """The pollers of all vaults that anybody asks."""

    def __init__(
        self, start: Callable[[str], Poller], vaultsecrets: VaultSecretCache, *, may_ask: Callable[[str], bool]
    ) -> None:
        """`start` makes a poller for a vault; vaults that `may_ask` refuses are never spoken to."""
        self._make = start
        self._vaultsecrets = vaultsecrets
        self._may_ask = may_ask
        self._pollers: dict[str, Poller] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def view(self, vault_url: str) -> VaultView:
        """What is known of that vault."""
        poller = self._pollers.get(vault_url)
        return VaultView() if poller is None else poller.view

    def health(self, vault_url: str) -> Health | None:
        """How the polls of that vault go; None before the first has ended."""
        poller = self._pollers.get(vault_url)
        return None if poller is None else poller.health

    def answered(self, vault_url: str) -> None:
        """Let that vault's poller know that a reading has succeeded."""
        poller = self._pollers.get(vault_url)
        if poller is not None:
            poller.answered()

    def adapt(self) -> None:
        """Start pollers for vaults that are newly asked, end those that nobody asks any more."""
        wanted = set(self._vaultsecrets.vaults())
        for vault_url in self._tasks.keys() - wanted:
            self._tasks.pop(vault_url).cancel()
            del self._pollers[vault_url]
        for vault_url in filter(self._may_ask, wanted - self._tasks.keys()):
            poller = self._pollers[vault_url] = self._make(vault_url)
            self._tasks[vault_url] = asyncio.create_task(poller.run(), name=f"poller {vault_url}")

    def hurry(self, vault_url: str, *, now: bool = False) -> None:
        """Let that vault's poller reckon its next poll again, or poll at once."""
        poller = self._pollers.get(vault_url)
        if poller is not None:
            poller.hurry(now=now)

    async def stop(self) -> None:
        """End all pollers."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
