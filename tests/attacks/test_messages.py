"""Texts that others write into conditions, events and logs: to forge a line, to hide a cause, to reveal a value."""

from typing import Any, Final

import pytest

from tests.builders import KEY, START, UID, a_vault_secret, an_observed, some_inputs
from vaultsync.adapters.kube.errors import api_error
from vaultsync.adapters.kube.requests import create_event
from vaultsync.errors import Reason
from vaultsync.policy.drift import Drift
from vaultsync.policy.ownership import foreign_target
from vaultsync.state.observed import Observed, Owner
from vaultsync.status.conditions import READY, ConditionState, next_condition
from vaultsync.status.events import Event, events_for
from vaultsync.status.outcome import Failed

FORGED: Final = "web\nReady True Synced \u202egnihtyreve\u202c\x1b[2K"
"""A name with a line of its own, another direction, and a sequence that clears the terminal's line."""

MARK: Final = "hunter2"
"""Stands where a value would be."""


def rejection(message: str, *causes: tuple[str, str, str]) -> dict[str, Any]:
    """A Status with causes: reason, field, message."""
    listed = [dict(zip(("reason", "field", "message"), cause, strict=True)) for cause in causes]
    return {"kind": "Status", "message": message, "details": {"name": "db", "kind": "secrets", "causes": listed}}


def assert_is_one_plain_line(text: str) -> None:
    assert text.isprintable()
    assert len(text.encode()) <= 4096


@pytest.mark.parametrize(
    "observed",
    [
        an_observed(managed=False, ours=frozenset(), owners=(Owner(FORGED, FORGED * 99, "u"),)),
        an_observed(managed=False, ours=frozenset(), owners=tuple(Owner(FORGED, f"{n}", f"{n}") for n in range(999))),
        an_observed(managed=False, ours=frozenset(), owners=(), managers=(FORGED,) * 999),
    ],
    ids=["a name", "many owners", "many managers"],
)
def test_a_forged_owner_or_manager_of_a_secret_does_not_add_a_line_to_the_condition(observed: Observed) -> None:
    """Who may write a Secret names its owner or field manager so that the condition shows a line of their own."""
    blocked = foreign_target(some_inputs(target=observed))

    assert blocked is not None
    assert_is_one_plain_line(blocked.message)
    assert len(blocked.message) < 2000


def test_a_forged_field_manager_does_not_add_a_line_to_an_event() -> None:
    """Who may write a Secret changes it under a name that forges a line of the event `Tampered`."""
    drift = Drift((), ("extra",), (FORGED,) * 50)

    assert_is_one_plain_line(drift.text)
    assert len(drift.text) < 1000


def test_an_event_of_any_text_is_one_bounded_line() -> None:
    """Whoever chooses names or texts that a message has makes it long, or adds lines to it."""
    body = create_event(KEY, Event("Normal", "Synced", FORGED * 999), event_id="0123", uid=UID, at=START).body
    assert isinstance(body, dict)

    assert_is_one_plain_line(body["message"])
    assert len(body["message"].encode()) <= 1024


def test_a_condition_of_any_text_is_one_bounded_line_and_no_event_each_time() -> None:
    """Whoever chooses a text of the message makes it differ from what is stored, so that each retry is an event."""
    vault_secret, outcome = a_vault_secret(), Failed(Reason.INVALID_SPEC, FORGED * 999)

    ready = next_condition(vault_secret, READY, ConditionState("False", outcome.reason, outcome.message), now=START)

    assert_is_one_plain_line(ready.message)
    status = vault_secret.status.model_copy(update={"conditions": (ready,)})
    assert list(events_for(status, status, outcome)) == []


DUMPED: Final = (
    'Invalid value: []v1.OwnerReference{v1.OwnerReference{APIVersion:"external-secrets.io/v1", Kind:"ExternalSecret",'
    ' Name:"db", UID:"6f0c0c56-7d3a-4b54-9d0c-0d5b2f8f3b11", Controller:(*bool)(0xc00a1b2c3d),'
    ' BlockOwnerDeletion:(*bool)(0xc00a1b2c3e)}, v1.OwnerReference{APIVersion:"vaultsync.dev/v1alpha1",'
    ' Kind:"VaultSecret", Name:"db", UID:"0a", Controller:(*bool)(0xc00a1b2c3f), BlockOwnerDeletion:(*bool)(nil)}}: '
    'Only one reference can have Controller set to true. Found "true" in references for ExternalSecret/db and '
    "VaultSecret/db"
)


def test_a_second_controller_does_not_hide_the_cause_of_the_rejection() -> None:
    """A controller that took a Secret over leaves a message of which only the first word is shown."""
    error = api_error(422, rejection("", ("FieldValueInvalid", "metadata.ownerReferences", DUMPED)), "Secret shop/db")

    assert error.message == (
        "Secret shop/db: metadata.ownerReferences: Only one reference can have Controller set to true. Found "
        '"true" in references for ExternalSecret/db and VaultSecret/db.'
    )


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, f"ValidatingAdmissionPolicy 'weak' with binding 'all' denied request: {MARK}\n{FORGED}"),
        (400, f'admission webhook "check.example.com" denied the request: {MARK}{FORGED}'),
        (403, f"{MARK}{FORGED}"),
        (500, f'failed calling webhook "{FORGED}": {MARK}'),
        (403, f'User "x" cannot {MARK}{FORGED} resource "secrets"'),
        (403, f"exceeded quota: {FORGED}{MARK} or so, x"),
    ],
    ids=["policy", "webhook", "other admission", "broken webhook", "verb", "quota"],
)
def test_an_admission_rule_does_not_bring_a_value_or_a_line_into_the_condition(status: int, message: str) -> None:
    """Whoever configures admission repeats the rejected object, its values included, in the text of the rejection."""
    error = api_error(status, rejection(message), "Secret shop/db")

    assert MARK not in error.message
    assert_is_one_plain_line(error.message)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("data[pass word]", "data[pass word] is not valid"),
        ("metadata.labels[a\u202eb\nc]", "metadata.labels[ab c]: wrong"),
        (f"the value {MARK}", "a field is not valid"),
        (f"data[a] = {MARK}", "a field is not valid"),
        (f"data[{'k' * 351}]", "a field is not valid"),
    ],
    ids=["a key with a blank", "a key of two lines", "a sentence", "an assignment", "a long key"],
)
def test_a_field_of_a_rejection_is_shown_as_a_path_and_nothing_else_is(field: str, expected: str) -> None:
    """Whoever chooses the keys of a Secret, or answers in place of the API server, writes text where a path belongs."""
    error = api_error(422, rejection("", ("FieldValueInvalid", field, "wrong.")), "Secret shop/db")

    assert error.message == f"Secret shop/db: {expected}."
    assert MARK not in error.message
