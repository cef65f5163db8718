"""Secrets of which no version is active yet: what blocks a write, and which keys keep what they have."""

from dataclasses import replace
from datetime import timedelta

import pytest

from kvsecrets import SecretValue
from tests.builders import (
    FIRST,
    READ_AT,
    VAULT,
    a_pending,
    a_reading,
    a_state,
    a_vault_secret,
    an_entry,
    an_inactive_reading,
    an_observed,
    some_inputs,
)
from vaultsync.errors import Reason
from vaultsync.policy.activation import (
    carried_inactive,
    inactive_in_place,
    inactive_secret,
    kept_inactive,
    unkept_inactive,
)
from vaultsync.policy.inputs import Inputs
from vaultsync.policy.plan import Plan
from vaultsync.state.observed import Field, Observed
from vaultsync.state.requests import SecretRequest
from vaultsync.state.secrets import CarriedReading, Readings, SecretRef, SecretState

REF, TOKEN = SecretRef("db-password"), SecretRef("api-token")
INACTIVE = an_inactive_reading()
HOUR = timedelta(hours=1)


def inputs_of(target: Observed | None, state: SecretState | None = None, *, optional: bool = False) -> Inputs:
    known = {} if state is None else {REF: state}
    plan = Plan((SecretRequest(REF, optional=optional), SecretRequest(TOKEN, optional=False)), known, "because")
    return some_inputs(a_vault_secret(an_entry(optional=optional)), target, plan=plan, now=READ_AT)


def without_keys() -> Observed:
    intact = an_observed()
    return replace(intact, ours=intact.ours - {Field("data", "password")})


@pytest.mark.parametrize(
    ("target", "state", "kept"),
    [
        (an_observed(), a_state(), True),
        (replace(without_keys(), foreign={Field("data", "password"): "kubectl"}), a_state(), True),
        (without_keys(), a_state(), False),
        (an_observed(), a_state(version=None), False),
        (an_observed(), None, False),
        (None, a_state(), False),
    ],
    ids=[
        "the target has it",
        "another writer has changed it",
        "another writer has removed it",
        "it was never written",
        "it was never read",
        "there is no target",
    ],
)
@pytest.mark.parametrize("optional", [False, True], ids=["required", "optional"])
def test_a_key_that_the_target_has_is_kept_and_another_blocks_if_it_is_required(
    target: Observed | None, state: SecretState | None, kept: bool, optional: bool
) -> None:
    inputs = inputs_of(target, state, optional=optional)
    readings: Readings = {REF: INACTIVE, TOKEN: a_reading()}

    blocked = inactive_secret(inputs, readings)

    assert kept_inactive(inputs, readings) == ({REF} if kept else set())
    assert (blocked is not None) is not (kept or optional)


def test_what_blocks_is_reported_with_its_date_and_retried_then() -> None:
    blocked = inactive_secret(inputs_of(None), {REF: INACTIVE})

    assert blocked is not None
    assert (blocked.reason, blocked.retry_after) == (Reason.SECRET_NOT_YET_ACTIVE, 3600.0)
    assert blocked.message == (
        f"Secret db-password of vault {VAULT} has no version that is active before 2026-03-01 13:30:00 UTC; the Secret "
        "stays as it is until then."
    )


def test_of_several_the_first_is_named() -> None:
    readings = {REF: INACTIVE, TOKEN: an_inactive_reading(not_before=READ_AT + HOUR / 2)}

    blocked = inactive_secret(inputs_of(None), readings)

    assert blocked is not None
    assert "api-token" in blocked.message
    assert "13:00:00 UTC, and 1 more; " in blocked.message


@pytest.mark.parametrize("optional", [False, True], ids=["required", "optional"])
def test_what_cannot_be_kept_blocks_although_it_is_optional(optional: bool) -> None:
    failure = unkept_inactive(inputs_of(an_observed(), a_state(), optional=optional), {REF: INACTIVE})

    assert failure.reason is Reason.SECRET_NOT_YET_ACTIVE
    assert "stays as it is" in failure.message


@pytest.mark.parametrize(
    ("state", "optional", "fails"),
    [
        (a_state(pending=a_pending(none_active=True)), False, True),
        (a_state(pending=a_pending(none_active=True)), True, False),
        (a_state(pending=a_pending()), False, False),
        (a_state(), False, False),
    ],
    ids=["no version of a required one is active", "nor of an optional one", "an older one is active", "the newest is"],
)
def test_a_target_in_place_fails_while_a_required_key_is_kept(state: SecretState, optional: bool, fails: bool) -> None:
    failure = inactive_in_place(inputs_of(an_observed(), state, optional=optional), [state])

    assert (failure is not None) is fails
    assert failure is None or failure.message.endswith("its keys keep their content until then.")


def test_what_is_kept_has_the_version_that_was_written_and_the_date_of_the_next() -> None:
    lost = CarriedReading(a_state("token", source="api-token"), {"token": SecretValue("dA==")})
    kept = CarriedReading(a_state(), {"password": SecretValue("cA==")})
    later = an_inactive_reading(read_at=READ_AT + HOUR)

    carried = carried_inactive({REF: kept, TOKEN: lost}, {REF: later})

    assert carried[TOKEN] is lost
    state = a_state(pending=later.pending, read_at=READ_AT + HOUR)
    assert carried[REF] == CarriedReading(state, kept.kept)
    assert state.version == FIRST
