"""The command line: `vaultsync run`, `vaultsync crds` and `vaultsync version`; each loads only what it needs.

The client library alone installs this command too, so the operator's own libraries may be missing.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vaultsync import __version__

_OURS = frozenset({"kvsecrets", "vaultsync"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb, of the process's own command line if none is given; gives the process's exit code."""
    options = _parser().parse_args(arguments)
    try:
        match options.verb:
            case "run":
                return _run()
            case "crds":
                return _crds(options.write, options.check)
            case _:
                print(f"vaultsync {__version__}")
                return 0
    except _ExtraMissingError as missing:
        print(missing, file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vaultsync", description="Keeps Azure Key Vault secrets in Kubernetes Secrets."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("run", help="run the operator, with settings from the environment")
    crds = verbs.add_parser("crds", help="print the CustomResourceDefinitions: vaultsync crds | kubectl apply -f -")
    instead = crds.add_mutually_exclusive_group()
    instead.add_argument("--write", type=Path, metavar="DIR", help="write them into a folder instead")
    instead.add_argument("--check", type=Path, metavar="DIR", help="fail if that folder does not hold just them")
    verbs.add_parser("version", help="print the version")
    return parser


def _run() -> int:
    with _operator_extra():
        from vaultsync import manager as app  # noqa: PLC0415  `version` must work without the operator's libraries
    return app.main(os.environ)  # noqa: TID251  the environment enters here, and is passed on


def _crds(write: Path | None, check: Path | None) -> int:
    with _operator_extra():
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
        trouble = "is left over; delete it" if name not in files else f"is stale: run vaultsync crds --write {folder}"
        print(f"{folder / name} {trouble}", file=sys.stderr)
    return 1 if stale else 0


class _ExtraMissingError(Exception):
    pass


@contextmanager
def _operator_extra() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] in _OURS:
            raise
        raise _ExtraMissingError(
            f"The module {error.name} is not installed; the operator needs it: pip install 'vaultsync[operator]'"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
