"""Whose a target is, and which of several VaultSecrets may write it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import START, UID, a_vault_secret, an_observed, some_inputs
from vaultsync.api import APPLIED_ANNOTATION, OWNER_UID_LABEL
from vaultsync.errors import Reason
from vaultsync.policy.ownership import competing_vaultsecret, foreign_target, is_ours, is_written_for
from vaultsync.state.applied import Applied
from vaultsync.state.observed import Field, Observed, Owner

FOREIGN = an_observed(managed=False, owner_uid=None, owners=(), applied=None, ours=frozenset(), managers=("helm",))
"""A Secret that another writer created."""


@pytest.mark.parametrize(
    ("observed", "adopt"),
    [
        (None, False),
        (an_observed(), False),
        (an_observed(managed=False), False),
        (an_observed(ours=frozenset()), False),
        (an_observed(owner_uid="another", applied=None), False),
        (FOREIGN, True),
    ],
    ids=[
        "it does not exist",
        "we created it",
        "another writer removed our label",
        "another writer changed every field",
        "it is left from a deleted VaultSecret",
        "it is foreign and may be adopted",
    ],
)
def test_a_target_may_be_written_if(observed: Observed | None, adopt: bool) -> None:
    assert foreign_target(some_inputs(a_vault_secret(target={"adopt": adopt}), observed)) is None


@pytest.mark.parametrize(
    ("observed", "owner"),
    [
        (FOREIGN, "exists already, written by helm"),
        (an_observed(managed=False, ours=frozenset(), owners=(Owner("Certificate", "web", "u"),)), "Certificate web"),
        (an_observed(managed=False, ours=frozenset(), owners=(), managers=()), "exists already;"),
    ],
    ids=["created by a client", "created by a controller", "without field managers"],
)
def test_a_foreign_secret_is_not_written_and_the_message_names_its_owner(observed: Observed, owner: str) -> None:
    blocked = foreign_target(some_inputs(target=observed))

    assert blocked is not None
    assert blocked.reason is Reason.TARGET_CONFLICT
    assert blocked.message.startswith("Secret shop/db ")
    assert owner in blocked.message
    assert "target.adopt: true" in blocked.message


def test_one_field_of_ours_makes_a_secret_ours() -> None:
    observed = an_observed(managed=False, ours=frozenset({Field("data", "password")}))

    assert is_ours(a_vault_secret(), observed)


def test_a_copy_of_our_secret_is_not_ours_though_it_has_our_label() -> None:
    copied = an_observed(owner_uid="another", ours=frozenset(), managers=("kubectl-create",))

    assert not is_ours(a_vault_secret(), copied)
    assert foreign_target(some_inputs(target=copied)) is not None


LABEL, OWNER_REFERENCE = Field("labels", OWNER_UID_LABEL), Field("ownerReferences", UID)
ANNOTATION, KEY_OF_DATA = Field("annotations", APPLIED_ANNOTATION), Field("data", "password")


def an_applied(owner: str | None) -> Applied:
    return replace(an_observed().applied or Applied("", ()), owner=owner)


@pytest.mark.parametrize(
    ("observed", "written"),
    [
        pytest.param(an_observed(), True, id="it was"),
        pytest.param(an_observed(ours=frozenset({LABEL})), True, id="our label names it"),
        pytest.param(an_observed(ours=frozenset({OWNER_REFERENCE}), owner_uid="x"), True, id="the label was changed"),
        pytest.param(
            an_observed(ours=frozenset({ANNOTATION, KEY_OF_DATA}), owner_uid="x", applied=an_applied(UID)),
            True,
            id="the label was changed, and there is no owner reference",
        ),
        pytest.param(an_observed(ours=frozenset()), False, id="never: it is a copy"),
        pytest.param(
            an_observed(ours=frozenset({ANNOTATION}), applied=an_applied("another")),
            False,
            id="another wrote the label",
        ),
        pytest.param(
            an_observed(ours=frozenset({KEY_OF_DATA}), applied=an_applied(UID)), False, id="others wrote label and more"
        ),
        pytest.param(
            an_observed(
                ours=frozenset({LABEL, ANNOTATION, KEY_OF_DATA}), owner_uid="another", applied=an_applied("another")
            ),
            False,
            id="for another VaultSecret",
        ),
        pytest.param(
            an_observed(ours=frozenset({ANNOTATION}), owner_uid=None, applied=an_applied(None)),
            False,
            id="with an annotation of an earlier version",
        ),
        pytest.param(
            an_observed(managed=False, owner_uid=None, applied=None, ours=frozenset({KEY_OF_DATA})),
            False,
            id="it was, and was orphaned",
        ),
    ],
)
def test_a_secret_was_written_for_a_vaultsecret(observed: Observed, written: bool) -> None:
    assert is_written_for(a_vault_secret(), observed) is written


@given(ages=st.lists(st.integers(0, 3), min_size=1, max_size=6), data=st.data())
def test_of_all_vaultsecrets_that_want_a_target_only_the_oldest_may_write_it(
    ages: list[int], data: st.DataObject
) -> None:
    candidates = data.draw(
        st.permutations(
            [
                a_vault_secret(
                    metadata={
                        "name": f"n{index}",
                        "uid": f"u{index}",
                        "creation_timestamp": START + timedelta(seconds=age),
                    }
                )
                for index, age in enumerate(ages)
            ]
        )
    )

    winners = [
        one
        for one in candidates
        if competing_vaultsecret(some_inputs(one, competing=tuple(other for other in candidates if other is not one)))
        is None
    ]

    assert [one.metadata.creation_timestamp for one in winners] == [START + timedelta(seconds=min(ages))]


def test_adopt_does_not_take_a_target_that_an_older_vaultsecret_wants() -> None:
    older = a_vault_secret(metadata={"name": "older", "uid": "0" + UID[1:], "creation_timestamp": START})
    younger = a_vault_secret(
        metadata={"name": "younger", "creation_timestamp": START + timedelta(days=1)}, target={"adopt": True}
    )

    blocked = competing_vaultsecret(some_inputs(younger, competing=(older,)))

    assert blocked is not None
    assert blocked.reason is Reason.TARGET_CONFLICT
    assert "belongs to VaultSecret older, which is older" in blocked.message
