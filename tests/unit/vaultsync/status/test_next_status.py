"""The next status: what changes it, what does not, and its JSON."""

from datetime import datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.builders import NOTICE, READ_AT, SECOND, START, VAULT, a_state, a_synced, a_vault_secret
from vaultsync.api.v1alpha1 import Condition, StatusMissing, StatusTarget, VaultSecret, VaultSecretStatus
from vaultsync.errors import Reason
from vaultsync.state.secrets import SecretRef, SecretState
from vaultsync.status.conditions import READY, condition
from vaultsync.status.events import events_for
from vaultsync.status.expiry import expiry_moments
from vaultsync.status.freshness import last_success
from vaultsync.status.next_status import last_failure, status_after, status_of_unreadable
from vaultsync.status.outcome import Change, Failed, Pruned, Reported, Suspended, Synced, Waiting

NOW = READ_AT
LATER = NOW + timedelta(minutes=5)
CREATED = a_synced(change=Change.CREATED, detail="Created.")
AWAY = Failed(Reason.VAULT_UNREACHABLE, "No answer.")
WAITING = Waiting("Waiting for a poll.", after_poll=3)


def after(vault_secret: VaultSecret, outcome: Reported, *, now: datetime = LATER) -> VaultSecretStatus:
    return status_after(vault_secret, outcome, now=now, polled_at=None, notice=NOTICE)


def status_of(*outcomes: Reported) -> VaultSecretStatus:
    """The status after these outcomes, each a minute after the one before."""
    status = VaultSecretStatus()
    for minute, outcome in enumerate(outcomes):
        status = after(a_vault_secret(status=status), outcome, now=NOW + minute * timedelta(minutes=1))
    return status


def ready_of(status: VaultSecretStatus) -> tuple[str, str, str]:
    ready = condition(status, READY)
    assert ready is not None
    return ready.status, ready.reason, ready.message


def test_a_success_sets_the_target_its_entries_and_the_change_time() -> None:
    status = status_of(CREATED)

    assert status.to_wire() == {
        "observedGeneration": 1,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "Synced",
                "message": "1 key is in sync.",
                "lastTransitionTime": "2026-03-01T12:30:00Z",
                "observedGeneration": 1,
            },
            {
                "type": "Stale",
                "status": "False",
                "reason": "Fresh",
                "message": "The Secret matches the vault.",
                "lastTransitionTime": "2026-03-01T12:30:00Z",
                "observedGeneration": 1,
            },
            {
                "type": "Expiring",
                "status": "False",
                "reason": "FarFromExpiry",
                "message": "No secret expires within 14 days.",
                "lastTransitionTime": "2026-03-01T12:30:00Z",
                "observedGeneration": 1,
            },
        ],
        "target": {"name": "db", "vaultUrl": VAULT},
        "entries": [
            {
                "key": "password",
                "secretName": "db-password",
                "version": a_state().version,
                "updateTime": "2026-03-01T12:00:00Z",
                "readTime": "2026-03-01T12:30:00Z",
            }
        ],
        "keyCount": 1,
        "lastChangeTime": "2026-03-01T12:30:00Z",
    }


@pytest.mark.parametrize(
    ("outcome", "ready"),
    [
        (AWAY, ("False", "VaultUnreachable", "No answer.")),
        (Suspended(), ("Unknown", "Suspended", Reason.SUSPENDED.sentence)),
        (WAITING, ("Unknown", "Waiting", "Waiting for a poll.")),
    ],
    ids=["a failure", "a suspension", "a wait"],
)
def test_only_the_conditions_change_after(outcome: Reported, ready: tuple[str, str, str]) -> None:
    before, status = status_of(CREATED), status_of(CREATED, outcome)

    assert ready_of(status) == ready
    assert status.model_copy(update={"conditions": before.conditions}) == before


@pytest.mark.parametrize(
    ("outcome", "moved"),
    [
        (a_synced(), False),
        (a_synced(a_state(version=SECOND), change=Change.ROTATED, detail="Rotated."), False),
        (AWAY, True),
        (Suspended(), True),
        (WAITING, True),
    ],
    ids=["still in sync", "rotated", "failed", "suspended", "waiting"],
)
def test_the_transition_time_changes_with_the_status_and_with_nothing_else(outcome: Reported, moved: bool) -> None:
    ready = condition(after(a_vault_secret(status=status_of(CREATED)), outcome), READY)

    assert ready is not None
    assert ready.last_transition_time == (LATER if moved else NOW)


def test_another_reason_for_the_same_status_keeps_the_transition_time() -> None:
    ready = condition(status_of(AWAY, Failed(Reason.LOGIN_FAILED, "Cannot log in.")), READY)

    assert ready is not None
    assert (ready.reason, ready.last_transition_time) == ("LoginFailed", NOW)


@pytest.mark.parametrize(
    ("change", "written"),
    [(change, change is not Change.NONE) for change in Change],
    ids=[f"{change}" for change in Change],
)
def test_the_change_time_is_that_of_the_last_write(change: Change, written: bool) -> None:
    status = after(a_vault_secret(status=status_of(CREATED)), a_synced(change=change, detail="x"))

    assert status.last_change_time == (LATER if written else NOW)


def test_the_observed_generation_is_set() -> None:
    vault_secret = a_vault_secret(metadata={"generation": 7}, status=status_of(CREATED))

    status = after(vault_secret, a_synced())

    assert status.observed_generation == 7
    assert {one.observed_generation for one in status.conditions} == {7}


def test_a_missing_condition_is_none() -> None:
    assert condition(VaultSecretStatus(), READY) is None


MOMENTS = st.datetimes(
    min_value=START.replace(tzinfo=None), max_value=(START + timedelta(days=3650)).replace(tzinfo=None)
).map(lambda moment: moment.replace(tzinfo=START.tzinfo))
STATES = st.builds(
    SecretState,
    ref=st.builds(SecretRef, st.text("abc-", min_size=1)),
    keys=st.lists(st.text("abc.-", min_size=1), max_size=2, unique=True).map(tuple),
    version=st.none() | st.just(SECOND),
    updated=st.none() | MOMENTS,
    expires=st.none() | MOMENTS,
    read_at=MOMENTS,
)
OUTCOMES = st.one_of(
    st.builds(
        Synced,
        st.lists(STATES, max_size=3).map(tuple),
        st.just(frozenset()),
        st.sampled_from(Change),
        st.text(max_size=5),
        st.integers(0, 3),
    ),
    st.builds(Failed, st.sampled_from([reason for reason in Reason if reason is not Reason.SYNCED]), st.text()),
    st.just(Suspended()),
    st.builds(Waiting, st.text(), st.none() | st.integers(0, 5)),
)


@given(outcomes=st.lists(OUTCOMES, min_size=1, max_size=4), now=MOMENTS)
def test_every_status_parses_to_itself(outcomes: list[Reported], now: datetime) -> None:
    status = VaultSecretStatus()
    for outcome in outcomes:
        status = after(a_vault_secret(status=status), outcome, now=now)

    assert VaultSecretStatus.parse(status.to_wire()) == status


@given(outcome=OUTCOMES, again=st.integers(0, 10**6), now=MOMENTS)
def test_the_same_outcome_again_without_a_change_does_not_change_the_status(
    outcome: Reported, again: int, now: datetime
) -> None:
    first, later = after(a_vault_secret(), outcome, now=now), now + timedelta(seconds=again)
    # Otherwise the condition Expiring changes by itself.
    assume(all(moment > later for moment in expiry_moments(first.entries, now=now, notice=NOTICE)))
    stored = a_vault_secret(status=VaultSecretStatus.parse(first.to_wire()))
    if isinstance(outcome, Synced):
        outcome = Synced(outcome.secrets, outcome.keys, left_out=outcome.left_out)

    assert after(stored, outcome, now=later) == stored.status


MISSES = (StatusMissing(secret_name="a", since=NOW), StatusMissing(secret_name="b", since=NOW))


# The last failure


def test_the_last_failure_has_the_same_reason_and_message() -> None:
    assert last_failure(status_of(CREATED, AWAY), None) == AWAY


@pytest.mark.parametrize(
    "status",
    [
        VaultSecretStatus(),
        status_of(CREATED),
        status_of(CREATED, Suspended()),
        status_of(CREATED, WAITING),
        status_of(Failed(Reason.CLUSTER_UNAVAILABLE, "No answer.")),
        status_of(Failed(Reason.TARGET_CONFLICT, "Not ours.")),
        VaultSecretStatus(
            conditions=(Condition(type="Ready", status="False", reason="Odd", message="?", last_transition_time=START),)
        ),
    ],
    ids=[
        "never reconciled",
        "in sync",
        "suspended",
        "waiting",
        "the cluster was unavailable",
        "the target had another owner",
        "an unknown reason",
    ],
)
def test_there_is_no_last_failure_if(status: VaultSecretStatus) -> None:
    assert last_failure(status, None) is None


def test_the_last_failure_is_over_once_the_vault_was_polled() -> None:
    assert last_failure(status_of(CREATED, AWAY), NOW) is None


# Missing secrets


@pytest.mark.parametrize("outcome", [AWAY, WAITING, Suspended()], ids=["failed", "waiting", "suspended"])
def test_a_secret_that_is_found_again_is_not_missing_even_if_another_fails(outcome: Reported) -> None:
    before = status_of(CREATED).model_copy(update={"missing": MISSES})

    status = status_after(
        a_vault_secret(status=before), outcome, now=LATER, polled_at=None, notice=NOTICE, present=frozenset({"a"})
    )

    assert [one.secret_name for one in status.missing] == ["b"]


def test_the_missing_secrets_of_a_failure_are_set() -> None:
    gone = Failed(Reason.SECRET_SOFT_DELETED, "Gone.", missing=MISSES)

    assert after(a_vault_secret(status=status_of(CREATED)), gone).missing == MISSES


def test_a_pruned_target_has_neither_target_nor_entries() -> None:
    pruned = Pruned(Reason.SECRET_NOT_FOUND, "Gone.", MISSES, Change.DELETED)

    status = after(a_vault_secret(status=status_of(CREATED)), pruned)

    assert (status.target, status.entries, status.missing, status.last_change_time) == (None, (), MISSES, LATER)
    assert ready_of(status) == ("False", "SecretNotFound", "Gone.")


# What was written though keys are kept for their grace period


PARTLY = Failed(
    Reason.SECRET_NOT_FOUND,
    "There is no b. Its key is kept.",
    missing=MISSES,
    written=Synced(
        (a_state(version=SECOND),),
        frozenset({"password"}),
        Change.REMOVED,
        "Removed a.",
        missing=MISSES[:1],
        content_changed=True,
    ),
)


def test_the_status_has_what_was_written_and_why_it_is_not_ready() -> None:
    status = after(a_vault_secret(status=status_of(CREATED)), PARTLY)

    assert ready_of(status) == ("False", "SecretNotFound", "There is no b. Its key is kept.")
    assert [(entry.key, entry.version) for entry in status.entries] == [("password", SECOND)]
    assert (status.last_change_time, status.content_change_time) == (LATER, LATER)
    assert status.missing == MISSES


# Refreshes


def test_a_refresh_that_fails_is_handled() -> None:
    disabled = Failed(Reason.SECRET_DISABLED, "Disabled.", refreshed="now")

    assert after(a_vault_secret(status=status_of(CREATED)), disabled).last_handled_refresh == "now"


def test_a_refresh_that_waits_is_not_handled() -> None:
    before = status_of(CREATED).model_copy(update={"last_handled_refresh": "before"})

    assert after(a_vault_secret(status=before), WAITING).last_handled_refresh == "before"


# Specs that are not accepted


def test_a_spec_that_is_not_accepted_changes_only_the_conditions() -> None:
    before = status_of(CREATED)
    invalid = Failed(Reason.INVALID_SPEC, "Not accepted.")

    status = status_of_unreadable(a_vault_secret(status=before), invalid, now=LATER, notice=NOTICE)

    assert ready_of(status) == ("False", "InvalidSpec", "Not accepted.")
    assert status.model_copy(update={"conditions": before.conditions}) == before


# A wait between failures


def test_a_wait_leaves_a_failure_as_it_is() -> None:
    assert ready_of(status_of(CREATED, AWAY, WAITING)) == ("False", "VaultUnreachable", "No answer.")


def test_a_wait_after_a_failure_that_needs_a_change_stays_stalled() -> None:
    denied = Failed(Reason.ACCESS_DENIED, "No.")

    status = status_of(CREATED, denied, WAITING)

    assert [one.type for one in status.conditions] == ["Ready", "Stalled", "Stale", "Expiring"]
    assert condition(status, "Stalled") == condition(status_of(CREATED, denied), "Stalled")


def test_a_long_wait_is_reported_after_a_failure() -> None:
    waits = Waiting("Waiting for the newest version.", is_long=True)

    assert ready_of(status_of(CREATED, AWAY, waits)) == ("Unknown", "Waiting", "Waiting for the newest version.")


def test_waits_do_not_postpone_staleness() -> None:
    with_waits = status_of(CREATED, AWAY, WAITING, AWAY, WAITING)
    without = status_of(CREATED, AWAY, AWAY, AWAY, AWAY)

    assert last_success(with_waits, None) == last_success(without, None)


@pytest.mark.parametrize("then", [AWAY, CREATED], ids=["the same failure", "a success"])
def test_a_wait_between_changes_no_event(then: Reported) -> None:
    failed, waited = status_of(CREATED, AWAY), status_of(CREATED, AWAY, WAITING)

    assert [*events_for(waited, status_of(CREATED, AWAY, WAITING, then), then)] == [
        *events_for(failed, status_of(CREATED, AWAY, then), then)
    ]


def test_a_missing_secret_that_polls_see_again_is_not_missing_in_the_failure_of_another() -> None:
    lost = tuple(StatusMissing(secret_name=name, since=NOW) for name in ("api-token", "db-password"))
    outcome = Failed(Reason.DELETION_HELD, "Held.", missing=lost)

    status = status_after(
        a_vault_secret(), outcome, now=LATER, polled_at=None, notice=NOTICE, present=frozenset({"api-token"})
    )

    assert [one.secret_name for one in status.missing] == ["db-password"]


@pytest.mark.parametrize(
    ("change", "vault_url"),
    [(Change.NONE, None), (Change.ROTATED, VAULT), (Change.UPDATED, VAULT)],
    ids=["not for a target in place: an upgrade writes no status", "with a rotation", "with another spec"],
)
def test_the_vault_of_the_target_is_reported_when_it_is_written(change: Change, vault_url: str | None) -> None:
    before = VaultSecretStatus(target=StatusTarget(name="db"))

    target = after(a_vault_secret(status=before), a_synced(change=change)).target

    assert target == StatusTarget(name="db", vault_url=vault_url)


def test_the_entry_of_a_kept_key_stays_as_it_was() -> None:
    emptied = a_state(keys=(), version=SECOND, read_at=LATER, kept=("password",))

    assert status_of(CREATED, a_synced(emptied)).entries == status_of(CREATED).entries


def test_parts_of_a_secret_stay_missing_though_polls_find_it() -> None:
    whole, part = (StatusMissing(secret_name="db-password", key=key, since=NOW) for key in ("", "password"))
    before = a_vault_secret(status=VaultSecretStatus(missing=(whole, part)))

    after = status_after(before, AWAY, now=LATER, polled_at=None, notice=NOTICE, present={"db-password"})

    assert after.missing == (part,)


@pytest.mark.parametrize("outcome", [CREATED, AWAY, WAITING, Suspended(), Failed(Reason.NOT_GRANTED, "Not allowed.")])
def test_a_status_is_what_the_api_server_returns_of_it(outcome: Reported) -> None:
    """It is recorded as it was sent; times have no fractions of a second there."""
    ended = a_vault_secret(status=after(a_vault_secret(status=status_of(CREATED)), Suspended()))
    before = ended.model_copy(update={"status": ended.status.model_copy(update={"missing": MISSES})})

    status = after(before, outcome, now=LATER + timedelta(milliseconds=1))

    assert VaultSecretStatus.parse(status.to_wire()) == status


def test_a_wait_records_what_is_missing() -> None:
    lost = StatusMissing(secret_name="db-password", since=NOW)

    assert status_of(CREATED, Waiting("Waiting to read again.", missing=(lost,)), WAITING).missing == (lost,)
