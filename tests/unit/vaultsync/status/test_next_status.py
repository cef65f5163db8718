"""The status that people see: what changes it, what leaves it alone, and its way through the API server and back."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOTICE, READ_AT, SECOND, START, a_state, a_synced, a_vault_secret
from vaultsync.api.v1alpha1 import Condition, StatusMissing, VaultSecret, VaultSecretStatus
from vaultsync.errors import Reason, SyncError
from vaultsync.state.secrets import SecretRef, SecretState
from vaultsync.status.conditions import READY, condition
from vaultsync.status.next_status import check_known_trouble, status_after
from vaultsync.status.outcome import Change, Failed, Outcome, Suspended, Synced

NOW = READ_AT
LATER = NOW + timedelta(minutes=5)
CREATED = a_synced(change=Change.CREATED, detail="Created.")
AWAY = Failed(Reason.VAULT_UNREACHABLE, "No answer.")


def after(vault_secret: VaultSecret, outcome: Outcome, *, now: datetime = LATER) -> VaultSecretStatus:
    return status_after(vault_secret, outcome, now=now, polled_at=None, notice=NOTICE)


def status_of(*outcomes: Outcome) -> VaultSecretStatus:
    """The status after these outcomes, each a minute after the one before."""
    status = VaultSecretStatus()
    for minute, outcome in enumerate(outcomes):
        status = after(a_vault_secret(status=status), outcome, now=NOW + minute * timedelta(minutes=1))
    return status


def ready_of(status: VaultSecretStatus) -> tuple[str, str, str]:
    ready = condition(status, READY)
    assert ready is not None
    return ready.status, ready.reason, ready.message


def test_a_success_tells_the_target_its_entries_and_when_it_was_written() -> None:
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
                "message": "The Secret is known to hold what the vault holds.",
                "lastTransitionTime": "2026-03-01T12:30:00Z",
                "observedGeneration": 1,
            },
            {
                "type": "Expiring",
                "status": "False",
                "reason": "FarFromExpiry",
                "message": "No secret is known to expire within 14 days.",
                "lastTransitionTime": "2026-03-01T12:30:00Z",
                "observedGeneration": 1,
            },
        ],
        "target": {"name": "db"},
        "entries": [
            {
                "key": "password",
                "secretName": "db-password",
                "version": a_state().version,
                "updated": "2026-03-01T12:00:00Z",
                "readAt": "2026-03-01T12:30:00Z",
            }
        ],
        "lastChangeTime": "2026-03-01T12:30:00Z",
    }


@pytest.mark.parametrize(
    ("outcome", "ready"),
    [
        (AWAY, ("False", "VaultUnreachable", "No answer.")),
        (Suspended(), ("Unknown", "Suspended", Reason.SUSPENDED.sentence)),
    ],
    ids=["a failure", "a suspension"],
)
def test_the_conditions_alone_tell_of(outcome: Outcome, ready: tuple[str, str, str]) -> None:
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
    ],
    ids=["still in sync", "rotated", "failed", "suspended"],
)
def test_the_transition_time_moves_with_the_status_and_with_nothing_else(outcome: Outcome, moved: bool) -> None:
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


def test_the_generation_that_was_looked_at_is_told() -> None:
    vault_secret = a_vault_secret(metadata={"generation": 7}, status=status_of(CREATED))

    status = after(vault_secret, a_synced())

    assert status.observed_generation == 7
    assert {one.observed_generation for one in status.conditions} == {7}


def test_a_condition_that_is_not_there_is_none() -> None:
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
)


@given(outcomes=st.lists(OUTCOMES, min_size=1, max_size=4), now=MOMENTS)
def test_every_status_comes_back_from_the_api_server_as_it_went(outcomes: list[Outcome], now: datetime) -> None:
    status = VaultSecretStatus()
    for outcome in outcomes:
        status = after(a_vault_secret(status=status), outcome, now=now)

    assert VaultSecretStatus.parse(status.to_wire()) == status


@given(outcome=OUTCOMES, again=st.integers(0, 10**6), now=MOMENTS)
def test_the_same_outcome_again_without_a_deed_changes_nothing(outcome: Outcome, again: int, now: datetime) -> None:
    first = after(a_vault_secret(), outcome, now=now)
    stored = a_vault_secret(status=VaultSecretStatus.parse(first.to_wire()))
    if isinstance(outcome, Synced):
        outcome = Synced(outcome.secrets, outcome.keys, left_out=outcome.left_out)

    assert after(stored, outcome, now=now + timedelta(seconds=again)) == stored.status


def test_what_failed_last_is_said_again_in_the_same_words() -> None:
    with pytest.raises(SyncError) as told:
        check_known_trouble(status_of(CREATED, AWAY), None)

    assert (told.value.reason, told.value.message) == (AWAY.reason, AWAY.message)


@pytest.mark.parametrize(
    "status",
    [
        VaultSecretStatus(),
        status_of(CREATED),
        status_of(CREATED, Suspended()),
        status_of(Failed(Reason.CLUSTER_UNAVAILABLE, "No answer.")),
        VaultSecretStatus(
            conditions=(Condition(type="Ready", status="False", reason="Odd", message="?", last_transition_time=START),)
        ),
    ],
    ids=[
        "nobody has looked yet",
        "all is well",
        "nobody looks",
        "the cluster was away",
        "a word that this version does not know",
    ],
)
def test_where_no_failure_is_known_none_is_said(status: VaultSecretStatus) -> None:
    check_known_trouble(status, None)


def test_what_failed_last_is_no_matter_once_somebody_has_looked() -> None:
    check_known_trouble(status_of(CREATED, AWAY), NOW)


MISSES = (StatusMissing(secret_name="a", since=NOW), StatusMissing(secret_name="b", since=NOW))


def test_what_is_back_is_missing_no_more_whatever_else_fails() -> None:
    before = status_of(CREATED).model_copy(update={"missing": MISSES})

    status = status_after(
        a_vault_secret(status=before), AWAY, now=LATER, polled_at=None, notice=NOTICE, back=frozenset({"a"})
    )

    assert [one.secret_name for one in status.missing] == ["b"]


def test_what_a_failure_says_to_be_missing_is_told() -> None:
    gone = Failed(Reason.SECRET_SOFT_DELETED, "Gone.", missing=MISSES)

    assert after(a_vault_secret(status=status_of(CREATED)), gone).missing == MISSES


def test_that_everything_was_read_again_in_vain_is_noted_too() -> None:
    in_vain = Failed(Reason.SECRET_DISABLED, "Disabled.", refreshed="now")

    assert after(a_vault_secret(status=status_of(CREATED)), in_vain).last_handled_refresh == "now"
