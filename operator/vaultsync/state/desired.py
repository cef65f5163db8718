"""A target as it should be; renders nothing itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vaultsync.state.secrets import SecretState


@dataclass(frozen=True, slots=True)
class Desired:
    """A target as it should be; its text form does not show the values."""

    secrets: tuple[SecretState, ...]
    manifest: Mapping[str, Any] = field(repr=False)

    @property
    def keys(self) -> frozenset[str]:
        """The keys of its data."""
        return frozenset(self.manifest["data"])
