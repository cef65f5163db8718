"""When a restart is due, and when it is allowed: each rule at its limits, and what holds for all times."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import START
from vaultsync.api.v1alpha1 import Restart, StatusRestart, VaultSecretStatus, WorkloadKind
from vaultsync.policy.rollout import (
    SETTLING,
    Current,
    Due,
    NotBefore,
    Verdict,
    Workload,
    after_observing,
    before_observing,
    entry_for,
)

SECOND: Final = timedelta(seconds=1)
MINUTE: Final = timedelta(minutes=1)
CHANGE: Final = START + timedelta(hours=1)
NOW: Final = CHANGE + MINUTE
END: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)

WEB: Final = Restart(kind=WorkloadKind.DEPLOYMENT, name="web", min_interval=MINUTE)
OLD: Final = Workload("uid-1", "7", created=START, restarted=None)

moments = st.integers(-100_000, 100_000).map(lambda seconds: CHANGE + seconds * SECOND)


def an_entry(at: timedelta, name: str = "web", kind: WorkloadKind = WorkloadKind.DEPLOYMENT) -> StatusRestart:
    """The status of a workload whose pods are from that long after the change."""
    return StatusRestart(kind=kind, name=name, at=CHANGE + at)


# The status


def test_the_entry_of_a_workload_in_the_status_is_kept() -> None:
    entries = an_entry(SECOND, "api"), an_entry(SECOND, kind=WorkloadKind.STATEFUL_SET), an_entry(-MINUTE)

    entry = entry_for(WEB, VaultSecretStatus(restarts=entries), changed=CHANGE, now=NOW)

    assert entry == an_entry(-MINUTE)


@pytest.mark.parametrize(
    ("before", "changed", "due"),
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
def test_a_workload_that_was_just_named_is_restarted_only_for_a_change_of_the_same_reconcile(
    before: datetime | None, changed: datetime | None, due: bool
) -> None:
    status = VaultSecretStatus(content_change_time=before)

    entry = entry_for(WEB, status, changed=changed, now=CHANGE)

    assert isinstance(before_observing(entry, changed=changed, now=CHANGE), NotBefore) is due


def test_a_workload_is_named_whatever_date_a_user_wrote() -> None:
    entry = entry_for(WEB, VaultSecretStatus(content_change_time=END), changed=END, now=NOW)

    assert before_observing(entry, changed=END, now=NOW) == NotBefore(END)


# Before the workload is read


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
        "the pods are from the same second: they may be older",
        "just changed: other VaultSecrets may change too",
        "changed a second less than the settling time ago",
        "settled",
    ],
)
def test_before_the_workload_is_read(changed: bool, at: timedelta, since: timedelta, verdict: Verdict) -> None:
    assert before_observing(an_entry(at), changed=CHANGE if changed else None, now=CHANGE + since) == verdict


@pytest.mark.parametrize("changed", [NOW + MINUTE, END])
def test_a_change_of_the_future_restarts_nothing_before_it(changed: datetime) -> None:
    assert before_observing(an_entry(-SECOND), changed=changed, now=NOW) == NotBefore(changed)


# After the workload was read


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
        "never restarted, created before the change: due",
        "created in the same second: due",
        "created after the change: it has the new content",
        "restarted after the change, for another VaultSecret: it has the new content",
        "restarted once, and created again since: it has the new content",
        "restarted in the same second: due",
        "restarted long enough ago: due",
        "restarted in the future: not trusted",
    ],
)
def test_after_the_workload_was_read(created: timedelta, restarted: timedelta | None, verdict: Verdict) -> None:
    workload = replace(OLD, created=CHANGE + created, restarted=None if restarted is None else CHANGE + restarted)

    assert after_observing(WEB, workload, change=CHANGE, now=NOW) == verdict


def test_a_workload_that_was_just_restarted_waits_for_the_interval() -> None:
    workload = replace(OLD, restarted=CHANGE - SECOND)

    assert after_observing(WEB, workload, change=CHANGE, now=CHANGE + SETTLING) == NotBefore(CHANGE - SECOND + MINUTE)


def test_the_default_interval_is_five_minutes() -> None:
    restart, workload = WEB.model_copy(update={"min_interval": None}), replace(OLD, restarted=CHANGE - SECOND)

    verdict = after_observing(restart, workload, change=CHANGE, now=CHANGE + SETTLING)

    assert verdict == NotBefore(CHANGE - SECOND + timedelta(minutes=5))


# At all times


@given(created=moments, restarted=st.none() | moments, now=moments)
def test_a_restart_is_due_when_its_wait_is_over(created: datetime, restarted: datetime | None, now: datetime) -> None:
    workload = replace(OLD, created=created, restarted=restarted)

    verdict = after_observing(WEB, workload, change=CHANGE, now=now)

    if isinstance(verdict, NotBefore):
        assert verdict.moment > now
        assert after_observing(WEB, workload, change=CHANGE, now=verdict.moment) == Due(CHANGE)


@given(created=moments, restarted=moments, now=moments)
def test_no_restart_comes_before_the_interval_is_over(created: datetime, restarted: datetime, now: datetime) -> None:
    workload = replace(OLD, created=created, restarted=restarted)

    verdict = after_observing(WEB, workload, change=CHANGE, now=now)

    assert not isinstance(verdict, Due) or now - restarted >= MINUTE or restarted - now > MINUTE
