"""docs/reasons.md documents every reason, condition and event, and no others."""

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Final

from tests.builders import READ_AT, a_status, a_synced
from tests.contract.test_operations import ROOT
from vaultsync.adapters.metrics.snapshot import PENDING
from vaultsync.api.v1alpha1 import Condition, StatusMissing, VaultSecretStatus
from vaultsync.controller.rollout import RESTART_FAILED, RESTARTED
from vaultsync.errors import Reason
from vaultsync.status.conditions import EXPIRING, STALE
from vaultsync.status.events import events_for
from vaultsync.status.outcome import Change, Outcome, Pruned

PAGE: Final = ROOT / "docs" / "reasons.md"
STATUS: Final = ROOT / "operator" / "vaultsync" / "status"
NOT_FAILURES: Final = {Reason.SYNCED, Reason.SUSPENDED, Reason.WAITING}
MODULES: Final = {STALE: STATUS / "freshness.py", EXPIRING: STATUS / "expiry.py"}
"""The modules that build each condition except Ready."""


def rows(first: str) -> list[list[str]]:
    """The cells of all tables whose first column has this heading."""
    blocks = re.findall(r"(?:^\|.*\n)+", PAGE.read_text(), re.MULTILINE)
    lines = chain.from_iterable(block.splitlines()[2:] for block in blocks if block.startswith(f"| {first} |"))
    return [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_wheel_contains_the_page_for_the_command_explain() -> None:
    copied = ROOT / "operator" / "vaultsync" / "cli" / "reasons.md"

    assert copied.read_bytes() == PAGE.read_bytes(), f"run: cp {PAGE.relative_to(ROOT)} {copied.relative_to(ROOT)}"


def test_the_page_lists_each_reason_once_and_pending() -> None:
    assert sorted(row[0] for row in rows("reason")) == sorted([*Reason, PENDING])


def test_the_page_has_the_sentence_of_each_reason() -> None:
    documented = {row[0]: row[1] for row in rows("reason") if row[0] != PENDING}

    assert documented == {reason: reason.sentence for reason in Reason}


def test_the_page_says_when_each_failure_is_retried_and_what_to_do() -> None:
    documented = {row[0]: row[2] for row in rows("reason") if row[0] not in {*NOT_FAILURES, PENDING}}

    assert documented == {reason: reason.retry for reason in set(Reason) - NOT_FAILURES}
    assert [row[0] for row in rows("reason") if not row[-1]] == []


def conditions_in(module: Path) -> Iterator[tuple[str, str]]:
    """Status and reason of each condition that a module builds from constants."""
    for node in ast.walk(ast.parse(module.read_text())):
        match node:
            case ast.Call(
                func=ast.Name(id="ConditionState"),
                args=[ast.Constant(value=str(status)), ast.Constant(value=str(reason)), _],
            ):
                yield status, reason


def conditions() -> set[tuple[str, str, str]]:
    """Type, status and reason of all conditions except Ready."""
    return {(kind, *found) for kind, module in MODULES.items() for found in conditions_in(module)}


def test_the_page_lists_each_reason_of_the_other_conditions() -> None:
    assert conditions()
    assert {(row[0], row[1], row[2]) for row in rows("condition")} == conditions()


def changes() -> Iterator[tuple[Outcome, VaultSecretStatus]]:
    """Every outcome that posts a separate event, with the status before."""
    for change in set(Change) - {Change.NONE, Change.DELETED}:
        yield replace(a_synced(change=change), warnings=("The chain of web ends.",)), a_status()
    yield Pruned(Reason.SECRET_NOT_FOUND, "Gone.", (), Change.DELETED), a_status()
    yield a_synced(), a_status(reason=Reason.ACCESS_DENIED)


def events() -> Iterator[tuple[str, str]]:
    """Reason and type of each event that is not named after a reason of Ready."""
    for outcome, before in changes():
        for event in events_for(before, a_status(), outcome):
            yield event.reason, event.kind
    for kind, status, reason in conditions():
        found = Condition(type=kind, status=status, reason=reason, message="Details.", last_transition_time=READ_AT)
        for event in events_for(a_status(), VaultSecretStatus(conditions=(found,)), a_synced()):
            yield event.reason, event.kind
    lost = a_status().model_copy(update={"missing": (StatusMissing(secret_name="gone", since=READ_AT),)})
    for event in events_for(a_status(), lost, replace(a_synced(), kept=frozenset({"password"}))):
        yield event.reason, event.kind
    yield RESTARTED, "Normal"
    yield RESTART_FAILED, "Warning"


def test_the_page_lists_each_event_and_its_type() -> None:
    assert {(row[0], row[1]) for row in rows("event")} == {*events()}


def test_other_pages_link_to_the_page() -> None:
    links = {
        "README.md": "docs/reasons.md",
        "docs/guide.md": "reasons.md",
        "docs/metrics.md": "reasons.md",
        "docs/operations.md": "reasons.md",
        "docs/runbooks/VaultsyncNotSynced.md": "../reasons.md",
    }

    assert [page for page, link in links.items() if f"]({link})" not in (ROOT / page).read_text()] == []
