"""`python -m tests.controlplane build | pin | run | up | down`: the control plane from a shell."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.controlplane import detached
from tests.controlplane.build import BuildFailed, ensure_tools
from tests.controlplane.cluster import KubectlFailed
from tests.controlplane.golang import GoMissing
from tests.controlplane.installed import find_tools
from tests.controlplane.parts import PartFailed
from tests.controlplane.pins import pin, release
from tests.controlplane.plane import ApiServerPlane, ControlPlane

_ENVIRON = os.environ  # noqa: TID251 - a command starts from its environment
_ERRORS = (BuildFailed, GoMissing, PartFailed, KubectlFailed, detached.AlreadyRunning, detached.NotStarted)


def main() -> int:
    """Runs the command line; the exit code is that of the command given to `run`."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        match options.verb:
            case "build":
                for name, place in ensure_tools(_ENVIRON, sys.stderr).items():
                    print(f"{name}: {place}")
            case "pin":
                print(f"pinned in {pin(options.version, _ENVIRON)}")
            case "run":
                return _run(options.dir, options.crds, options.command)
            case "up":
                _up(options.dir, options.crds)
            case "hold":
                with detached.occupied(options.dir):
                    detached.hold(_held(options.dir, controllers=options.controllers), options.crds)
            case "down":
                print("The control plane has ended." if detached.down(options.dir) else "No control plane runs there.")
    except _ERRORS as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.controlplane", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("build", help="build the programs that are not built yet, and say where they are")
    pins = verbs.add_parser("pin", help="pin another version of Kubernetes: pin 1.36.3")
    pins.add_argument("version", type=release)
    run = verbs.add_parser("run", help="run a command with a control plane around it: run -- kubectl get namespaces")
    start = verbs.add_parser("up", help="start a control plane in the background")
    hold = verbs.add_parser("hold", help="what `up` runs in the background")
    down = verbs.add_parser("down", help="end the control plane that `up` started")
    for verb in (run, start, hold, down):
        verb.add_argument("--dir", type=Path, required=verb is not run, help="its data, kubeconfig and logs")
    for verb in (run, start, hold):
        verb.add_argument("--crds", type=Path, help="a file or folder of CustomResourceDefinitions to install")
    hold.add_argument("--no-controllers", dest="controllers", action="store_false", help="an API server is enough")
    run.add_argument("command", nargs="+", metavar="COMMAND")
    return parser


def _plane(folder: Path) -> ControlPlane:
    return ControlPlane(ensure_tools(_ENVIRON, sys.stderr), folder)


def _held(folder: Path, *, controllers: bool) -> ApiServerPlane:
    return _plane(folder) if controllers else ApiServerPlane(find_tools(_ENVIRON, sys.stderr), folder)


def _run(given: Path | None, crds: Path | None, command: list[str]) -> int:
    folder = given or Path(tempfile.mkdtemp(prefix="controlplane-"))
    with detached.occupied(folder), _plane(folder) as plane:
        if crds:
            plane.install(crds)
        status = _status(command, {**_ENVIRON, **plane.environ(_ENVIRON.get("PATH", os.defpath))})
    if status != 0:
        print(f"{command[0]} ended with status {status}; the control plane's logs are in {plane.logs}", file=sys.stderr)
    elif given is None:
        shutil.rmtree(folder)
    return status


def _status(command: list[str], environ: dict[str, str]) -> int:
    try:
        return subprocess.call(command, env=environ)
    except OSError as error:
        print(error, file=sys.stderr)
        return 127  # the status of a shell for a command that it cannot run


def _up(folder: Path, crds: Path | None) -> None:
    tools = ensure_tools(_ENVIRON, sys.stderr)
    detached.up(folder, crds)
    print(f"export KUBECONFIG={folder.absolute() / 'kubeconfig'} PATH={tools['kubectl'].parent}:$PATH")


if __name__ == "__main__":
    sys.exit(main())
