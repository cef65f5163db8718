"""Whose a target is, and which of several VaultSecrets may write it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import START, UID, a_state, a_vault_secret, an_entry, an_observed, some_inputs
from vaultsync.api import APPLIED_ANNOTATION, OWNER_UID_LABEL
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.errors import Reason
from vaultsync.policy.evidence import is_created, is_ours, is_written_for
from vaultsync.policy.guards import first_blocked
from vaultsync.policy.ownership import competing_vaultsecret, creates, foreign_target, terminating_target
from vaultsync.state.applied import Applied, fingerprint
from vaultsync.state.observed import Field, Observed, Owner
from vaultsync.status.outcome import Failed

FOREIGN = an_observed(managed=False, owner_uid=None, owners=(), applied=None, ours=frozenset(), managers=("helm",))
"""A Secret that another writer created."""


RELEASED = an_observed(managed=False, owner_uid=None, owners=(), applied=None, ours=frozenset({Field("data", "a")}))
"""A Secret that we wrote and released."""

CONTROLLED = replace(
    FOREIGN, owners=(Owner("ExternalSecret", "db", "u", "external-secrets.io/v1", controller=True),), managers=("es",)
)
"""A Secret that another controller maintains."""

LEFT_BEHIND = an_observed(
    a_vault_secret(metadata={"uid": "another"}), owner_uid="another", applied=Applied("", (), owner="another")
)
"""A Secret that we created for a VaultSecret with which the garbage collector deletes it."""


@pytest.mark.parametrize(
    ("observed", "adopt"),
    [
        (None, False),
        (an_observed(), False),
        (an_observed(managed=False), False),
        (an_observed(owner_uid="another", applied=None), False),
        (LEFT_BEHIND, False),
        (replace(FOREIGN, adopt_by="db"), True),
        (replace(CONTROLLED, adopt_by="db"), True),
        (replace(RELEASED, retained_by=UID), False),
        (replace(RELEASED, retained_by="another", adopt_by="db"), False),
        (replace(RELEASED, adopt_by="db"), False),
    ],
    ids=[
        "it does not exist",
        "we created it",
        "another writer removed our label",
        "another writer changed label and annotation",
        "the garbage collector is about to delete it",
        "it is foreign and may be adopted",
        "it has a controller and may be adopted",
        "it was retained by this VaultSecret",
        "it was retained by another one, and consents",
        "it was retained by an earlier version, and consents",
    ],
)
def test_a_target_may_be_written_if(observed: Observed | None, adopt: bool) -> None:
    assert foreign_target(some_inputs(a_vault_secret(target={"adopt": adopt}), observed)) is None


COPY = an_observed(ours=frozenset(), owners=())
"""It has our labels and annotation, and nothing that we applied."""


@pytest.mark.parametrize(
    ("observed", "adopt"),
    [
        (FOREIGN, True),
        (replace(FOREIGN, adopt_by="db"), False),
        (replace(FOREIGN, adopt_by="another"), True),
        (replace(FOREIGN, retained_by="another"), True),
        (COPY, True),
        (an_observed(ours=frozenset()), True),
        (replace(COPY, retained_by=UID), True),
        (replace(RELEASED, retained_by="another"), True),
        (replace(RELEASED, retained_by="another", adopt_by="another"), True),
        (replace(CONTROLLED, retained_by=UID), True),
        (replace(CONTROLLED, adopt_by="db"), False),
        (replace(an_observed(), owners=CONTROLLED.owners), True),
    ],
    ids=[
        "only the spec says so",
        "only the Secret says so",
        "it names another VaultSecret",
        "it was retained by another one",
        "it is a copy",
        "it is a copy with its owner reference",
        "it is a copy that names this VaultSecret",
        "we released it for another VaultSecret",
        "we released it, and it names another VaultSecret",
        "a controller took it after we released it",
        "it has a controller, and only the Secret says so",
        "a controller took it from us",
    ],
)
def test_a_target_is_not_written_if(observed: Observed, adopt: bool) -> None:
    blocked = foreign_target(some_inputs(a_vault_secret(target={"adopt": adopt}), observed))

    assert blocked is not None
    assert blocked.reason is Reason.TARGET_CONFLICT


@pytest.mark.parametrize(
    ("finalizers", "held"),
    [
        (("example.com/hold",), "held by the finalizer example.com/hold:"),
        (("a", "b"), "held by the finalizers a, b:"),
        (("a\n\u202eb" + "x" * 400,), f"held by the finalizer a b{'x' * 122}…:"),
    ],
    ids=["one", "several", "a text that is not shown as it is"],
)
@pytest.mark.parametrize("target", [an_observed(), FOREIGN], ids=["ours", "of others"])
def test_a_terminating_target_is_not_written_and_its_finalizers_are_named(
    target: Observed, finalizers: tuple[str, ...], held: str
) -> None:
    inputs = some_inputs(target=replace(target, terminating=True, finalizers=finalizers))

    blocked = first_blocked(inputs)

    assert isinstance(blocked, Failed)
    assert blocked.reason is Reason.TARGET_TERMINATING
    assert held in blocked.message
    assert (
        """kubectl patch secret -n shop db --type=merge --patch '{"metadata":{"finalizers":null}}'""" in blocked.message
    )


def test_a_target_with_finalizers_that_is_not_terminating_is_written() -> None:
    assert terminating_target(some_inputs(target=an_observed(finalizers=("example.com/hold",)))) is None


SAME = a_vault_secret(on_delete="Retain")
BEFORE = Applied(fingerprint(SAME, uid="former"), (a_state(),), owner="former", created=True, vault_secret="shop/db")
RESTORED = an_observed(
    SAME, owner_uid="former", owners=(), applied=BEFORE, ours=frozenset(), managers=("velero-server",)
)
"""A Secret that was restored from a backup, as its VaultSecret was, which has another uid since."""

LEFT = replace(RESTORED, ours=frozenset({Field("labels", OWNER_UID_LABEL), Field("annotations", APPLIED_ANNOTATION)}))
"""A Secret that was kept when its VaultSecret was deleted, and that is not released yet."""

KEPT_FIELDS = replace(LEFT, restored=True)
"""The same, by a tool that restores who applied which field."""


@pytest.mark.parametrize("target", [RESTORED, KEPT_FIELDS, replace(RESTORED, adopt_by="db")])
def test_a_restored_secret_is_written_for_the_vaultsecret_of_the_same_name_and_spec(target: Observed) -> None:
    inputs = some_inputs(SAME, target, owner_is_gone=True)

    assert (competing_vaultsecret(inputs), foreign_target(inputs)) == (None, None)
    assert not creates(SAME, target)


@pytest.mark.parametrize(
    ("vault_secret", "target", "owner_is_gone"),
    [
        (SAME, RESTORED, False),
        (SAME, LEFT, True),
        (a_vault_secret(an_entry(secret_name="other"), on_delete="Retain"), RESTORED, True),
        (a_vault_secret(), RESTORED, True),
        (a_vault_secret(metadata={"name": "another"}, target={"name": "db"}, on_delete="Retain"), RESTORED, True),
        (SAME, replace(RESTORED, applied=replace(BEFORE, vault_secret="elsewhere/db")), True),
        (SAME, replace(RESTORED, applied=replace(BEFORE, vault_secret=None)), True),
        (SAME, replace(RESTORED, applied=replace(BEFORE, owner="third")), True),
        (SAME, replace(RESTORED, applied=replace(BEFORE, owner=None)), True),
        (SAME, replace(RESTORED, applied=None), True),
        (SAME, replace(RESTORED, managed=False), True),
        (SAME, replace(RESTORED, adopt_by="another"), True),
        (SAME, replace(RESTORED, owners=CONTROLLED.owners), True),
        (SAME, replace(RESTORED, owners=(Owner("ConfigMap", "app", "u"),)), True),
    ],
    ids=[
        "the VaultSecret of its label exists",
        "we wrote this very object",
        "the spec asks for other secrets",
        "the spec has another onDelete",
        "another VaultSecret names it",
        "it is a copy from another namespace",
        "an older version wrote it",
        "annotation and label name different VaultSecrets",
        "the annotation names no VaultSecret",
        "it was released",
        "it lacks our label",
        "it names another VaultSecret",
        "it has a controller",
        "it has an owner",
    ],
)
def test_a_secret_is_not_taken_for_a_restored_one_if(
    vault_secret: VaultSecret, target: Observed, owner_is_gone: bool
) -> None:
    inputs = some_inputs(vault_secret, target, owner_is_gone=owner_is_gone)

    blocked = foreign_target(inputs)

    assert blocked is not None
    assert blocked.reason is Reason.TARGET_CONFLICT


def test_a_restored_secret_stays_with_its_vaultsecret_when_an_older_one_names_it() -> None:
    """A restore creates them in any order."""
    older = a_vault_secret(
        metadata={"name": "older", "uid": "older", "creation_timestamp": START - timedelta(days=1)},
        target={"name": "db"},
    )

    assert competing_vaultsecret(some_inputs(SAME, RESTORED, competing=(older,), owner_is_gone=True)) is None
    assert foreign_target(some_inputs(older, RESTORED, competing=(SAME,), owner_is_gone=True)) is not None


def test_a_secret_that_a_backup_has_lost_needs_consent_but_not_adopt() -> None:
    older_version = replace(RESTORED, applied=replace(BEFORE, vault_secret=None))

    blocked = foreign_target(some_inputs(SAME, older_version, owner_is_gone=True))

    assert blocked is not None
    assert blocked.message.endswith(
        f"left behind by a VaultSecret; choose another target.name, delete it, or have it taken over: {ANNOTATE}."
    )
    assert foreign_target(some_inputs(SAME, replace(older_version, adopt_by="db"), owner_is_gone=True)) is None


ANNOTATE = "kubectl annotate secret -n shop db --overwrite vaultsync.dev/adopt-by=db"
PATCH = """kubectl patch secret -n shop db --type=merge --patch '{"metadata":{"ownerReferences":null}}'"""


@pytest.mark.parametrize(
    ("observed", "adopt", "message"),
    [
        (
            FOREIGN,
            False,
            (
                "exists already, written by helm; choose another target.name, delete it, or have it taken over: set "
                f"target.adopt: true and {ANNOTATE}."
            ),
        ),
        (
            FOREIGN,
            True,
            (
                "exists already, written by helm; choose another target.name, delete it, or have it taken over: "
                f"{ANNOTATE}."
            ),
        ),
        (
            replace(FOREIGN, adopt_by="db", managers=()),
            False,
            "exists already; choose another target.name, delete it, or have it taken over: set target.adopt: true.",
        ),
        (
            replace(RELEASED, retained_by="another"),
            False,
            (
                "exists already, left behind by a VaultSecret; choose another target.name, delete it, or have it taken "
                f"over: {ANNOTATE}."
            ),
        ),
        (
            replace(FOREIGN, owners=(Owner("Certificate", "web", "u"),)),
            True,
            f"is owned by Certificate web; choose another target.name, delete it, or have it taken over: {ANNOTATE}.",
        ),
        (
            CONTROLLED,
            False,
            (
                "is controlled by ExternalSecret db; choose another target.name, or stop that controller first. Then "
                f"have the Secret taken over, which replaces its owner reference: set target.adopt: true and "
                f"{ANNOTATE}; or remove only the reference: {PATCH}."
            ),
        ),
    ],
    ids=["foreign", "the spec adopts it", "the Secret consents", "released", "owned", "controlled"],
)
def test_the_message_names_the_owner_and_the_commands(observed: Observed, adopt: bool, message: str) -> None:
    blocked = foreign_target(some_inputs(a_vault_secret(target={"adopt": adopt}), observed))

    assert blocked is not None
    assert blocked.message == f"Secret shop/db {message}"


@pytest.mark.parametrize(
    ("observed", "created"),
    [
        (an_observed(), True),
        (an_observed(owners=(), ours=frozenset({Field("annotations", APPLIED_ANNOTATION)})), True),
        (LEFT_BEHIND, True),
        (FOREIGN, False),
        (COPY, False),
        (an_observed(ours=frozenset()), False),
        (an_observed(owners=(), applied=Applied("", (), owner=UID)), False),
        (an_observed(owners=(), applied=Applied("", (), owner="another", created=True)), False),
        (replace(an_observed(), owners=CONTROLLED.owners), False),
    ],
    ids=[
        "for this VaultSecret",
        "to be retained",
        "for another one, with which it is deleted",
        "not: another writer did",
        "not: it is a copy",
        "not: it is a copy with its owner reference",
        "not: it was adopted",
        "not: for another one, which retained it",
        "not: another controller has it",
    ],
)
def test_a_secret_was_created_by_us(observed: Observed, created: bool) -> None:
    assert is_created(a_vault_secret(), observed) is created
    assert creates(a_vault_secret(), observed) is created


def test_a_field_of_ours_that_names_nobody_does_not_make_a_secret_ours() -> None:
    observed = an_observed(managed=False, owners=(), ours=frozenset({Field("data", "password")}))

    assert not is_ours(a_vault_secret(), observed)


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


OLDER = a_vault_secret(metadata={"name": "older", "uid": "0" + UID[1:], "creation_timestamp": START})
YOUNGER = a_vault_secret(metadata={"creation_timestamp": START + timedelta(days=1)}, target={"adopt": True})


def adopted_by(vault_secret: VaultSecret, adopt_by: str | None = None) -> Observed:
    """A Secret that was taken over for a VaultSecret."""
    uid = vault_secret.metadata.uid
    return an_observed(vault_secret, owners=(), applied=Applied("", (), owner=uid), adopt_by=adopt_by)


@pytest.mark.parametrize(
    ("vault_secret", "other", "target", "message"),
    [
        (YOUNGER, OLDER, None, "belongs to VaultSecret older, which is older"),
        (YOUNGER, OLDER, an_observed(YOUNGER), "belongs to VaultSecret older, which is older"),
        (YOUNGER, OLDER, FOREIGN, "belongs to VaultSecret older, which is older"),
        (YOUNGER, OLDER, adopted_by(OLDER), "belongs to VaultSecret older;"),
        (OLDER, YOUNGER, adopted_by(YOUNGER), "belongs to VaultSecret db;"),
        (OLDER, YOUNGER, adopted_by(OLDER, adopt_by="db"), "belongs to VaultSecret db;"),
        (OLDER, YOUNGER, replace(FOREIGN, adopt_by="db"), "belongs to VaultSecret db;"),
        (YOUNGER, OLDER, adopted_by(YOUNGER), None),
        (YOUNGER, OLDER, adopted_by(OLDER, adopt_by="db"), None),
        (YOUNGER, OLDER, replace(FOREIGN, adopt_by="db"), None),
        (OLDER, YOUNGER, an_observed(YOUNGER), None),
        (OLDER, YOUNGER, None, None),
    ],
    ids=[
        "there is none: the older one's",
        "it was created for the younger: the older one's",
        "it names neither: the older one's",
        "the older has adopted it",
        "the younger has adopted it",
        "it was adopted by the older, and names the younger",
        "it is foreign, and names the younger",
        "the younger keeps what it has adopted",
        "the younger takes what names it",
        "the younger takes what is foreign and names it",
        "the older takes what was created for the younger",
        "the older creates it",
    ],
)
def test_of_two_vaultsecrets_the_one_that_the_secret_is_kept_for_and_then_the_older_has_it(
    vault_secret: VaultSecret, other: VaultSecret, target: Observed | None, message: str | None
) -> None:
    blocked = competing_vaultsecret(some_inputs(vault_secret, target, competing=(other,)))

    assert (blocked is None) is (message is None)
    assert blocked is None or (blocked.reason is Reason.TARGET_CONFLICT and message in blocked.message)  # type: ignore[operator]  # one is None with the other
