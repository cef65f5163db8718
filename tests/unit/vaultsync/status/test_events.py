"""The events: one for each change and each new failure, none for repetitions."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOTICE, START, a_synced, a_vault_secret
from vaultsync.api.v1alpha1 import StatusMissing, VaultSecretStatus
from vaultsync.errors import Reason
from vaultsync.status.events import Event, events_for
from vaultsync.status.next_status import status_after
from vaultsync.status.outcome import Change, Failed, Gone, Pruned, Reported, Suspended, Waiting

IN_SYNC = a_synced()
AWAY = Failed(Reason.VAULT_UNREACHABLE, "No answer.")
ELSEWHERE = Failed(Reason.VAULT_UNREACHABLE, "No answer for another vault.")
DENIED = Failed(Reason.ACCESS_DENIED, "No answer.")
WAITING = Waiting("Waiting for a poll.", after_poll=3)


def events_of(*outcomes: Reported) -> list[list[Event]]:
    """The events of consecutive outcomes, each with the status after the previous one."""
    posted: list[list[Event]] = []
    status = VaultSecretStatus()
    for minute, outcome in enumerate(outcomes):
        now, before = START + minute * timedelta(minutes=1), status
        status = status_after(a_vault_secret(status=before), outcome, now=now, polled_at=None, notice=NOTICE)
        posted.append([*events_for(before, status, outcome)])
    return posted


@pytest.mark.parametrize(
    ("change", "event"),
    [
        (Change.CREATED, Event("Normal", "Created", "What was done.")),
        (Change.UPDATED, Event("Normal", "Updated", "What was done.")),
        (Change.ROTATED, Event("Normal", "Rotated", "What was done.")),
        (Change.HEALED, Event("Warning", "Tampered", "What was done.")),
        (Change.ADOPTED, Event("Normal", "Adopted", "What was done.")),
        (Change.REMOVED, Event("Warning", "SourceDeleted", "What was done.")),
    ],
)
def test_every_change_is_an_event_that_records_an_action(change: Change, event: Event) -> None:
    posted = events_of(a_synced(change=change, detail="What was done."))

    assert posted == [[event]]
    assert [one.records_action for one in posted[0]] == [True]


@pytest.mark.parametrize("change", [Change.ROTATED, Change.NONE])
def test_warnings_are_one_event_if_something_was_written(change: Change) -> None:
    synced = replace(a_synced(change=change), warnings=("One ends.", "Another ends."))
    expected = [Event("Warning", "ChainIncomplete", "One ends. Another ends.")] if change is Change.ROTATED else []

    assert events_of(synced)[0][1:] == expected
    assert events_of(replace(AWAY, written=synced))[0][1:2] == expected


@pytest.mark.parametrize(
    ("outcomes", "reasons"),
    [
        ((IN_SYNC, IN_SYNC), [None, None]),
        ((AWAY, AWAY, AWAY), ["VaultUnreachable", None, None]),
        ((AWAY, ELSEWHERE), ["VaultUnreachable", "VaultUnreachable"]),
        ((AWAY, DENIED, AWAY), ["VaultUnreachable", "AccessDenied", "VaultUnreachable"]),
        ((AWAY, IN_SYNC, IN_SYNC), ["VaultUnreachable", "Synced", None]),
        ((AWAY, IN_SYNC, AWAY), ["VaultUnreachable", "Synced", "VaultUnreachable"]),
        ((AWAY, a_synced(change=Change.ROTATED, detail="x"), IN_SYNC), ["VaultUnreachable", "Rotated", None]),
        ((WAITING, WAITING), [None, None]),
        ((IN_SYNC, WAITING, IN_SYNC), [None, None, None]),
        ((WAITING, AWAY), [None, "VaultUnreachable"]),
        ((Suspended(), Suspended(), IN_SYNC), ["Suspended", None, None]),
        ((AWAY, Suspended(), AWAY), ["VaultUnreachable", "Suspended", "VaultUnreachable"]),
    ],
    ids=[
        "nothing happens",
        "a failure lasts",
        "the same failure of something else",
        "failures alternate",
        "it recovers by itself",
        "it fails again",
        "it recovers with a change",
        "it waits for the first poll",
        "it waits while it is in sync",
        "it waits and then fails",
        "it is suspended for a while",
        "it is suspended while it fails",
    ],
)
def test_the_events_of_consecutive_outcomes(outcomes: tuple[Reported, ...], reasons: list[str | None]) -> None:
    assert [[event.reason for event in events] for events in events_of(*outcomes)] == [
        [] if reason is None else [reason] for reason in reasons
    ]


def test_failures_are_warnings_and_the_rest_is_normal() -> None:
    assert events_of(AWAY, IN_SYNC, Suspended()) == [
        [Event("Warning", "VaultUnreachable", "No answer.")],
        [Event("Normal", "Synced", "In sync again.")],
        [Event("Normal", "Suspended", Reason.SUSPENDED.sentence)],
    ]


@given(outcomes=st.lists(st.sampled_from([IN_SYNC, AWAY, ELSEWHERE, DENIED, Suspended(), WAITING]), max_size=8))
def test_a_repeated_outcome_without_a_change_is_not_an_event(outcomes: list[Reported]) -> None:
    posted = events_of(*outcomes)

    repeated = [
        event for before, after, event in zip(outcomes, outcomes[1:], posted[1:], strict=False) if before == after
    ]
    assert repeated == [[]] * len(repeated)


def test_a_write_that_keeps_keys_for_their_grace_period_is_an_event_beside_the_failure() -> None:
    removed = a_synced(change=Change.REMOVED, detail="Removed a.")
    pending = Failed(Reason.SECRET_NOT_FOUND, "There is no b.", written=removed)
    again = Failed(Reason.SECRET_NOT_FOUND, "There is no b.", written=IN_SYNC)

    posted = events_of(IN_SYNC, pending, again)

    assert posted == [
        [],
        [Event("Warning", "SourceDeleted", "Removed a."), Event("Warning", "SecretNotFound", "There is no b.")],
        [],
    ]
    assert [event.records_action for event in posted[1]] == [True, False]


LOST = StatusMissing(secret_name="api-token", since=START)
NOTE = "; missing in the vault, and removed from 2026-03-01 13:00:00 UTC on unless back by then: API_TOKEN"


@pytest.mark.parametrize(
    ("before", "after", "kept", "is_reported"),
    [
        ((), (LOST,), {"API_TOKEN"}, True),
        ((LOST,), (LOST,), {"API_TOKEN"}, False),
        ((LOST,), (LOST, LOST.model_copy(update={"key": "x"})), {"API_TOKEN", "x"}, True),
        ((LOST,), (LOST.model_copy(update={"removed": START}),), set(), False),
        ((), (LOST,), set(), False),
    ],
    ids=["lost", "lost before", "a part is lost, too", "removed", "nothing is kept"],
)
def test_what_goes_missing_is_reported_once_and_its_keys_are_spelled_as_they_are(
    before: tuple[StatusMissing, ...], after: tuple[StatusMissing, ...], kept: set[str], is_reported: bool
) -> None:
    synced = replace(a_synced(), kept=frozenset(kept), note=NOTE)

    events = [*events_for(VaultSecretStatus(missing=before), VaultSecretStatus(missing=after), synced)]

    message = "Missing in the vault, and removed from 2026-03-01 13:00:00 UTC on unless back by then: API_TOKEN."
    assert events == ([Event("Warning", "SourceMissing", message)] if is_reported else [])


def test_a_deleted_target_is_an_event_that_records_an_action() -> None:
    (posted,) = events_of(Pruned(Reason.SECRET_NOT_FOUND, "There is no db-password.", (), Change.DELETED))

    assert posted == [Event("Warning", "SourceDeleted", "Deleted the Secret. There is no db-password.")]
    assert posted[0].records_action


def test_a_vaultsecret_that_is_gone_has_no_event() -> None:
    assert [*events_for(VaultSecretStatus(), VaultSecretStatus(), Gone("It is gone."))] == []
