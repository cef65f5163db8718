"""`vaultsync explain`: from the page that the wheel contains."""

import pytest

from vaultsync.__main__ import main
from vaultsync.cli.explain import advice, explanations
from vaultsync.errors import Reason


@pytest.mark.parametrize("reason", list(Reason))
def test_each_reason_is_explained(reason: Reason, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", reason.lower()]) == 0

    shown = capsys.readouterr().out
    assert f"reason: {reason}\nmeans: {reason.sentence}\n" in shown
    assert advice(reason) in shown


def test_a_link_is_printed_with_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    main(["explain", "VaultUnreachable"])

    assert "VaultsyncVaultUnreachable (docs/runbooks/VaultsyncVaultUnreachable.md)" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["Stale", "Rotated", "ExpiresSoon", "notconfirmed"])
def test_conditions_and_events_are_explained(name: str) -> None:
    assert explanations(name) != []


def test_an_unknown_reason_is_an_error_that_names_those_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "Nonsense\x1b[2J"]) == 2

    error = capsys.readouterr().err
    assert "no reason Nonsense [2J; these exist: Synced, " in error
