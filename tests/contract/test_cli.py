"""docs/cli.md has the commands and flags of the parser, and what the commands print."""

import argparse
import io
import re
import tomllib
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from tests.builders import READ_AT, a_grant, a_status, a_status_entry
from tests.manifests import as_stored, manifest, spec
from vaultsync.__main__ import main, parser
from vaultsync.api import ObjectKey
from vaultsync.api.schema import vault_secret_crd
from vaultsync.api.v1alpha1 import VaultSecretStatus
from vaultsync.cli import status, who_uses
from vaultsync.cli.doctor import rights
from vaultsync.cli.doctor.crds import crd_finding
from vaultsync.cli.doctor.findings import Report, ok
from vaultsync.cli.doctor.leader import leader_findings
from vaultsync.cli.doctor.vaults import vault_findings
from vaultsync.cli.doctor.vaultsecrets import found_from, one_findings
from vaultsync.cli.output import Cell, Output
from vaultsync.errors import NoLogin, Reason
from vaultsync.policy.leases import Lease
from vaultsync.state.access import TokenClaims
from vaultsync.state.grants import GrantView

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "cli.md").read_text()
EXAMPLES: Final = dict(re.findall(r"^```console\n\$ (vaultsync .*)\n((?:.*\n)*?)```$", PAGE, re.MULTILINE))
NOW: Final = READ_AT + timedelta(hours=50)


def commands() -> dict[str, argparse.ArgumentParser]:
    """The parsers of all commands."""
    (action,) = (one for one in parser()._actions if isinstance(one, argparse._SubParsersAction))
    return dict(action.choices)


def flags(parsers: Iterable[argparse.ArgumentParser]) -> set[str]:
    return {flag for one in parsers for action in one._actions for flag in action.option_strings} - {"-h", "--help"}


def test_the_page_lists_each_command_and_links_to_the_section_of_those_for_users() -> None:
    rows = re.findall(r"^\| `vaultsync ([-a-z]+)` \| (.*) \|$", PAGE, re.MULTILINE)
    listed = {name for name, _ in rows}

    # A command of another page is listed with a link to it.
    assert listed == {*commands(), "--version"}
    for name, text in rows:
        assert f"](#{name})" not in text or f"\n## {name}\n" in PAGE


def test_the_page_lists_each_flag_of_the_commands_for_users() -> None:
    documented = re.findall(r"^## ([-a-z]+)$", PAGE, re.MULTILINE)
    listed = re.findall(r"^\| ((?:`-[-a-z]+`(?:, )?)+|`-[A-Za-z]`, `--[-a-z]+`) \|", PAGE, re.MULTILINE)

    found = {flag.strip("`") for cell in listed for flag in cell.split(", ")}
    assert found == flags(commands()[name] for name in documented)


def test_the_wheel_has_both_programs() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]

    assert scripts == dict.fromkeys(("kubectl-vaultsync", "vaultsync"), "vaultsync.__main__:main")


def test_every_example_is_a_command_line_and_is_checked_here() -> None:
    for line in re.findall(r"^(?:\$ )?(?:.*-- |kubectl )?vaultsync ([-a-z].*)$", PAGE, re.MULTILINE):
        parser().parse_args(line.split("#")[0].split())
    assert EXAMPLES.keys() == {
        "vaultsync status -n shop",
        "vaultsync doctor -n shop db",
        "vaultsync refresh -n shop db",
        "vaultsync who-uses shop db-password -A",
        "vaultsync explain SecretDisabled",
    }


def body(name: str, state: VaultSecretStatus, *, namespace: str = "shop", **changes: object) -> dict[str, Any]:
    written = state.changed(observed_generation=1).to_wire()
    return {**as_stored(manifest({**spec(), **changes}, name=name, namespace=namespace)), "status": written}


def three() -> Iterator[dict[str, Any]]:
    yield body("web", a_status(reason="AccessDenied", since=NOW - timedelta(hours=5, minutes=30)))
    yield body("queue", a_status(reason="Suspended"))
    yield body("db", a_status(a_status_entry(expires=NOW + timedelta(days=9))))


def test_the_example_of_status() -> None:
    stream = io.StringIO()
    states = [status.state_of(one) for one in three()]

    output = Output(stream)
    rows = [state.row(NOW, with_namespace=False, is_wide=False) for state in states]
    output.table(status.titles(with_namespace=False, is_wide=False), rows)
    output.line(Cell(status.summary(states)))

    assert EXAMPLES["vaultsync status -n shop"] == stream.getvalue()


def test_the_example_of_doctor() -> None:
    stream = io.StringIO()
    message = "Secret db-password of vault https://shop.vault.azure.net is disabled."
    found = found_from(body("db", a_status(reason="SecretDisabled", message=message)))
    no_login = NoLogin(Reason.LOGIN_FAILED, "There is no Azure login: try az login, or set the variables AZURE_*.")
    lease = Lease(
        "vaultsync-0", "", "", "vaultsync-6d5f-x2x8k-1a2b3c4d", "", 0, "vaultsync.vaultsync-system", 1, frozenset()
    )
    needed = [*rights.needs("shop", lease_namespace="kube-system", name="db")]

    report = Report(Output(stream))
    for finding in (
        ok("cluster", "The Kubernetes API at https://10.0.0.1:443 responds."),
        crd_finding("vaultsecrets.vaultsync.dev", vault_secret_crd(), vault_secret_crd()),
        rights.finding(needed[0], is_allowed=True),
        rights.finding(needed[-1], is_allowed=False),
        *leader_findings([lease], {"vaultsync-0"}, lease_namespace="kube-system", namespace="shop"),
        *one_findings(found, GrantView({"shop": a_grant()}), now=NOW),
        *vault_findings("vault https://shop.vault.azure.net", no_login, TokenClaims(), proxy=None),
    ):
        report.add(finding)

    assert EXAMPLES["vaultsync doctor -n shop db"] == stream.getvalue()


def test_the_example_of_who_uses() -> None:
    stream = io.StringIO()
    bodies = [body("db", a_status(), namespace="billing"), body("db", a_status(), target={"name": "db-login"})]
    uses = [use for one in bodies if (use := who_uses.use_of(one, "shop", "db-password")) is not None]

    pods = {ObjectKey("shop", "db-login"): ["web-1", "web-2"]}
    Output(stream).table(who_uses.TITLES, [who_uses.row(use, pods) for use in uses])

    assert EXAMPLES["vaultsync who-uses shop db-password -A"] == stream.getvalue()


def test_the_example_of_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "SecretDisabled"]) == 0

    assert EXAMPLES["vaultsync explain SecretDisabled"] == capsys.readouterr().out
