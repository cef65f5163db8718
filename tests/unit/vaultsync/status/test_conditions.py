"""Conditions from their states."""

from datetime import datetime, timedelta
from typing import Final

import pytest

from tests.builders import READ_AT, a_status, a_vault_secret
from vaultsync.api.v1alpha1 import Condition, VaultSecretStatus
from vaultsync.errors import Reason, Retry
from vaultsync.status.conditions import (
    READY,
    RECONCILING,
    STALE,
    STALLED,
    ConditionState,
    condition,
    next_condition,
    progress,
)

LATER = READ_AT + timedelta(hours=1)
AWAY = ConditionState("False", "VaultUnreachable", "No answer.")


def test_a_condition_is_found_by_its_type() -> None:
    assert condition(a_status(), READY) == a_status().conditions[0]
    assert condition(a_status(), STALE) is None


def test_a_condition_has_the_status_reason_and_message_of_its_state() -> None:
    made = next_condition(a_vault_secret(metadata={"generation": 7}), READY, AWAY, now=LATER)

    assert made == Condition(
        type="Ready",
        status="False",
        reason="VaultUnreachable",
        message="No answer.",
        last_transition_time=LATER,
        observed_generation=7,
    )


def test_a_condition_that_stays_is_not_built_again() -> None:
    """Most reconciles change nothing, and building it costs more than comparing it."""
    before = next_condition(a_vault_secret(), READY, AWAY, now=READ_AT)
    vault_secret = a_vault_secret(status=VaultSecretStatus(conditions=(before,)))

    assert next_condition(vault_secret, READY, AWAY, now=LATER) is before


@pytest.mark.parametrize(
    ("status", "since"),
    [(VaultSecretStatus(), LATER), (a_status(), LATER), (a_status(reason="AccessDenied"), READ_AT)],
    ids=["the first", "another status", "the same status for another reason"],
)
def test_only_a_new_status_moves_the_transition_time(status: VaultSecretStatus, since: object) -> None:
    assert next_condition(a_vault_secret(status=status), READY, AWAY, now=LATER).last_transition_time == since


@pytest.mark.parametrize(
    ("before", "message", "kept"),
    [
        ("Denied. Request id: 1-a.", "Denied. Request id: 2-b.", True),
        ("Denied. Request id: 1-a.", "Denied.", True),
        ("Denied. Request id: 1-a.", "Refused. Request id: 1-a.", False),
        ("Denied. Request id: a b.", "Denied. Request id: 2-b.", False),
        ("Denied. Request id: 1-a. More.", "Denied. Request id: 2-b. More.", False),
    ],
)
def test_a_message_is_kept_while_only_its_request_id_is_another(before: str, message: str, kept: bool) -> None:
    status = a_status(reason="AccessDenied", message=before)

    made = next_condition(
        a_vault_secret(status=status), READY, ConditionState("False", "AccessDenied", message), now=LATER
    )

    assert made.message == (before if kept else message)


def a_ready(status: str, reason: str, message: str = "Why.", *, at: datetime = READ_AT) -> Condition:
    return Condition(
        type=READY, status=status, reason=reason, message=message, last_transition_time=at, observed_generation=3
    )


PROGRESS: Final = {
    **{("False", reason): STALLED for reason in Reason if reason.retry is Retry.LATER},
    **{("False", reason): RECONCILING for reason in Reason if reason.retry is Retry.SOON},
    ("Unknown", Reason.SUSPENDED): STALLED,
    ("Unknown", Reason.WAITING): RECONCILING,
    # Of a grant whose identity may not list secrets: whether it may read them is not known.
    ("Unknown", Reason.ACCESS_DENIED): RECONCILING,
}
"""The condition beside Ready, by its status and reason."""


@pytest.mark.parametrize(("ready", "kind"), PROGRESS.items(), ids=["-".join(pair) for pair in PROGRESS])
def test_what_is_not_ready_is_stalled_or_reconciling_for_the_same_reason(ready: tuple[str, Reason], kind: str) -> None:
    (made,) = progress(a_ready(*ready), (), now=LATER)

    expected = ("True", ready[1], "Why.", 3, LATER)
    found = (made.status, made.reason, made.message, made.observed_generation, made.last_transition_time)
    assert (made.type, found) == (kind, expected)


@pytest.mark.parametrize("reason", ["Synced", "Reachable", "Unused"])
def test_what_is_ready_is_neither_stalled_nor_reconciling(reason: str) -> None:
    before = progress(a_ready("False", Reason.SECRET_NOT_FOUND), (), now=READ_AT)

    assert progress(a_ready("True", reason), before, now=LATER) == ()


@pytest.mark.parametrize(
    ("reason", "since"),
    [(Reason.ACCESS_DENIED, READ_AT), (Reason.SECRET_NOT_FOUND, READ_AT), (Reason.VAULT_UNREACHABLE, LATER)],
    ids=["the same", "stalled for another reason", "reconciling"],
)
def test_it_is_so_since_it_is_there(reason: Reason, since: datetime) -> None:
    before = progress(a_ready("False", Reason.ACCESS_DENIED), (), now=READ_AT)

    (made,) = progress(a_ready("False", reason), before, now=LATER)

    assert made.last_transition_time == since
