"""The arguments of the commands for users of a cluster; imports no command before it runs."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  argparse has no public name for it


def add_commands(commands: "Commands") -> None:
    """Add the commands for users of a cluster; each sets `run`, which is called with the options."""
    explain = commands.add_parser("explain", help="explain a reason, and say what to do")
    explain.add_argument("reason", metavar="REASON", help="as in the column REASON of kubectl get vaultsecrets")
    explain.set_defaults(run=_explain)


def _explain(options: argparse.Namespace) -> int:
    from vaultsync.cli import explain  # noqa: PLC0415  each command imports what it needs

    return explain.run(options.reason)
