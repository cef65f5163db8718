"""Where a program is installed: a control plane and a Key Vault of its own; installs nothing."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.controlplane.plane import ControlPlane
from tests.emulator.client import EmulatedVault, Emulator

_ENVIRON: Final = os.environ  # noqa: TID251  what starts programs passes its environment on


@dataclass(frozen=True, slots=True)
class Site:
    """A control plane with the namespace of the benchmark, and a vault; no program is installed."""

    folder: Path
    tools: Mapping[str, Path]
    plane: ControlPlane
    emulator: Emulator
    vault: EmulatedVault
    refresh: int
    """The interval of all objects, in seconds."""

    def environ(self, others: Mapping[str, str]) -> dict[str, str]:
        """Return this process's environment, without settings of programs that are measured, and others."""
        kept = {name: text for name, text in _ENVIRON.items() if not name.startswith(("AZURE_", "VAULTSYNC_"))}
        return {**kept, **others}
