"""When a restart is owed, and when it may be: each rule at its edges, and what holds for all moments."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import START
from vaultsync.api.restarts import Restart, WorkloadKind
from vaultsync.api.v1alpha1 import StatusRestart, VaultSecretStatus
from vaultsync.policy.rollout import (
    SETTLING,
    Current,
    Due,
    NotBefore,
    Verdict,
    Workload,
    after_look,
    before_look,
    entry_for,
)

SECOND: Final = timedelta(seconds=1)
MINUTE: Final = timedelta(minutes=1)
CHANGE: Final = START + timedelta(hours=1)
NOW: Final = CHANGE + MINUTE

WEB: Final = Restart(kind=WorkloadKind.DEPLOYMENT, name="web", min_interval=MINUTE)
OLD: Final = Workload("uid-1", "7", created=START, restarted=None)

moments = st.integers(-100_000, 100_000).map(lambda seconds: CHANGE + seconds * SECOND)


def an_entry(at: timedelta, name: str = "web", kind: WorkloadKind = WorkloadKind.DEPLOYMENT) -> StatusRestart:
    """What the status says of a workload whose pods are from that long after the change."""
    return StatusRestart(kind=kind, name=name, at=CHANGE + at)


# What is known


def test_a_workload_that_is_known_stays_as_it_is_known() -> None:
    entries = an_entry(SECOND, "api"), an_entry(SECOND, kind=WorkloadKind.STATEFUL_SET), an_entry(-MINUTE)

    entry = entry_for(WEB, VaultSecretStatus(restarts=entries), changed=CHANGE, now=NOW)

    assert entry == an_entry(-MINUTE)


@pytest.mark.parametrize(
    ("before", "changed", "owed"),
    [
        (None, None, False),
        (CHANGE - MINUTE, CHANGE - MINUTE, False),
        (CHANGE, CHANGE, False),
        (None, CHANGE, True),
        (CHANGE - MINUTE, CHANGE, True),
    ],
    ids=[
        "nothing has ever changed",
        "the last change was before",
        "the last change was before, though in the same second",
        "something changes for the first time",
        "something changes once more",
    ],
)
def test_a_workload_just_named_is_owed_a_restart_only_for_a_change_of_the_same_reconcile(
    before: datetime | None, changed: datetime | None, owed: bool
) -> None:
    status = VaultSecretStatus(content_change_time=before)

    entry = entry_for(WEB, status, changed=changed, now=CHANGE)

    assert isinstance(before_look(entry, changed=changed, now=CHANGE), NotBefore) is owed


# Before a look


@pytest.mark.parametrize(
    ("changed", "at", "since", "verdict"),
    [
        (False, SECOND, MINUTE, Current(CHANGE + SECOND)),
        (True, SECOND, MINUTE, Current(CHANGE + SECOND)),
        (True, timedelta(0), MINUTE, Due(CHANGE)),
        (True, -SECOND, timedelta(0), NotBefore(CHANGE + SETTLING)),
        (True, -SECOND, SETTLING - SECOND, NotBefore(CHANGE + SETTLING)),
        (True, -SECOND, SETTLING, Due(CHANGE)),
    ],
    ids=[
        "nothing has ever changed",
        "the pods are newer than the change",
        "the pods are of the same second: they may be older",
        "just changed: others may change too",
        "changed a moment ago",
        "settled",
    ],
)
def test_without_a_look(changed: bool, at: timedelta, since: timedelta, verdict: Verdict) -> None:
    assert before_look(an_entry(at), changed=CHANGE if changed else None, now=CHANGE + since) == verdict


# After a look


@pytest.mark.parametrize(
    ("created", "restarted", "verdict"),
    [
        (-MINUTE, None, Due(CHANGE)),
        (timedelta(0), None, Due(CHANGE)),
        (SECOND, None, Current(CHANGE + SECOND)),
        (-MINUTE, SECOND, Current(CHANGE + SECOND)),
        (SECOND, -MINUTE, Current(CHANGE + SECOND)),
        (-MINUTE, timedelta(0), Due(CHANGE)),
        (-MINUTE, -MINUTE, Due(CHANGE)),
        (-MINUTE, timedelta(days=400), Due(CHANGE)),
    ],
    ids=[
        "never restarted, made before the change: restart it",
        "made in the same second: restart it",
        "made after the change: it holds the new content",
        "restarted after the change, for another VaultSecret: leave it",
        "restarted once, and made anew since: leave it",
        "restarted in the same second: restart it",
        "restarted long enough ago: restart it",
        "marked with a moment to come: nobody has restarted it then",
    ],
)
def test_with_a_look(created: timedelta, restarted: timedelta | None, verdict: Verdict) -> None:
    workload = replace(OLD, created=CHANGE + created, restarted=None if restarted is None else CHANGE + restarted)

    assert after_look(WEB, workload, change=CHANGE, now=NOW) == verdict


def test_a_workload_that_was_restarted_a_moment_ago_waits() -> None:
    workload = replace(OLD, restarted=CHANGE - SECOND)

    assert after_look(WEB, workload, change=CHANGE, now=CHANGE + SETTLING) == NotBefore(CHANGE - SECOND + MINUTE)


def test_an_interval_that_is_left_out_is_five_minutes() -> None:
    restart, workload = WEB.model_copy(update={"min_interval": None}), replace(OLD, restarted=CHANGE - SECOND)

    verdict = after_look(restart, workload, change=CHANGE, now=CHANGE + SETTLING)

    assert verdict == NotBefore(CHANGE - SECOND + timedelta(minutes=5))


# At any time


@given(created=moments, restarted=st.none() | moments, now=moments)
def test_whoever_waits_waits_long_enough_at_once(created: datetime, restarted: datetime | None, now: datetime) -> None:
    workload = replace(OLD, created=created, restarted=restarted)

    verdict = after_look(WEB, workload, change=CHANGE, now=now)

    if isinstance(verdict, NotBefore):
        assert verdict.moment > now
        assert after_look(WEB, workload, change=CHANGE, now=verdict.moment) == Due(CHANGE)


@given(created=moments, restarted=moments, now=moments)
def test_no_restart_comes_sooner_after_another_than_allowed(
    created: datetime, restarted: datetime, now: datetime
) -> None:
    workload = replace(OLD, created=created, restarted=restarted)

    verdict = after_look(WEB, workload, change=CHANGE, now=now)

    assert not isinstance(verdict, Due) or now - restarted >= MINUTE or restarted - now > MINUTE
