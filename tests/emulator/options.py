"""What a vault can be set up with, for both ends of the control port; imports no server."""

from typing import TypedDict


class VaultOptions(TypedDict, total=False):
    """How a vault is set up; see `FakeVault`. `deletion_delay` is in seconds."""

    soft_delete: bool
    recoverable_days: int
    purge_protection: bool
    deletion_delay: float
    rbac: bool
