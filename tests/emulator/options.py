"""What a vault can be set up with, for both ends of the control port; imports no server."""

from datetime import timedelta
from typing import Any, TypedDict


class VaultOptions(TypedDict, total=False):
    """How a vault is set up; see `FakeVault`. `deletion_delay` is in seconds."""

    soft_delete: bool
    recoverable_days: int
    purge_protection: bool
    deletion_delay: float
    rbac: bool


def arguments_of(options: VaultOptions) -> dict[str, Any]:
    """Turn options, which must fit into JSON, into what `FakeVault` takes."""
    delay = timedelta(seconds=options.get("deletion_delay", 0.0))
    return {**options, "deletion_delay": delay}
