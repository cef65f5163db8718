"""The command line: the operator itself, its CustomResourceDefinitions, and the commands for users of a cluster.

Each command imports what it needs when it runs: the operator has none of the others in memory.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from vaultsync import __version__
from vaultsync.cli.parser import add_commands
from vaultsync.convert.command import add_command
from vaultsync.garbage import frozen
from vaultsync.memory_protection import protect_memory
from vaultsync.partial_imports import check_installed, left_out

_IMPORTED_LATER = ("azure.identity", "cryptography", "liquid", "re2")
"""Packages that are large, and imported once a VaultSecret needs them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code; without arguments, those of the process are used."""
    options = parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    return run(options)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; each sets `run`, which is called with the options."""
    # kubectl starts this program for `kubectl vaultsync`.
    is_plugin = Path(sys.argv[0]).name.startswith("kubectl-")
    parser = argparse.ArgumentParser(
        prog="kubectl vaultsync" if is_plugin else "vaultsync",
        description="Syncs Azure Key Vault secrets into Kubernetes Secrets.",
    )
    parser.add_argument("--version", action="version", version=f"vaultsync {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the operator; settings are environment variables")
    run.set_defaults(run=_run)
    crds = commands.add_parser("crds", help="print the CustomResourceDefinitions: vaultsync crds | kubectl apply -f -")
    output = crds.add_mutually_exclusive_group()
    output.add_argument("--write", type=Path, metavar="DIR", help="write them to a folder instead")
    output.add_argument("--check", type=Path, metavar="DIR", help="fail if a folder does not contain exactly them")
    crds.set_defaults(run=_crds)
    add_commands(commands, os.environ)  # noqa: TID251  only this module reads the environment
    add_command(commands)
    return parser


def _run(_: argparse.Namespace) -> int:
    # First of all: the environment may have a client secret.
    protect_memory()
    # httpx has a command line of its own, with what it imports.
    with frozen(), left_out("httpx._main"):
        check_installed(*_IMPORTED_LATER)
        from vaultsync import manager  # noqa: PLC0415  the other commands are quick
    return manager.main(os.environ)  # noqa: TID251  the same


def _crds(options: argparse.Namespace) -> int:
    from vaultsync.api.schema import crd_files  # noqa: PLC0415  the same

    write: Path | None = options.write
    check: Path | None = options.check
    files = crd_files()
    if write is not None:
        write.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (write / name).write_bytes(content)
    elif check is not None:
        return _compare(check, files)
    else:
        print("---\n".join(content.decode() for content in files.values()), end="")
    return 0


def _compare(folder: Path, files: dict[str, bytes]) -> int:
    found = {path.name: path.read_bytes() for path in folder.glob("*.yaml")}
    stale = sorted(name for name in files.keys() | found.keys() if files.get(name) != found.get(name))
    for name in stale:
        problem = "is not a CRD; delete it" if name not in files else f"is stale: run vaultsync crds --write {folder}"
        print(f"{folder / name} {problem}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
