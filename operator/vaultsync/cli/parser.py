"""The arguments of the commands for users of a cluster; imports no command before it runs."""

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  argparse has no public name for it


def add_commands(commands: "Commands", environ: Mapping[str, str]) -> None:
    """Add the commands for users of a cluster; each sets `run`, which is called with the options.

    `environ` is where they find the cluster and the settings; it is one of the options.
    """
    add = (_add_status, _add_doctor, _add_refresh, _add_who_uses)
    for parser in [each(commands) for each in add]:
        parser.set_defaults(environ=environ)
    explain = commands.add_parser("explain", help="explain a reason, and say what to do")
    explain.add_argument("reason", metavar="REASON", help="as in the column REASON of kubectl get vaultsecrets")
    explain.set_defaults(run=_explain)


def _add_status(commands: "Commands") -> argparse.ArgumentParser:
    status = commands.add_parser("status", help="show all VaultSecrets, those that are not ready first")
    _add_cluster(status)
    _add_namespaces(status)
    _add_output(status, "wide", "json")
    status.add_argument("-w", "--watch", action="store_true", help="then show each VaultSecret that changes")
    status.set_defaults(run=_status)
    return status


def _add_doctor(commands: "Commands") -> argparse.ArgumentParser:
    doctor = commands.add_parser("doctor", help="check cluster, operator, grants and vaults, and say what to do")
    doctor.add_argument("name", metavar="NAME", nargs="?", help="one VaultSecret: why it is as it is")
    _add_cluster(doctor)
    _add_namespaces(doctor)
    _add_output(doctor, "json")
    doctor.set_defaults(run=_doctor, usage_error=doctor.error)
    return doctor


def _add_refresh(commands: "Commands") -> argparse.ArgumentParser:
    refresh = commands.add_parser("refresh", help="have the secrets of a VaultSecret read again now")
    refresh.add_argument("name", metavar="NAME", help="the VaultSecret")
    _add_cluster(refresh)
    _add_namespace(refresh)
    refresh.add_argument(
        "--timeout",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long to wait for the result; 0 for not at all",
    )
    refresh.set_defaults(run=_refresh)
    return refresh


def _add_who_uses(commands: "Commands") -> argparse.ArgumentParser:
    who_uses = commands.add_parser("who-uses", help="show what uses a vault, or a secret of it: VaultSecrets and pods")
    who_uses.add_argument("vault", metavar="VAULT", help="the vault's name, host or URL")
    who_uses.add_argument("secret", metavar="SECRET", nargs="?", help="a secret of the vault; all if omitted")
    _add_cluster(who_uses)
    _add_namespaces(who_uses)
    _add_output(who_uses, "json")
    who_uses.set_defaults(run=_who_uses)
    return who_uses


def _add_cluster(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--context", metavar="NAME", help="the context of the kubeconfig")
    parser.add_argument("--kubeconfig", metavar="FILE", help="the kubeconfig, in place of KUBECONFIG")
    parser.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="auto: on a terminal, if rich is installed"
    )


def _add_namespace(parser: Any) -> None:  # noqa: ANN401  a parser, or a group of its arguments
    parser.add_argument("-n", "--namespace", metavar="NAMESPACE", help="the namespace, in place of the context's")


def _add_namespaces(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    _add_namespace(which)
    which.add_argument("-A", "--all-namespaces", action="store_true", help="all namespaces")


def _add_output(parser: argparse.ArgumentParser, *formats: str) -> None:
    parser.add_argument("-o", "--output", choices=formats, help="the format, in place of the table")


def _status(options: argparse.Namespace) -> int:
    from vaultsync.cli import session, status  # noqa: PLC0415  each command imports what it needs

    return session.run(status.status, options)


def _doctor(options: argparse.Namespace) -> int:
    from vaultsync.cli import session  # noqa: PLC0415  the same
    from vaultsync.cli.doctor import command  # noqa: PLC0415  the same

    if options.name and options.all_namespaces:
        options.usage_error("NAME is of one namespace: omit -A")
    return session.run(command.doctor, options)


def _refresh(options: argparse.Namespace) -> int:
    from vaultsync.cli import refresh, session  # noqa: PLC0415  the same

    return session.run(refresh.refresh, options)


def _who_uses(options: argparse.Namespace) -> int:
    from vaultsync.cli import session, who_uses  # noqa: PLC0415  the same

    return session.run(who_uses.who_uses, options)


def _explain(options: argparse.Namespace) -> int:
    from vaultsync.cli.explain import explain  # noqa: PLC0415  the same

    return explain(options)
