"""`python -m tests.e2e.image build | test | size`: a Debian with the image's Python and packages, and pytest in it.

`size` builds the image itself and prints what is in it beside its base, package by package, in megabytes.

The Debian and its virtual environment are made once, and kept under `$XDG_CACHE_HOME/vaultsync` in a folder named by
the content of what they are made from. The arguments after `test` are pytest's.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.controlplane.locks import locked
from tests.controlplane.progress import Progress, minutes
from tests.e2e.image import debian
from tests.e2e.image.buildah import built, megabytes

ROOT: Final = Path(__file__).parents[3]
_ENVIRON: Final = os.environ  # noqa: TID251 - proxies and places of caches are the caller's

_PACKAGES: Final = (*debian.PYTHON_PACKAGES, "git", "openssh-client")
"""Python, and the programs that tests run."""

_SOURCE: Final = "/src"
"""Where each checkout is in the Debian: its editable installation names this path, and so suits all checkouts."""

_PYTHON: Final = "/opt/tests/bin/python"
_PIP_INSTALL: Final = f"{_PYTHON} -m pip install --no-cache-dir --disable-pip-version-check"
# The lock file of the image comes first, installed and trimmed as the Dockerfile does: its packages are those that are
# tested.
_INSTALL: Final = f"""
set -e
python3 -m venv /opt/tests
{_PIP_INSTALL} --require-hashes --only-binary :all: -r requirements-image.lock
sh trim-packages.sh /opt/tests/lib/python3.*/site-packages
{_PIP_INSTALL} --require-hashes --only-binary :all: -r requirements.lock
{_PIP_INSTALL} --no-build-isolation --no-deps --editable .
"""
_INSTALLED: Final = ("requirements-image.lock", "trim-packages.sh", "requirements.lock")


def main(verb: str, *arguments: str) -> int:
    """Run the command line; the exit code of `test` is pytest's."""
    if reason := debian.why_impossible():
        sys.exit(
            f"Debian's Python cannot run here: {reason}. "
            "`make test-python PYTHON=python3.13` runs the tests on another Python of that version."
        )
    if verb == "size":
        return _print_sizes()
    cache = Path(_ENVIRON.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vaultsync"
    programs = cache / "controlplane"
    programs.mkdir(parents=True, exist_ok=True)
    root = _ensured(cache / "image-python")
    if verb == "build":
        return 0
    bound = [*_bound(), (programs, "/cache/vaultsync/controlplane")]
    return subprocess.call(_within(root, bound, _PYTHON, "-m", "pytest", *arguments), env=_environ())


def _print_sizes() -> int:
    with tempfile.TemporaryDirectory() as folder, built(Path(folder)) as image:
        (packages,) = image.own.glob("lib/python3.*/site-packages")
        sizes = {path.name: megabytes(path) for path in packages.iterdir()}
        lines = [f"{size:6} {name}" for name, size in sorted(sizes.items(), key=lambda each: -each[1]) if size > 1]
        sys.stdout.write(
            "\n".join([f"{megabytes(image.own):6} beside the base; of that, packages of more than 1:", *lines, ""])
        )
    return 0


def _ensured(cache: Path) -> Path:
    """Return the Debian with its virtual environment, after making it if there is none for these pins."""
    cache.mkdir(exist_ok=True)
    root = cache / _key()
    progress = Progress(sys.stderr)
    with locked(cache / "lock", lambda: progress.say("Another run makes the Debian: waiting for it.")):
        if not root.exists():
            partial = cache / "partial"
            shutil.rmtree(partial, ignore_errors=True)
            started = time.monotonic()
            progress.say(f"making a Debian {debian.SUITE} with the tests' packages (once): about two minutes")
            debian.make(partial, _PACKAGES)
            debian.run_quietly(_within(partial, _bound(), "/bin/sh", "-c", _INSTALL), _environ())
            partial.rename(root)
            progress.say(f"made {root} in {minutes(time.monotonic() - started)}")
    return root


def _within(root: Path, bound: list[tuple[Path, str]], *command: str) -> list[str | Path]:
    return [*debian.within(root, bound), "env", f"--chdir={_SOURCE}", *command]


def _bound() -> list[tuple[Path, str]]:
    """List what the Debian sees of this machine: the checkout, its repository, /tmp, and what packages are found by."""
    command = ["git", "rev-parse", "--path-format=absolute", "--git-common-dir"]
    repository = Path(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip())
    same = [*debian.MACHINES_OWN, "/etc/resolv.conf", "/etc/hosts", "/tmp"]  # noqa: S108 - shared on purpose
    return [(ROOT, _SOURCE), (repository, str(repository)), *((Path(path), path) for path in same)]


def _environ() -> Mapping[str, str]:
    return {
        **_ENVIRON,
        "PATH": "/opt/tests/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "XDG_CACHE_HOME": "/cache",
    }


def _key() -> str:
    described = tomllib.loads((ROOT / "pyproject.toml").read_text())
    installed = {"build-system": described["build-system"], "project": described["project"]}
    digest = hashlib.sha256(f"{debian.SUITE} {_PACKAGES} {_INSTALL} {installed}".encode())
    for name in _INSTALLED:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
