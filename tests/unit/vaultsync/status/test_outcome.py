"""Reasons and outcomes: a closed set of words, each with a sentence and a time to try again."""

import re

import pytest

from tests.builders import a_state, a_synced
from vaultsync.errors import Reason, Retry, SyncError
from vaultsync.status.outcome import Change, Failed, Outcome, Suspended, failed, ready_status


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_one_word_with_a_sentence_for_people(reason: Reason) -> None:
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
        (Reason.LOGIN_FAILED, Retry.SOON),
        (Reason.VAULT_UNREACHABLE, Retry.SOON),
        (Reason.VAULT_THROTTLED, Retry.SOON),
        (Reason.CLUSTER_UNAVAILABLE, Retry.SOON),
        (Reason.INTERNAL_ERROR, Retry.SOON),
    ],
)
def test_what_may_pass_by_itself_is_tried_again_soon_and_what_somebody_must_mend_is_not(
    reason: Reason, retry: Retry
) -> None:
    assert reason.retry is retry
    assert Failed(reason, "why").retry is retry


@pytest.mark.parametrize(
    ("outcome", "status", "reason"),
    [
        (a_synced(), "True", "Synced"),
        (Failed(Reason.VAULT_UNREACHABLE, "No answer."), "False", "VaultUnreachable"),
        (Suspended(), "Unknown", "Suspended"),
    ],
    ids=["what is in sync is ready", "what has failed is not", "of what is suspended nobody knows"],
)
def test_ready_follows_the_outcome(outcome: Outcome, status: str, reason: str) -> None:
    assert (ready_status(outcome), outcome.reason) == (status, reason)


@pytest.mark.parametrize(
    ("versions", "sentence"),
    [
        (["1"], "1 key is in sync."),
        (["1", "2"], "2 keys are in sync."),
        (["1", None], "1 key is in sync."),
        ([None], "0 keys are in sync."),
    ],
    ids=["one key", "two keys", "an absent one does not count", "none but an absent one"],
)
def test_the_sentence_counts_the_keys_that_are_there(versions: list[str | None], sentence: str) -> None:
    entries = tuple(a_state(f"key-{index}", version=version) for index, version in enumerate(versions))

    assert a_synced(*entries).message == sentence


def test_the_sentence_stays_when_values_rotate() -> None:
    before, after = (
        a_synced(a_state(version="1")),
        a_synced(a_state(version="2"), change=Change.ROTATED, detail="Rotated."),
    )

    assert before.message == after.message


def test_a_sync_error_becomes_the_outcome_that_it_describes() -> None:
    error = SyncError(Reason.VAULT_THROTTLED, "Throttled on vault v.", retry_after=7.0)

    assert failed(error) == Failed(Reason.VAULT_THROTTLED, "Throttled on vault v.", 7.0)
    assert str(error) == "Throttled on vault v."
