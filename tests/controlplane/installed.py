"""Finds programs of the right version that are installed already; builds and installs none.

Tests use what their go.mod names, to the last digit; the demo takes what is there.
"""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TextIO

from tests.controlplane.build import API_SERVER, Tool, ensure_tools, is_built, version_of

_ANSWERS: Final = {"etcd": ("--version",), "kube-apiserver": ("--version",), "kubectl": ("version", "--client")}
_SECONDS: Final = 30.0
"""A guard against programs of the same name that do something else."""


def find_tools(environ: Mapping[str, str], out: TextIO) -> dict[str, Path]:
    """Where the programs of an API server are: those that are installed or built already; the others are built.

    Raises:
        GoMissing, BuildFailed: As `ensure_tools`.
    """
    missing = [tool for tool in API_SERVER if not is_built(tool, environ)]
    found = {tool.name: place for tool in missing if (place := _installed(tool, environ)) is not None}
    return {**found, **ensure_tools(environ, out, tuple(tool for tool in API_SERVER if tool.name not in found))}


def _installed(tool: Tool, environ: Mapping[str, str]) -> Path | None:
    """Its place, by setup-envtest or on PATH, if it is of the same minor version."""
    wanted = _minor(version_of(tool))
    candidates = [_of_envtest(environ, _minor(version_of(API_SERVER[1]))), environ.get("PATH")]
    for folder in candidates:
        program = shutil.which(tool.name, path=folder) if folder else None
        if program and _minor(_output(environ, program, *_ANSWERS[tool.name])) == wanted:
            return Path(program)
    return None


def _of_envtest(environ: Mapping[str, str], minor: str | None) -> str:
    """The folder that setup-envtest has installed this version to, if it is here; it downloads nothing."""
    program = shutil.which("setup-envtest", path=environ.get("PATH"))
    return _output(environ, program, "use", "--installed-only", "--print=path", f"{minor}.x").strip() if program else ""


def _output(environ: Mapping[str, str], *command: str) -> str:
    try:
        answer = subprocess.run(
            command, env=dict(environ), capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout if answer.returncode == 0 else ""


def _minor(text: str) -> str | None:
    found = re.search(r"\b[vV]?(\d+\.\d+)\.\d+", text)
    return found[1] if found else None
