"""What writing a target changes, how that is described, and when pods read something else than before."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.builders import (
    FAR,
    FIRST,
    READ_AT,
    SECOND,
    START,
    a_pending,
    a_state,
    a_status_entry,
    a_vault_secret,
    an_entry,
    an_observed,
)
from vaultsync.api.v1alpha1 import StatusTarget, VaultSecret, VaultSecretStatus
from vaultsync.policy.diff import annotation_changed, change_for, content_changed, describe, removed_sentence
from vaultsync.policy.plan import Plan, plan_for
from vaultsync.state.applied import Applied, content_fingerprint, fingerprint
from vaultsync.state.desired import Desired
from vaultsync.state.observed import Field, Observed
from vaultsync.state.secrets import SecretRef, SecretState
from vaultsync.state.vaults import VaultView
from vaultsync.status.outcome import Change

REF = SecretRef("db-password")
MINUTE = timedelta(minutes=1)
PAIR = (an_entry(), an_entry(key="token", secret_name="api-token"))
WRITTEN = VaultSecretStatus(target=StatusTarget(name="db"))
THEIRS = replace(
    an_observed(),
    managed=False,
    owner_uid=None,
    applied=None,
    ours=frozenset(),
    foreign={Field("data", "password"): "helm", Field("data", "more"): "helm", Field("data", "other"): "kubectl-edit"},
    managers=("helm", "kubectl-edit"),
    owners=(),
)
"""A Secret that we never wrote."""


def plan(observed: Observed | None, *, vault_secret: VaultSecret) -> Plan:
    return plan_for(vault_secret, observed, VaultView(), now=READ_AT + MINUTE, recheck=FAR)


SAME = {"data": {"password": ""}}
ROTATED = a_state(version=SECOND, updated=READ_AT, read_at=READ_AT + MINUTE)
REREAD = a_state(read_at=READ_AT + MINUTE)


@pytest.mark.parametrize(
    ("vault_secret", "observed", "state", "change", "detail"),
    [
        (
            a_vault_secret(),
            None,
            a_state(),
            Change.CREATED,
            "Created the Secret with password (db-password 0f4a7c9be2d84a6c8c1f7e5d3b2a1908).",
        ),
        (
            a_vault_secret(status=WRITTEN),
            None,
            a_state(),
            Change.HEALED,
            (
                "The Secret had been deleted; created it again with password "
                "(db-password 0f4a7c9be2d84a6c8c1f7e5d3b2a1908)."
            ),
        ),
        (
            a_vault_secret(target={"name": "new"}, status=WRITTEN),
            None,
            a_state(),
            Change.CREATED,
            "Created the Secret with password (db-password 0f4a7c9be2d84a6c8c1f7e5d3b2a1908).",
        ),
        (
            a_vault_secret(),
            an_observed(applied=Applied("another", (a_state(),))),
            a_state(),
            Change.UPDATED,
            "Updated the Secret to the changed spec, with password (db-password 0f4a7c9be2d84a6c8c1f7e5d3b2a1908).",
        ),
        (
            a_vault_secret(),
            an_observed(ours=an_observed().ours - {Field("data", "password")}, managers=("kubectl-edit",)),
            ROTATED,
            Change.HEALED,
            "Field manager kubectl-edit changed or removed password; restored it.",
        ),
        (
            a_vault_secret(),
            an_observed(),
            ROTATED,
            Change.ROTATED,
            "Rotated password (db-password 5b8e1d2c3f4a4b6d9e0f1a2b3c4d5e6f).",
        ),
        (
            a_vault_secret(an_entry(optional=True)),
            an_observed(a_vault_secret(an_entry(optional=True))),
            a_state(version=None),
            Change.REMOVED,
            "",
        ),
        (
            a_vault_secret(),
            an_observed(),
            a_state(encoding="Base64"),
            Change.ROTATED,
            "Rotated password (db-password 0f4a7c9be2d84a6c8c1f7e5d3b2a1908).",
        ),
        (a_vault_secret(), an_observed(), REREAD, Change.NONE, ""),
        (
            a_vault_secret(),
            THEIRS,
            a_state(),
            Change.ADOPTED,
            (
                "Adopted the Secret, written by helm, kubectl-edit: replaced password; removed more, other; wrote "
                "password (db-password 0f4a7c9be2d84a6c8c1f7e5d3b2a1908)."
            ),
        ),
    ],
    ids=[
        "there was no target",
        "the target was deleted",
        "the VaultSecret got another target",
        "the spec has changed",
        "the target has drifted, and the value has rotated too",
        "the value has rotated",
        "an optional secret is gone",
        "a tag says that the value is encoded",
        "the reading is the same",
        "the target had another owner",
    ],
)
def test_a_write_has_a_kind_and_a_sentence(
    vault_secret: VaultSecret, observed: Observed | None, state: SecretState, change: Change, detail: str
) -> None:
    made = plan(observed, vault_secret=vault_secret)
    desired = Desired((state,), {"data": {"password": ""} if state.version else {}})

    found = change_for(vault_secret, observed, made, desired)

    assert found is change
    assert describe(found, observed, made, desired) == detail


def test_a_secret_that_was_found_and_is_not_active_changes_nothing() -> None:
    vault_secret = a_vault_secret(data=(), data_from=[{"find": {"names": "*"}}])
    inactive = a_state(keys=(), source="next-year", version=None, pending=a_pending(none_active=True))
    applied = Applied(fingerprint(vault_secret), (a_state(),))

    for before, after in (((a_state(),), (a_state(), inactive)), ((a_state(), inactive), (a_state(),))):
        observed = an_observed(vault_secret, applied=replace(applied, secrets=before))
        assert change_for(vault_secret, observed, Plan((), {}, None), Desired(after, SAME)) is Change.NONE


def test_a_key_without_an_active_version_is_described() -> None:
    states = (a_state(), a_state("token", source="api-token", version=None, pending=a_pending(none_active=True)))

    assert describe(Change.CREATED, None, Plan((), {}, None), Desired(states, {})) == (
        f"Created the Secret with password (db-password {FIRST}), token (api-token not active yet)."
    )


def test_only_keys_that_rotated_are_described() -> None:
    vault_secret = a_vault_secret(*PAIR)
    token = a_state("token", source="api-token", version="1")
    observed = an_observed(vault_secret, applied=Applied(fingerprint(vault_secret), (a_state(), token)))
    desired = Desired((REREAD, a_state("token", source="api-token", version="2", updated=START)), {})

    assert describe(Change.ROTATED, observed, Plan((), {}, None), desired) == "Rotated token (api-token 2)."


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        (a_state(), REREAD, False),
        (a_state(keys=()), a_state(keys=()), False),
        (a_state(keys=(), version=None), a_state(keys=(), version=None, read_at=READ_AT + MINUTE), True),
    ],
    ids=["the status has it", "nothing new", "only the annotation has it"],
)
def test_a_reading_that_fills_no_key_is_written_to_the_annotation(
    before: SecretState, after: SecretState, changed: bool
) -> None:
    assert annotation_changed(Plan((), {REF: before}, None), Desired((after,), {})) is changed


EMPTIED = a_state(keys=(), version=SECOND, kept=("password",))
"""An object without fields, after a version that had one."""


@pytest.mark.parametrize(
    ("before", "after", "change", "sentence"),
    [
        (a_state(), EMPTIED, Change.NONE, ""),
        (EMPTIED, replace(EMPTIED, kept=()), Change.REMOVED, "password (secret db-password)"),
        (a_state(), a_state("user", version=SECOND), Change.REMOVED, "password (secret db-password)"),
        (a_state(), a_state("user", version=SECOND, kept=("password",)), Change.ROTATED, ""),
        (a_state(keys=()), a_state(keys=(), version=SECOND), Change.NONE, ""),
    ],
    ids=["it is kept", "it goes", "another goes and one comes", "it is kept and another comes", "there was none"],
)
def test_keys_that_go_are_named_and_none_is_said_to_have_rotated(
    before: SecretState, after: SecretState, change: Change, sentence: str
) -> None:
    observed = an_observed(applied=Applied(fingerprint(a_vault_secret()), (before,)))
    made, desired = Plan((), {REF: before}, None), Desired((after,), {"data": dict.fromkeys(after.held, "")})

    assert change_for(a_vault_secret(), observed, made, desired) is change
    assert sentence in removed_sentence(made, observed, desired)
    assert bool(removed_sentence(made, observed, desired)) is bool(sentence)
    assert "no key" not in describe(change, observed, made, desired)
    assert annotation_changed(made, desired) is (before.kept != after.kept or not after.keys)


def test_keys_that_a_user_removes_are_not_gone_from_the_vault() -> None:
    made, desired = Plan((), {REF: a_state()}, None, spec_changed=True), Desired((a_state("user"),), {"data": {}})

    assert removed_sentence(made, an_observed(), desired) == ""


def test_what_was_kept_for_a_changed_spec_is_written_once_its_secret_is_back() -> None:
    def change(before: str | None, after: str) -> Change:
        observed = an_observed(applied=Applied(fingerprint(a_vault_secret()), (a_state(),), before))
        desired = Desired((a_state(),), {"data": {"password": ""}}, spec_content=after)
        return change_for(a_vault_secret(), observed, Plan((), {}, None), desired)

    assert [change("1", "1"), change("1", "2"), change(None, "2")] == [Change.NONE, Change.UPDATED, Change.NONE]


IN_PLACE = VaultSecretStatus(entries=(a_status_entry(),), target=StatusTarget(name="db"))
ADDED = a_state("token", source="api-token")


def with_content(print_: str | None) -> Observed:
    return an_observed(applied=Applied(fingerprint(a_vault_secret()), (a_state(),), print_))


@pytest.mark.parametrize(
    ("status", "observed", "change", "states", "changed"),
    [
        (VaultSecretStatus(), None, Change.CREATED, (a_state(),), False),
        (IN_PLACE, an_observed(), Change.NONE, (a_state(),), False),
        (IN_PLACE, an_observed(), Change.NONE, (ROTATED,), True),
        (VaultSecretStatus(), an_observed(), Change.NONE, (a_state(),), False),
        (VaultSecretStatus(), an_observed(), Change.ROTATED, (ROTATED,), True),
        (IN_PLACE, an_observed(), Change.ROTATED, (ROTATED,), True),
        (IN_PLACE, an_observed(), Change.ROTATED, (a_state(encoding="Base64"),), True),
        (IN_PLACE, an_observed(), Change.REMOVED, (a_state(version=None),), True),
        (IN_PLACE, an_observed(), Change.NONE, (EMPTIED,), False),
        (IN_PLACE, an_observed(), Change.HEALED, (a_state(),), False),
        (IN_PLACE, None, Change.HEALED, (a_state(),), False),
        (IN_PLACE, None, Change.HEALED, (ROTATED,), True),
        (VaultSecretStatus(), THEIRS, Change.ADOPTED, (a_state(),), True),
        (IN_PLACE, with_content(content_fingerprint(a_vault_secret())), Change.UPDATED, (a_state(),), False),
        (IN_PLACE, with_content(None), Change.UPDATED, (a_state(),), False),
        (IN_PLACE, with_content("another"), Change.UPDATED, (a_state(),), True),
        (IN_PLACE, with_content(None), Change.UPDATED, (a_state(), ADDED), True),
    ],
    ids=[
        "not when it is created",
        "not when nothing is written",
        "when an operator ended before it wrote the status",
        "not when there is no status yet",
        "when a version rotated, though there is no status yet",
        "when a version rotated",
        "when a tag says that it is encoded",
        "when a key was removed",
        "not while a key is kept",
        "not when drift is corrected",
        "not when it is created again as it was",
        "when it is created again with another version",
        "when it had another owner",
        "not when labels change",
        "not when an older operator wrote it, and labels change",
        "when a template changes",
        "when a key is added",
    ],
)
def test_pods_read_something_else(
    status: VaultSecretStatus,
    observed: Observed | None,
    change: Change,
    states: tuple[SecretState, ...],
    changed: bool,
) -> None:
    assert content_changed(a_vault_secret(status=status), observed, change, states) is changed
