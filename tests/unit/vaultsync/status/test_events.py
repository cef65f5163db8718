"""The events that people see: one for each deed and each new failure, none for repetition."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOTICE, START, a_synced, a_vault_secret
from vaultsync.api.v1alpha1 import VaultSecretStatus
from vaultsync.errors import Reason
from vaultsync.status.events import Event, events_for
from vaultsync.status.next_status import status_after
from vaultsync.status.outcome import Change, Failed, Outcome, Suspended

IN_SYNC = a_synced()
AWAY = Failed(Reason.VAULT_UNREACHABLE, "No answer.")
ELSEWHERE = Failed(Reason.VAULT_UNREACHABLE, "No answer for another vault.")
DENIED = Failed(Reason.ACCESS_DENIED, "No answer.")


def events_of(*outcomes: Outcome) -> list[list[Event]]:
    """The events of outcomes that follow one another, each told to the status before the next."""
    told: list[list[Event]] = []
    status = VaultSecretStatus()
    for minute, outcome in enumerate(outcomes):
        now, before = START + minute * timedelta(minutes=1), status
        status = status_after(a_vault_secret(status=before), outcome, now=now, polled_at=None, notice=NOTICE)
        told.append([*events_for(before, status, outcome)])
    return told


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
def test_every_deed_is_an_event(change: Change, event: Event) -> None:
    assert events_of(a_synced(change=change, detail="What was done.")) == [[event]]


@pytest.mark.parametrize(
    ("outcomes", "told"),
    [
        ((IN_SYNC, IN_SYNC), [None, None]),
        ((AWAY, AWAY, AWAY), ["VaultUnreachable", None, None]),
        ((AWAY, ELSEWHERE), ["VaultUnreachable", "VaultUnreachable"]),
        ((AWAY, DENIED, AWAY), ["VaultUnreachable", "AccessDenied", "VaultUnreachable"]),
        ((AWAY, IN_SYNC, IN_SYNC), ["VaultUnreachable", "Synced", None]),
        ((AWAY, IN_SYNC, AWAY), ["VaultUnreachable", "Synced", "VaultUnreachable"]),
        ((AWAY, a_synced(change=Change.ROTATED, detail="x"), IN_SYNC), ["VaultUnreachable", "Rotated", None]),
        ((Suspended(), Suspended(), IN_SYNC), ["Suspended", None, None]),
        ((AWAY, Suspended(), AWAY), ["VaultUnreachable", "Suspended", "VaultUnreachable"]),
    ],
    ids=[
        "nothing happens",
        "a failure lasts",
        "the same failure of something else",
        "failures take turns",
        "it recovers by itself",
        "it fails again",
        "it recovers by a deed",
        "it is suspended for a while",
        "it is suspended while it fails",
    ],
)
def test_what_is_told_of_a_story(outcomes: tuple[Outcome, ...], told: list[str | None]) -> None:
    assert [[event.reason for event in events] for events in events_of(*outcomes)] == [
        [] if reason is None else [reason] for reason in told
    ]


def test_failures_are_warnings_and_the_rest_is_normal() -> None:
    assert events_of(AWAY, IN_SYNC, Suspended()) == [
        [Event("Warning", "VaultUnreachable", "No answer.")],
        [Event("Normal", "Synced", "In sync again.")],
        [Event("Normal", "Suspended", Reason.SUSPENDED.sentence)],
    ]


@given(outcomes=st.lists(st.sampled_from([IN_SYNC, AWAY, ELSEWHERE, DENIED, Suspended()]), max_size=8))
def test_without_a_deed_an_outcome_that_repeats_the_one_before_is_no_event(outcomes: list[Outcome]) -> None:
    told = events_of(*outcomes)

    repeated = [
        event for before, after, event in zip(outcomes, outcomes[1:], told[1:], strict=False) if before == after
    ]
    assert repeated == [[]] * len(repeated)
