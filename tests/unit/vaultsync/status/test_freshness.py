"""The condition Stale, and how long a rotation took."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.builders import READ_AT, SECOND, START, a_status, a_status_entry, a_synced, a_vault_secret
from vaultsync.api.status import StatusPending
from vaultsync.api.v1alpha1 import Condition, StatusEntry, VaultSecretStatus
from vaultsync.errors import Reason
from vaultsync.status.freshness import last_success, rotation_delay, stale_at, staleness
from vaultsync.status.outcome import Failed, Pruned, Reported, Suspended, Waiting

MINUTE = timedelta(minutes=1)
SECOND_LONG = timedelta(seconds=1)
POLLED = READ_AT + 10 * MINUTE
LATE = a_status_entry(key="other", read_at=READ_AT + MINUTE)


@pytest.mark.parametrize(
    ("status", "polled_at", "expected"),
    [
        (VaultSecretStatus(), POLLED, None),
        (a_status(), None, READ_AT),
        (a_status(), POLLED, POLLED),
        (a_status(), READ_AT - MINUTE, READ_AT),
        (a_status(a_status_entry(), LATE), None, READ_AT),
        (a_status(reason="AccessDenied", since=READ_AT + 2 * MINUTE), POLLED, READ_AT + 2 * MINUTE),
        (a_status(reason="AccessDenied", since=START), POLLED, READ_AT),
        (a_status(reason="Suspended", since=READ_AT + 2 * MINUTE), POLLED, READ_AT + 2 * MINUTE),
    ],
    ids=[
        "never, before the first read",
        "when it was read, before the first poll",
        "when the vault was last polled, while it is in sync",
        "when it was read, if that is later than the poll",
        "when its oldest key was read",
        "when the failure was reported, whatever later polls find",
        "when it was read, if the failure is older",
        "when it was suspended",
    ],
)
def test_the_last_success_is(status: VaultSecretStatus, polled_at: datetime | None, expected: datetime | None) -> None:
    assert last_success(status, polled_at) == expected


AWAY = Failed(Reason.VAULT_UNREACHABLE, "No answer.")
GONE = Pruned(Reason.SECRET_NOT_FOUND, "Gone.", ())
WAITING = Waiting("Waiting for a poll.", after_poll=3)


def stale_status(status: VaultSecretStatus, *, message: str = "Since then.") -> VaultSecretStatus:
    """The status with the condition Stale."""
    stale = Condition(type="Stale", status="True", reason="NotConfirmed", message=message, last_transition_time=READ_AT)
    return status.model_copy(update={"conditions": (*status.conditions, stale)})


@pytest.mark.parametrize(
    ("outcome", "status", "age", "said"),
    [
        (a_synced(), a_status(), 60 * MINUTE, ("False", "Fresh")),
        (a_synced(), stale_status(a_status()), 60 * MINUTE, ("False", "Fresh")),
        (Suspended(), a_status(), 60 * MINUTE, ("Unknown", "Suspended")),
        (GONE, a_status(), 60 * MINUTE, ("Unknown", "NothingWritten")),
        (AWAY, VaultSecretStatus(), 60 * MINUTE, ("Unknown", "NothingWritten")),
        (AWAY, a_status(), 6 * MINUTE - SECOND_LONG, ("False", "Fresh")),
        (AWAY, a_status(), 6 * MINUTE, ("True", "NotConfirmed")),
        (AWAY, stale_status(a_status()), MINUTE, ("True", "NotConfirmed")),
        (WAITING, VaultSecretStatus(), 60 * MINUTE, ("Unknown", "NothingWritten")),
        (WAITING, a_status(), 6 * MINUTE - SECOND_LONG, ("False", "Fresh")),
        (WAITING, a_status(), 6 * MINUTE, ("True", "NotConfirmed")),
        (WAITING, stale_status(a_status()), MINUTE, ("True", "NotConfirmed")),
    ],
    ids=[
        "in sync: not stale, however long ago it was read",
        "in sync again",
        "suspended: unknown",
        "deleted Secret: unknown",
        "no Secret yet: unknown",
        "failing for less than three intervals: not yet",
        "failing for three intervals: stale",
        "still failing: still stale, whatever the clock says",
        "waiting without a Secret: unknown",
        "waiting for less than three intervals: not yet",
        "waiting for three intervals: stale",
        "stale and waiting: still stale",
    ],
)
def test_a_target_is_stale(outcome: Reported, status: VaultSecretStatus, age: timedelta, said: tuple[str, str]) -> None:
    success = last_success(status, None)

    found = staleness(a_vault_secret(status=status), outcome, success, interval=2 * MINUTE, now=READ_AT + age)

    assert found[:2] == said


def test_the_message_of_a_stale_target_is_stable() -> None:
    first = staleness(a_vault_secret(), AWAY, READ_AT, interval=MINUTE, now=READ_AT + 5 * MINUTE)
    stale = a_vault_secret(status=stale_status(a_status(), message=first.message))

    assert first.message == "The Secret was last confirmed to match the vault at 2026-03-01 12:30:00 UTC."
    assert staleness(stale, AWAY, READ_AT + MINUTE, interval=MINUTE, now=READ_AT + 9 * MINUTE) == first


def test_a_vault_secret_with_an_invalid_spec_does_not_become_stale() -> None:
    found = staleness(a_vault_secret(status=a_status()), AWAY, READ_AT, interval=None, now=READ_AT + 600 * MINUTE)

    assert found.status == "False"


def not_in_sync(*, stale: str, reason: str = "VaultUnreachable", read_at: datetime = READ_AT) -> VaultSecretStatus:
    """The status of a VaultSecret that is not in sync since it was read, with this status of Stale."""
    status = a_status(a_status_entry(read_at=read_at), reason=reason, since=READ_AT)
    said = Condition(type="Stale", status=stale, reason="x", message="x", last_transition_time=READ_AT)
    return status.model_copy(update={"conditions": (*status.conditions, said)})


@pytest.mark.parametrize(
    ("status", "moment"),
    [
        (not_in_sync(stale="False"), READ_AT + 6 * MINUTE),
        (not_in_sync(stale="False", reason="Waiting"), READ_AT + 6 * MINUTE),
        (not_in_sync(stale="True"), None),
        (not_in_sync(stale="True", reason="Waiting"), None),
        (not_in_sync(stale="False", reason="Suspended"), None),
        (not_in_sync(stale="False", read_at=datetime(9999, 12, 31, 23, 59, tzinfo=UTC)), None),
        (a_status(), None),
        (VaultSecretStatus(), None),
    ],
    ids=[
        "failing",
        "waiting",
        "stale already",
        "stale and waiting",
        "suspended",
        "at the end of time",
        "in sync",
        "never reconciled",
    ],
)
def test_when_a_target_becomes_stale(status: VaultSecretStatus, moment: datetime | None) -> None:
    assert stale_at(status, 2 * MINUTE) == moment


IN_ADVANCE = StatusPending(version=SECOND, not_before=READ_AT + 5 * MINUTE, newest=SECOND)


def rotated(after: timedelta, **more: object) -> StatusEntry:
    """The default entry after a rotation, read this much later."""
    updated = READ_AT + MINUTE
    return a_status_entry(**{"version": SECOND, "updated": updated, "read_at": updated + after} | more)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (a_status(), a_status(rotated(MINUTE)), MINUTE),
        (a_status(), a_status(), None),
        (VaultSecretStatus(), a_status(rotated(MINUTE)), None),
        (a_status(a_status_entry(version=None, updated=None)), a_status(rotated(MINUTE)), None),
        (a_status(), a_status(a_status_entry(version=None, updated=None)), None),
        (a_status(), a_status(rotated(-MINUTE)), timedelta(0)),
        (
            a_status(a_status_entry(), a_status_entry(key="b")),
            a_status(rotated(5 * MINUTE), rotated(MINUTE, key="b", updated=READ_AT + 9 * MINUTE)),
            timedelta(0),
        ),
        (
            a_status(
                a_status_entry(pending=StatusPending(version=SECOND, not_before=READ_AT + 5 * MINUTE, newest=SECOND))
            ),
            a_status(rotated(6 * MINUTE)),
            2 * MINUTE,
        ),
    ],
    ids=[
        "from its change to its reading",
        "nothing, when no version changed",
        "nothing, for the first version",
        "nothing, for one that appeared",
        "nothing, for one that went missing",
        "never negative, as a vault may stamp a second ahead",
        "that of the newest version",
        "from its date, for one that was set in advance",
    ],
)
def test_a_rotation_took(before: VaultSecretStatus, after: VaultSecretStatus, expected: timedelta | None) -> None:
    assert rotation_delay(before, after) == expected
