"""A control plane that outlives the command that started it; it is found by its folder, and `down` ends it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.controlplane.locks import locked
from tests.controlplane.plane import ApiServerPlane

_ROOT: Final = Path(__file__).parents[2]
_READY: Final = "ready\n"


class AlreadyRunning(Exception):
    """A control plane runs in this folder."""


class NotStarted(Exception):
    """The control plane in the background did not start; the message is its output."""


def up(folder: Path, crds: Path | None = None, *, controllers: bool = True) -> None:
    """Starts a control plane in the background, with its data in `folder`, and returns when it is ready.

    Args:
        folder: Its data, kubeconfig and logs.
        crds: A file or folder of CustomResourceDefinitions to install.
        controllers: Whether it has kube-controller-manager; without, it may be of programs that others installed.

    Raises:
        NotStarted: It did not start.
    """
    options = [f"--crds={crds.absolute()}"] if crds else []
    options += [] if controllers else ["--no-controllers"]
    keeper = subprocess.Popen(
        [sys.executable, "-m", "tests.controlplane", "hold", f"--dir={folder.absolute()}", *options],
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert keeper.stdout is not None
    with keeper.stdout as said:
        lines = list(iter(said.readline, ""))
    if lines[-1:] != [_READY]:
        raise NotStarted("".join(lines).strip())


def hold(plane: ApiServerPlane, crds: Path | None) -> None:
    """Runs `plane` until SIGTERM; prints that it is ready, and nothing after that."""
    with plane:
        if crds:
            plane.install(crds)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        sys.stdout.write(_READY)
        sys.stdout.flush()
        _close_output()
        signal.sigwait({signal.SIGTERM})


def down(folder: Path) -> bool:
    """Ends the control plane that runs in `folder` and returns when it has ended; False where none runs."""
    found = False

    def end() -> None:
        nonlocal found
        found = True
        os.kill(int(_pid(folder).read_text()), signal.SIGTERM)

    if folder.exists():
        with locked(folder / "lock", on_busy=end):
            pass
    return found


@contextmanager
def occupied(folder: Path) -> Iterator[None]:
    """Locks `folder` for this control plane, so that `down` finds this program.

    Raises:
        AlreadyRunning: Another one runs there.
    """

    def refuse() -> None:
        raise AlreadyRunning(f"A control plane runs in {folder} already; `down --dir {folder}` ends it.")

    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "lock", on_busy=refuse):
        _pid(folder).write_text(str(os.getpid()))
        yield


def _pid(folder: Path) -> Path:
    return folder / "pid"


def _close_output() -> None:
    # The starter stops reading now: later output would break the pipe.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
