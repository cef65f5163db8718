"""The outcome while something is not known about a vault: its failure, or a wait for its next poll; polls nothing."""

from vaultsync.state.vaults import VaultView
from vaultsync.status.outcome import Failed, Waiting, failed


def failed_or_waiting(view: VaultView, message: str) -> Failed | Waiting:
    """Return the failure of the vault's polls, or Waiting for the next poll, with that message."""
    return Waiting(message, after_poll=view.polls) if view.failure is None else failed(view.failure)
