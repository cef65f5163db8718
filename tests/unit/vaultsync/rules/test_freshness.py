"""How fresh a target is known to be, and how long a rotation took."""

from datetime import datetime, timedelta

import pytest

from tests.builders import READ_AT, SECOND, START, a_status, a_status_entry, a_vault_secret
from vaultsync.api.v1alpha1 import StatusEntry, VaultSecretStatus
from vaultsync.rules.freshness import is_stale, last_success, rotation_delay

MINUTE = timedelta(minutes=1)
POLLED = READ_AT + 10 * MINUTE
LATE = a_status_entry(key="other", read_at=READ_AT + MINUTE)


@pytest.mark.parametrize(
    ("status", "looked_at", "expected"),
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
        "never, before anything was read",
        "when it was read, before the first poll",
        "when the vault was last polled, while it is in sync",
        "when it was read, if that is later than the poll",
        "when its oldest key was read",
        "when the trouble was noticed, whatever polls find of others",
        "when it was read, if the trouble is older",
        "when it was suspended",
    ],
)
def test_the_last_success_is(status: VaultSecretStatus, looked_at: datetime | None, expected: datetime | None) -> None:
    assert last_success(a_vault_secret(status=status), looked_at) == expected


@pytest.mark.parametrize(
    ("age", "suspend", "stale"),
    [(6 * MINUTE, False, False), (6 * MINUTE + timedelta(seconds=1), False, True), (60 * MINUTE, True, False)],
    ids=["three intervals are patience", "more are not", "nobody looks at a suspended one"],
)
def test_a_target_is_stale_when_its_last_success_is_too_old(age: timedelta, suspend: bool, stale: bool) -> None:
    vault_secret = a_vault_secret(refresh_interval=2 * MINUTE, suspend=suspend)

    assert is_stale(vault_secret, READ_AT, now=READ_AT + age) is stale


def test_what_never_was_in_sync_is_not_stale() -> None:
    assert not is_stale(a_vault_secret(), None, now=READ_AT + timedelta(days=30))


def rotated(after: timedelta, **more: object) -> StatusEntry:
    """The default entry after a rotation that was read so much later."""
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
    ],
    ids=[
        "from its change to its reading",
        "nothing, when no version changed",
        "nothing, for the first version",
        "nothing, for one that appeared",
        "nothing, for one that went away",
        "never negative, as a vault may stamp a second ahead",
        "that of the newest version",
    ],
)
def test_a_rotation_took(before: VaultSecretStatus, after: VaultSecretStatus, expected: timedelta | None) -> None:
    assert rotation_delay(before, after) == expected
