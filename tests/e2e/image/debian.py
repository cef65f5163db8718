"""Debian in a folder: made with debootstrap, entered with chroot. Needs root, and no container engine."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

SUITE: Final = "trixie"
"""Debian 13, which the Dockerfile's base is made from, and whose python3 has the version of that base."""

PYTHON_PACKAGES: Final = ("python3", "python3-venv", "ca-certificates")
"""Python with what the Dockerfile needs of its base."""

MACHINES_OWN: Final = tuple(
    path for path in ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt") if Path(path).exists()
)
"""What package downloads may need on this machine, and Debian does not have."""

_LINES_SHOWN: Final = 20

# It ends in an exec, so that the command gets the signals that are sent to it.
_ENTER: Final = """
set -e
root=$1; shift
while [ "$1" != -- ]; do
    mount --bind "$1" "$root$2"
    shift 2
done
shift
mount --rbind /dev "$root/dev"
mount --types proc proc "$root/proc"
exec chroot "$root" "$@"
"""


def why_impossible() -> str | None:
    """Return what is missing on this machine to make a Debian and to enter it, or None."""
    if os.geteuid() != 0:
        return "it needs root, for debootstrap and chroot"
    if shutil.which("debootstrap") is None:
        return "it needs the Debian package debootstrap"
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        return "it needs the right to mount file systems, which this container does not have"
    return None


def make(root: Path, packages: Iterable[str]) -> None:
    """Install a minimal Debian with some packages into a folder that does not exist yet."""
    run_quietly(["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", SUITE, root])


def run_quietly(command: Sequence[str | Path], environ: Mapping[str, str] | None = None) -> None:
    """Run a command that prints hundreds of lines; if it fails, print its last lines and exit."""
    done = subprocess.run(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit("\n".join(done.stdout.splitlines()[-_LINES_SHOWN:]))


def within(root: Path, bound: Iterable[tuple[Path, str]]) -> list[str | Path]:
    """Return the command prefix that runs a program in a Debian, with some files and folders of this machine in it.

    It shares this machine's network and /dev. The mounts end with the program.
    """
    binds: list[str | Path] = []
    for here, there in bound:
        place = root / there.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.mkdir(exist_ok=True) if here.is_dir() else place.touch()
        binds += [here, there]
    return ["unshare", "--mount", "/bin/sh", "-c", _ENTER, "enter", root, *binds, "--"]
