"""The command line: `vaultsync run`, `vaultsync crds` and `vaultsync version`; each imports only what it needs."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from vaultsync import __version__
from vaultsync.garbage import frozen
from vaultsync.memory_protection import protect_memory
from vaultsync.partial_imports import check_installed, left_out

_IMPORTED_LATER = ("azure.identity", "cryptography", "liquid", "re2")
"""Packages that are large, and imported once a VaultSecret needs them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code; without arguments, those of the process are used."""
    options = _parser().parse_args(arguments)
    match options.command:
        case "run":
            return _run()
        case "crds":
            return _crds(options.write, options.check)
        case _:
            print(f"vaultsync {__version__}")
            return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vaultsync", description="Syncs Azure Key Vault secrets into Kubernetes Secrets."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("run", help="run the operator; settings are environment variables")
    crds = commands.add_parser("crds", help="print the CustomResourceDefinitions: vaultsync crds | kubectl apply -f -")
    output = crds.add_mutually_exclusive_group()
    output.add_argument("--write", type=Path, metavar="DIR", help="write them to a folder instead")
    output.add_argument("--check", type=Path, metavar="DIR", help="fail if a folder does not contain exactly them")
    commands.add_parser("version", help="print the version")
    return parser


def _run() -> int:
    # First of all: the environment may have a client secret.
    protect_memory()
    # httpx has a command line of its own, with what it imports.
    with frozen(), left_out("httpx._main"):
        check_installed(*_IMPORTED_LATER)
        from vaultsync import manager  # noqa: PLC0415  the other commands are quick
    return manager.main(os.environ)  # noqa: TID251  only this module reads the environment


def _crds(write: Path | None, check: Path | None) -> int:
    from vaultsync.api.schema import crd_files  # noqa: PLC0415  the same

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
