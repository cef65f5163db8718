"""What is believed of a target and of a status: all that the spec asks for, and nothing else."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import (
    FIRST,
    NOTICE,
    READ_AT,
    SECOND,
    a_state,
    a_status,
    a_status_entry,
    a_synced,
    a_vault_secret,
    an_entry,
    an_observed,
)
from vaultsync.api.status import StatusPending
from vaultsync.api.v1alpha1 import StatusMissing, VaultSecret
from vaultsync.errors import Reason
from vaultsync.state.applied import Applied
from vaultsync.state.claims import MAX_TEXT, Demand, believed_status, believed_target, bounded_meta, kept
from vaultsync.state.observed import Observed, Unclaimed
from vaultsync.state.secrets import SecretRef
from vaultsync.status.next_status import status_after
from vaultsync.status.outcome import Failed, Reported

FIND: dict[str, Any] = {"find": {"names": "Shop-*"}}


def a_finder(**find: Any) -> VaultSecret:  # noqa: ANN401  fields of a search
    return a_vault_secret(data_from=({"find": find},))


@pytest.mark.parametrize(
    ("vault_secret", "ref", "has"),
    [
        pytest.param(a_vault_secret(), SecretRef("DB-Password"), True, id="named, in any case"),
        pytest.param(a_vault_secret(), SecretRef("other"), False, id="not named"),
        pytest.param(a_vault_secret(), SecretRef("db-password", FIRST), False, id="a version that is not pinned"),
        pytest.param(a_vault_secret(), SecretRef("db-password", previous=True), False, id="no previous version"),
        pytest.param(
            a_vault_secret(an_entry(previous_key="old")),
            SecretRef("db-password", previous=True),
            True,
            id="the previous version",
        ),
        pytest.param(a_vault_secret(an_entry(version=FIRST)), SecretRef("db-password", FIRST), True, id="pinned"),
        pytest.param(a_vault_secret(an_entry(version=FIRST)), SecretRef("db-password", SECOND), False, id="unpinned"),
        pytest.param(a_vault_secret(data_from=({"object": "app"},)), SecretRef("app"), True, id="an object"),
        pytest.param(a_finder(names="Shop-*"), SecretRef("shop-one"), True, id="found, in any case"),
        pytest.param(a_finder(names="shop-?"), SecretRef("shop-one"), False, id="not found"),
        pytest.param(
            a_vault_secret(data_from=({**FIND, "omit": ["*-ONE"]},)), SecretRef("shop-one"), False, id="left out"
        ),
        pytest.param(a_vault_secret(data_from=({**FIND, "omit": ["one"]},)), SecretRef("shop-one"), True, id="kept"),
        pytest.param(a_finder(tags={"a": "b"}), SecretRef("any"), True, id="found by tags, which are not known"),
        pytest.param(a_finder(names="*"), SecretRef("shop/one"), False, id="found, but no name"),
        pytest.param(a_finder(names="*"), SecretRef("shop-one", FIRST), False, id="found is the newest"),
    ],
)
def test_a_spec_asks_for_what_it_names_and_what_its_searches_can_find(
    vault_secret: VaultSecret, ref: SecretRef, has: bool
) -> None:
    assert Demand(vault_secret.spec).has(ref) is has


def applied(*names: str) -> Applied:
    return Applied("spec", tuple(a_state(source=name) for name in names))


def test_a_target_of_nobody_is_unclaimed() -> None:
    assert isinstance(kept(an_observed(), ()), Unclaimed)


def test_a_target_of_two_has_what_either_asks_for_and_each_believes_its_own() -> None:
    other = a_vault_secret(an_entry(secret_name="other"))
    observed = an_observed(applied=applied("db-password", "other", "third"))

    both = kept(observed, [a_vault_secret(), other])

    assert isinstance(both, Observed)
    assert both.applied == applied("db-password", "other")
    believed = believed_target(both, other)
    assert believed is not None
    assert believed.applied == applied("other")


@given(st.lists(st.sampled_from(["db-password", "shop-one", "shop-two", "other"]), unique=True))
def test_what_is_kept_is_kept_again_as_it_is(names: list[str]) -> None:
    vault_secret = a_vault_secret(data_from=(FIND,))
    once = kept(an_observed(applied=applied(*names)), [vault_secret])

    assert isinstance(once, Observed)
    assert kept(once, [vault_secret]) == once
    assert believed_target(once, vault_secret) == once


@pytest.mark.parametrize(
    "outcome", [a_synced(), Failed(Reason.ACCESS_DENIED, "No."), Failed(Reason.VAULT_FAILED, "No.")], ids=str
)
def test_a_status_that_the_operator_has_written_stays_as_it_is(outcome: Reported) -> None:
    written = status_after(a_vault_secret(), outcome, now=READ_AT, polled_at=None, notice=NOTICE)
    vault_secret = a_vault_secret(status=written)

    assert believed_status(vault_secret) is vault_secret


def test_an_entry_whose_pending_version_is_too_long_to_be_ours_is_not_believed() -> None:
    pending = StatusPending(version="x" * (MAX_TEXT + 1), not_before=READ_AT, newest="x")
    vault_secret = a_vault_secret(status=a_status(a_status_entry(pending=pending)))

    assert believed_status(vault_secret).status.entries == ()


def test_a_status_with_more_than_the_spec_asks_for_is_bounded_and_has_no_generation() -> None:
    missing = (StatusMissing(secret_name="other", since=a_status_entry().read_at),)
    status = a_status(a_status_entry(), a_status_entry(key="other", secret_name="other"))
    status = status.model_copy(update={"missing": missing, "observed_generation": 1})

    believed = believed_status(a_vault_secret(status=status)).status

    assert believed == status.model_copy(
        update={"entries": (a_status_entry(),), "missing": (), "observed_generation": None}
    )


def test_of_a_vaultsecret_without_a_readable_spec_the_status_is_bounded_only() -> None:
    entries = (a_status_entry(key="other", secret_name="other"), a_status_entry(key="x" * (MAX_TEXT + 1)))
    meta = a_vault_secret(status=a_status(*entries))

    assert bounded_meta(meta).status.entries == entries[:1]


def test_the_number_of_keys_is_bounded_by_what_a_spec_can_have() -> None:
    states = [
        replace(a_state(f"shop-{number}"), keys=tuple(f"{number}-{n}" for n in range(100))) for number in range(99)
    ]
    observed = an_observed(applied=Applied("spec", tuple(states)))

    found = kept(observed, [a_vault_secret(data_from=(FIND,))])

    assert isinstance(found, Observed)
    assert found.applied is not None
    assert (
        sum(len(state.keys) for state in found.applied.secrets)
        <= Demand(a_vault_secret(data_from=(FIND,)).spec).max_keys
    )
