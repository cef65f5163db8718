"""The desired state of a target; renders nothing itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vaultsync.state.secrets import SecretState


@dataclass(frozen=True, slots=True)
class Desired:
    """The desired state of a target; `repr` hides the manifest, which has the values."""

    secrets: tuple[SecretState, ...]
    manifest: Mapping[str, Any] = field(repr=False)
    warnings: tuple[str, ...] = ()
    """What is wrong with the content although it can be written, in sentences."""
    created: bool = True
    """Whether the Secret is one that we create, or have created; false for one that is, or was, adopted."""
    metadata: str | None = None
    """The fingerprint of labels and annotations that come from the vault; None if there are none."""
    notes: tuple[str, ...] = ()
    """Why some of these are empty, in sentences."""
    spec_content: str | None = None
    """The fingerprint of the spec by which all of its content is: that of an earlier one, while that has keys kept."""

    @property
    def keys(self) -> frozenset[str]:
        """The keys of its data."""
        return frozenset(self.manifest["data"])
