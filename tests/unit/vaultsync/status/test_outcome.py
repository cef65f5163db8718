"""Reasons and outcomes: each reason has a sentence and a time to retry."""

import re
from datetime import timedelta

import pytest

from tests.builders import (
    READ_AT,
    SECOND,
    a_pending,
    a_state,
    a_synced,
)
from vaultsync.errors import Reason, Retry, SyncError
from vaultsync.state.secrets import PendingVersion
from vaultsync.status.outcome import Change, Failed, Pruned, Reported, Suspended, Waiting, failed, ready_status


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_in_camel_case_and_has_a_sentence(reason: Reason) -> None:
    assert re.fullmatch(r"([A-Z][a-z]+)+", reason)
    assert re.fullmatch(r"\S.* .*\.", reason.sentence)


@pytest.mark.parametrize(
    ("reason", "retry"),
    [
        (Reason.SECRET_NOT_FOUND, Retry.LATER),
        (Reason.ACCESS_DENIED, Retry.LATER),
        (Reason.FIREWALL_DENIED, Retry.LATER),
        (Reason.TARGET_CONFLICT, Retry.LATER),
        (Reason.INVALID_SPEC, Retry.LATER),
        (Reason.WAITING, Retry.SOON),
        (Reason.LOGIN_FAILED, Retry.SOON),
        (Reason.VAULT_UNREACHABLE, Retry.SOON),
        (Reason.VAULT_THROTTLED, Retry.SOON),
        (Reason.CLUSTER_UNAVAILABLE, Retry.SOON),
        (Reason.INTERNAL_ERROR, Retry.SOON),
    ],
)
def test_failures_that_may_resolve_by_themselves_are_retried_soon(reason: Reason, retry: Retry) -> None:
    assert reason.retry is retry
    assert Failed(reason, "why").retry is retry


@pytest.mark.parametrize(
    ("outcome", "status", "reason"),
    [
        (a_synced(), "True", "Synced"),
        (Failed(Reason.VAULT_UNREACHABLE, "No answer."), "False", "VaultUnreachable"),
        (Pruned(Reason.SECRET_NOT_FOUND, "Gone.", ()), "False", "SecretNotFound"),
        (Suspended(), "Unknown", "Suspended"),
        (Waiting("Waiting for a poll."), "Unknown", "Waiting"),
    ],
    ids=["in sync", "failed", "pruned", "suspended", "waiting"],
)
def test_ready_follows_the_outcome(outcome: Reported, status: str, reason: str) -> None:
    assert (ready_status(outcome), outcome.reason) == (status, reason)


@pytest.mark.parametrize(
    ("versions", "message"),
    [
        (["1"], "1 key is in sync."),
        (["1", "2"], "2 keys are in sync."),
        (["1", None], "1 key is in sync."),
        ([None], "0 keys are in sync."),
    ],
    ids=["one key", "two keys", "a missing secret does not count", "only a missing secret"],
)
def test_the_message_counts_the_existing_keys(versions: list[str | None], message: str) -> None:
    entries = tuple(a_state(f"key-{index}", version=version) for index, version in enumerate(versions))

    assert a_synced(*entries).message == message


@pytest.mark.parametrize(
    ("pending", "message"),
    [
        ([a_pending()], f"1 key is in sync; version {SECOND} of secret s0 becomes active at 2026-03-01 13:30:00 UTC."),
        (
            [a_pending(none_active=True)],
            "1 key is in sync; secret s0 has no version that is active before 2026-03-01 13:30:00 UTC.",
        ),
        (
            [a_pending(not_before=READ_AT + timedelta(hours=2)), a_pending(version="3"), None],
            "3 keys are in sync; version 3 of secret s1 becomes active at 2026-03-01 13:30:00 UTC, and 1 more later.",
        ),
    ],
    ids=["one", "none is active", "the first of two"],
)
def test_the_message_has_what_becomes_active_next(pending: list[PendingVersion | None], message: str) -> None:
    states = (a_state(f"k{number}", source=f"s{number}", pending=one) for number, one in enumerate(pending))

    assert a_synced(*states).message == message


def test_the_message_does_not_change_with_a_rotation() -> None:
    before, after = (
        a_synced(a_state(version="1")),
        a_synced(a_state(version="2"), change=Change.ROTATED, detail="Rotated."),
    )

    assert before.message == after.message


def test_a_sync_error_becomes_a_failed_outcome() -> None:
    error = SyncError(Reason.VAULT_THROTTLED, "Vault v is throttling requests (HTTP 429).", retry_after=7.0)

    assert failed(error) == Failed(Reason.VAULT_THROTTLED, "Vault v is throttling requests (HTTP 429).", 7.0)
    assert str(error) == "Vault v is throttling requests (HTTP 429)."
