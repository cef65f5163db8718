"""The command `vaultsync convert`: reads files, prints documents to stdout and findings to stderr."""

import argparse
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vaultsync.texts import MAX_MESSAGE, one_line

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  argparse has no public name for it

_EPILOG: Final = """\
Reads manifests of External Secrets, akv2k8s, the Secrets Store CSI driver and secrets-store-sync-controller:
  kubectl get secretstore,clustersecretstore,externalsecret,serviceaccount -A -o yaml | vaultsync convert - >moved.yaml

exit codes: 0, all is converted; 1, there are findings on stderr; 2, the input cannot be read
"""


def add_command(commands: "Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "convert",
        help="convert manifests of other operators into VaultSecrets and VaultGrants",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="manifests in YAML or JSON; - is the standard input")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the documents to a file instead")
    parser.add_argument("-n", "--namespace", default="", help="the namespace of objects that have none")
    parser.add_argument(
        "--vault-suffix",
        default="vault.azure.net",
        metavar="DOMAIN",
        help="the domain of vaults that akv2k8s names without it (default: vault.azure.net)",
    )
    parser.add_argument("--adopt", action="store_true", help="let the VaultSecrets take over Secrets that consent")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    try:
        importlib.import_module("ruamel.yaml")
    except ImportError:
        print("vaultsync convert needs more packages: pip install 'vaultsync[cli]'", file=sys.stderr)
        return 2
    from vaultsync.convert import core  # noqa: PLC0415  it needs those packages
    from vaultsync.convert.findings import UnusableInput  # noqa: PLC0415  the same

    try:
        files = {_name(file): _read(file) for file in dict.fromkeys(options.files)}
        conversion = core.convert(files, core.Options(options.namespace, options.vault_suffix, options.adopt))
        if options.output is not None:
            options.output.write_text(conversion.text, encoding="utf-8")
    except (OSError, UnicodeDecodeError, UnusableInput) as error:
        print(f"vaultsync convert: {one_line(str(error), MAX_MESSAGE)}", file=sys.stderr)
        return core.UNUSABLE
    for finding in conversion.findings:
        print(finding, file=sys.stderr)
    if options.output is None:
        print(conversion.text, end="")
    return conversion.exit_code


def _name(file: str) -> str:
    return "<stdin>" if file == "-" else file


def _read(file: str) -> str:
    """Read a file, but not much more than is allowed."""
    from vaultsync.convert.reading import MAX_BYTES  # noqa: PLC0415  the same

    with sys.stdin.buffer if file == "-" else Path(file).open("rb") as stream:
        return stream.read(MAX_BYTES + 1).decode("utf-8-sig")
