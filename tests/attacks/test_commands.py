"""Attacks on whoever runs the commands for users: by what the cluster shows them, and by the vaults that it names."""

import io
from datetime import UTC, datetime
from typing import Final

from tests.builders import a_status
from tests.manifests import as_stored, manifest, spec
from vaultsync.cli.doctor.findings import Report, Result
from vaultsync.cli.doctor.leader import leader_findings
from vaultsync.cli.doctor.vaults import VaultChecks, Wanted
from vaultsync.cli.doctor.vaultsecrets import found_from, one_findings
from vaultsync.cli.output import Color, open_output
from vaultsync.cli.status import state_of, titles
from vaultsync.policy.leases import Lease
from vaultsync.settings import Settings
from vaultsync.state.secrets import SecretRef

FORGED: Final = "Fine.\r\n  ✓ Synced\x1b[2J\x1b]52;c;cm0gLXJm\x07\u202e\x9b1A"
"""A line of its own, and sequences that clear the screen, write to the clipboard, reverse the text, move the cursor."""

NOW: Final = datetime(2026, 3, 1, 13, 0, tzinfo=UTC)


class Terminal(io.StringIO):
    """A terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def assert_is_harmless(text: str, *, lines: int) -> None:
    assert len(text.splitlines()) == lines
    assert not {"\r", "\x07", "\u202e", "\x9b"} & set(text)
    assert "\x1b[2J" not in text
    assert "\x1b]" not in text


def test_a_forged_condition_reaches_no_terminal_as_it_is() -> None:
    """A tenant who may write the status of VaultSecrets writes terminal escapes into it, for whoever runs `status`."""
    stored = as_stored(manifest(spec(vaultUrl=FORGED), name="db"))
    state = state_of({**stored, "status": a_status(reason=FORGED, message=FORGED).to_wire()})
    terminal = Terminal()

    row = state.row(NOW, with_namespace=True, is_wide=False)
    open_output(terminal, {}, Color.AUTO).table(["NAMESPACE", "NAME", "READY", "REASON", "SUCCESS", "EXPIRES"], [row])

    assert_is_harmless(terminal.getvalue(), lines=2)


def test_a_forged_condition_adds_no_line_to_a_report() -> None:
    """The same for whoever runs `doctor`: a line that says that all is well."""
    stored = as_stored(manifest(spec(), name="db"))
    status = a_status(reason="AccessDenied", message=FORGED).changed(observed_generation=1)
    terminal = Terminal()

    report = Report(open_output(terminal, {}, Color.NEVER))
    for finding in one_findings(found_from({**stored, "status": status.to_wire()}), None, now=NOW):
        report.add(finding)

    assert_is_harmless(terminal.getvalue(), lines=3)
    assert not any(line.startswith("  ✓") for line in terminal.getvalue().splitlines())


def test_a_forged_reason_makes_no_column_wider_than_a_name() -> None:
    """A tenant makes the table of whoever runs `status -A` unreadable, and with it the VaultSecrets of others."""
    stored = as_stored(manifest(spec(), name="db"))
    status = a_status(reason="x" * 4000).changed(observed_generation=1)
    terminal = Terminal()

    rows = [state_of({**stored, "status": status.to_wire()}).row(NOW, with_namespace=True, is_wide=False)]
    open_output(terminal, {}, Color.NEVER).table(titles(with_namespace=True, is_wide=False), rows)

    assert max(map(len, terminal.getvalue().splitlines())) < 250


async def test_a_vault_of_the_tenants_own_domain_gets_no_token_of_an_administrator() -> None:
    """A tenant names a host of their own as the vault, and waits for an administrator to run `doctor`."""
    wanted = Wanted("https://shop.vault.azure.net.attacker.example", (SecretRef("db-password"),))

    async with VaultChecks(Settings(), {}, lambda: NOW) as checks:
        (finding,) = await checks.check(wanted)

    assert finding.result is Result.UNKNOWN
    assert finding.text.startswith("Not called: ")


def test_a_lease_that_nobody_renews_is_no_leader() -> None:
    """Who may write Leases once, with a time of renewal in the far future, claims that there is a leader."""
    lease = Lease("a-0", "u", "1", "pod", "2999-01-01T00:00:00.000000Z", 0, "a", 1)

    (finding,) = leader_findings([lease], set(), lease_namespace="kube-system", namespace=None)

    assert finding.result is Result.FAILED
