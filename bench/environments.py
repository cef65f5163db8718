"""Separate Python environments for what is measured, so that each program has its requirements and no more."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.emulator.client import ROOT

_UV = (sys.executable, "-m", "uv", "--quiet", "--no-progress")


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment, and where its Python is."""

    python: Path

    @classmethod
    def make(cls, folder: Path, packages: Sequence[str]) -> Self:
        """Create one with these packages, where `.` is this checkout, in the versions of requirements.lock."""
        subprocess.run([*_UV, "venv", "--python", sys.executable, folder], cwd=ROOT, check=True)
        made = cls(folder / "bin" / "python")
        install = ("pip", "install", "--compile-bytecode", "--constraint", "requirements.lock")
        subprocess.run([*_UV, *install, "--python", str(made.python), *packages], cwd=ROOT, check=True)
        return made

    def installed(self) -> list[str]:
        """Return the installed packages with their versions, without this checkout."""
        freeze = (*_UV, "pip", "freeze", "--python", str(self.python))
        lines = subprocess.run(freeze, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
        return [line.replace("==", " ") for line in lines if "==" in line]
