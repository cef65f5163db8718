"""The page about reasons tells of every word by which people learn how a VaultSecret fares, and of no other."""

import ast
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from tests.builders import READ_AT, a_status, a_synced
from tests.contract.test_operations import ROOT
from vaultsync.adapters.metrics.snapshot import PENDING
from vaultsync.api.v1alpha1 import Condition, VaultSecretStatus
from vaultsync.controller.rollout import RESTART_FAILED, RESTARTED
from vaultsync.errors import Reason
from vaultsync.status.conditions import EXPIRING, STALE
from vaultsync.status.events import events_for
from vaultsync.status.outcome import Change, Outcome, Pruned

PAGE: Final = ROOT / "docs" / "reasons.md"
STATUS: Final = ROOT / "operator" / "vaultsync" / "status"
WELL: Final = {Reason.SYNCED, Reason.SUSPENDED}
SAYS: Final = {STALE: STATUS / "freshness.py", EXPIRING: STATUS / "expiry.py"}
"""Who says what of each condition but Ready."""


def rows(first: str) -> list[list[str]]:
    """The cells of all tables whose first column has that heading."""
    blocks = re.findall(r"(?:^\|.*\n)+", PAGE.read_text(), re.MULTILINE)
    lines = chain.from_iterable(block.splitlines()[2:] for block in blocks if block.startswith(f"| {first} |"))
    return [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_page_tells_of_each_reason_once_and_of_what_stands_in_its_place() -> None:
    assert sorted(row[0] for row in rows("reason")) == sorted([*Reason, PENDING])


def test_the_page_gives_each_reason_its_own_sentence() -> None:
    told = {row[0]: row[1] for row in rows("reason") if row[0] != PENDING}

    assert told == {reason: reason.sentence for reason in Reason}


def test_the_page_says_of_each_failure_when_it_is_tried_again_and_what_to_do() -> None:
    told = {row[0]: row[2] for row in rows("reason") if row[0] not in {*WELL, PENDING}}

    assert told == {reason: reason.retry for reason in set(Reason) - WELL}
    assert [row[0] for row in rows("reason") if not row[-1]] == []


def said_in(module: Path) -> Iterator[tuple[str, str]]:
    """Status and reason of everything that a module says, but for what it says once more."""
    for node in ast.walk(ast.parse(module.read_text())):
        match node:
            case ast.Call(
                func=ast.Name(id="ConditionState"),
                args=[ast.Constant(value=str(status)), ast.Constant(value=str(reason)), _],
            ):
                yield status, reason


def conditions() -> set[tuple[str, str, str]]:
    """Type, status and reason of all conditions but Ready."""
    return {(kind, *said) for kind, module in SAYS.items() for said in said_in(module)}


def test_the_page_tells_of_each_reason_of_the_other_conditions() -> None:
    assert conditions()
    assert {(row[0], row[1], row[2]) for row in rows("condition")} == conditions()


def deeds() -> Iterator[tuple[Outcome, VaultSecretStatus]]:
    """Each thing that can be done, with the status before it."""
    for change in set(Change) - {Change.NONE, Change.DELETED}:
        yield a_synced(change=change), a_status()
    yield Pruned(Reason.SECRET_NOT_FOUND, "Gone.", (), Change.DELETED), a_status()
    yield a_synced(), a_status(reason=Reason.ACCESS_DENIED)


def events() -> Iterator[tuple[str, str]]:
    """Word and type of each event but for those of reasons."""
    for outcome, before in deeds():
        for event in events_for(before, a_status(), outcome):
            yield event.reason, event.kind
    for kind, status, reason in conditions():
        said = Condition(type=kind, status=status, reason=reason, message="So it is.", last_transition_time=READ_AT)
        for event in events_for(a_status(), VaultSecretStatus(conditions=(said,)), a_synced()):
            yield event.reason, event.kind
    yield RESTARTED, "Normal"
    yield RESTART_FAILED, "Warning"


def test_the_page_tells_of_each_event_and_its_type() -> None:
    assert {(row[0], row[1]) for row in rows("event")} == {*events()}


def test_whoever_looks_for_a_reason_is_led_to_the_page() -> None:
    leading = {
        "README.md": "docs/reasons.md",
        "docs/guide.md": "reasons.md",
        "docs/metrics.md": "reasons.md",
        "docs/operations.md": "reasons.md",
        "docs/runbooks/VaultsyncNotSynced.md": "../reasons.md",
    }

    assert [page for page, link in leading.items() if f"]({link})" not in (ROOT / page).read_text()] == []
