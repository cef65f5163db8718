"""The outcome for a target that needs neither a read nor a write."""

import pytest

from tests.builders import (
    READ_AT,
    SECOND,
    a_listing,
    a_state,
    a_status,
    a_status_entry,
    a_vault_secret,
    an_observed,
    some_inputs,
    some_metadata,
)
from vaultsync.api.v1alpha1 import StatusMissing, VaultSecret, VaultSecretStatus
from vaultsync.errors import Reason, SyncError
from vaultsync.policy.in_place import outcome_in_place
from vaultsync.policy.inputs import Inputs
from vaultsync.state.applied import Applied, fingerprint
from vaultsync.state.vaults import UNKNOWN, VaultView
from vaultsync.status.outcome import Change, Failed, Synced, failed

AWAY = SyncError(Reason.VAULT_UNREACHABLE, "No answer.", retry_after=7.0)
FINDS = a_vault_secret(
    data=(), data_from=[{"find": {"names": "*"}}], status=a_status().model_copy(update={"left_out": 3})
)


def in_place(vault_secret: VaultSecret, view: VaultView = UNKNOWN) -> Inputs:
    """The inputs of a VaultSecret whose target is as it was applied."""
    return some_inputs(vault_secret, an_observed(vault_secret), view=view)


def test_an_intact_target_is_in_sync_and_nothing_was_done() -> None:
    outcome = outcome_in_place(in_place(a_vault_secret(status=a_status())))

    assert outcome == Synced((a_state(),), frozenset({"password"}))


def test_a_vault_that_cannot_be_polled_is_the_failure() -> None:
    assert outcome_in_place(in_place(a_vault_secret(status=a_status()), VaultView(failure=AWAY))) == failed(AWAY)


DENIED = a_status(reason="AccessDenied")


@pytest.mark.parametrize(
    ("view", "failing"),
    [(UNKNOWN, True), (VaultView(polled_at=READ_AT), False)],
    ids=["before the first poll", "after a poll"],
)
def test_the_failure_in_the_status_lasts_until_the_vault_was_polled(view: VaultView, failing: bool) -> None:
    outcome = outcome_in_place(in_place(a_vault_secret(status=DENIED), view))

    assert isinstance(outcome, Failed) is failing
    assert outcome.reason is (Reason.ACCESS_DENIED if failing else Reason.SYNCED)


@pytest.mark.parametrize(
    ("view", "left_out"),
    [(UNKNOWN, 3), (VaultView(listing=a_listing(some_metadata(name="old", readable=False))), 1)],
    ids=["as the status has it, before the first listing", "as the listing has it"],
)
def test_finds_that_are_left_out_are_counted(view: VaultView, left_out: int) -> None:
    outcome = outcome_in_place(in_place(FINDS, view))

    assert isinstance(outcome, Synced)
    assert outcome.left_out == left_out


def test_secrets_whose_keys_were_deleted_stay_missing() -> None:
    gone = (StatusMissing(secret_name="api-token", since=READ_AT),)
    vault_secret = a_vault_secret(status=VaultSecretStatus(missing=gone))

    outcome = outcome_in_place(in_place(vault_secret))

    assert isinstance(outcome, Synced)
    assert outcome.missing == gone


def test_a_write_that_the_status_does_not_have_yet_has_changed_the_content() -> None:
    vault_secret = a_vault_secret(status=a_status(a_status_entry()))
    target = an_observed(applied=Applied(fingerprint(vault_secret), (a_state(version=SECOND),)))

    outcome = outcome_in_place(some_inputs(vault_secret, target))

    assert isinstance(outcome, Synced)
    assert (outcome.change, outcome.content_changed) == (Change.NONE, True)
