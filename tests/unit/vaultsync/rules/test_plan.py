"""What one reconcile has to do: what is read and why, what tampering is, and what writing would be."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import FAR, READ_AT, SECOND, START, UID, a_sighting, a_state, a_vault_secret, an_entry, an_observed
from vaultsync.api import APPLIED_ANNOTATION, MANAGED_BY_LABEL
from vaultsync.api.v1alpha1 import StatusEntry, StatusTarget, VaultSecret, VaultSecretStatus
from vaultsync.rules.applied import Applied, fingerprint
from vaultsync.rules.changes import Seen
from vaultsync.rules.desired import Desired
from vaultsync.rules.observed import Field, Observed
from vaultsync.rules.outcome import Change, SecretRef, SecretState
from vaultsync.rules.plan import Plan, change_for, detail_of, evidence, must_remember, plan_for
from vaultsync.rules.wanted import Wanted

NOTHING_SEEN = Seen()
REF = SecretRef("db-password")
MINUTE = timedelta(minutes=1)
PAIR = (an_entry(), an_entry(key="token", secret_name="api-token"))


def plan(observed: Observed | None, seen: Seen = NOTHING_SEEN, *, vault_secret: VaultSecret | None = None) -> Plan:
    return plan_for(vault_secret or a_vault_secret(), observed, seen, now=READ_AT + MINUTE, recheck=FAR)


def without(*fields: Field) -> frozenset[Field]:
    return an_observed().ours - set(fields)


def a_status(*states: SecretState, target: str | None = "db") -> VaultSecretStatus:
    """A status that tells of these readings, and of a target that was written."""
    told = [
        StatusEntry(
            key=key,
            secret_name=state.ref.name,
            version=state.version,
            updated=state.updated,
            expires=state.expires,
            read_at=state.read_at,
        )
        for state in states
        for key in state.keys
    ]
    return VaultSecretStatus(entries=tuple(told), target=StatusTarget(name=target) if target else None)


def test_an_intact_target_whose_secrets_have_not_changed_needs_nothing() -> None:
    assert plan(an_observed(), Seen({"db-password": a_sighting()})) == Plan(
        (Wanted(REF, optional=False),), {REF: a_state()}, None
    )


@pytest.mark.parametrize(
    ("observed", "told"),
    [
        (None, "the Secret is not there"),
        (an_observed(applied=None), "the Secret was tampered with"),
        (an_observed(applied=None, ours=frozenset()), "the VaultSecret asks for something else"),
        (an_observed(applied=Applied("another", (a_state(),))), "the VaultSecret asks for something else"),
        (an_observed(ours=without(Field("data", "password"))), "the Secret was tampered with"),
        (an_observed(ours=without(Field("annotations", APPLIED_ANNOTATION))), "the Secret was tampered with"),
    ],
    ids=[
        "it was deleted or never was",
        "our annotation was spoiled",
        "it is to be adopted",
        "the spec has changed",
        "a value was changed",
        "our annotation was forged",
    ],
)
def test_a_target_that_is_not_as_it_should_be_is_read_anew_as_a_whole(observed: Observed | None, told: str) -> None:
    made = plan(observed)

    assert (made.why_read, made.first) == (told, frozenset())


def test_entries_that_have_changed_are_read_first() -> None:
    vault_secret = a_vault_secret(*PAIR)
    states = (a_state(), a_state("token", source="api-token"))
    observed = an_observed(
        vault_secret,
        applied=Applied(fingerprint(vault_secret), states),
        ours=without() | {Field("data", "token")},
    )

    made = plan(observed, Seen({"api-token": a_sighting(updated=READ_AT)}), vault_secret=vault_secret)

    assert (made.why_read, made.first) == ("api-token: changed in the vault", frozenset({SecretRef("api-token")}))


@pytest.mark.parametrize(
    ("observed", "told"),
    [
        (
            an_observed(ours=without(Field("data", "password")), managers=("kubectl-edit",)),
            "field manager kubectl-edit changed or removed password",
        ),
        (
            an_observed(foreign={Field("data", "extra"): "helm"}, managers=("kubectl-edit", "helm")),
            "field manager helm added extra",
        ),
        (
            an_observed(
                ours=without(Field("data", "password"), Field("labels", MANAGED_BY_LABEL)),
                foreign={Field("data", "z"): "b", Field("data", "a"): "a"},
            ),
            f"field manager a, b changed or removed password, labels/{MANAGED_BY_LABEL} and added a, z",
        ),
        (
            an_observed(ours=without(Field("ownerReferences", UID))),
            "somebody changed or removed the owner reference",
        ),
        (
            an_observed(applied=None, managers=("kubectl-edit",)),
            f"field manager kubectl-edit changed or removed annotations/{APPLIED_ANNOTATION}",
        ),
    ],
    ids=["a changed value", "an added key", "both at once", "nobody known", "a spoiled annotation"],
)
def test_tampering_is_told_by_names(observed: Observed, told: str) -> None:
    tampering = plan(observed).tampering

    assert tampering is not None
    assert tampering.text == told


def test_a_foreign_manager_beside_us_on_our_own_key_is_no_tampering() -> None:
    assert plan(an_observed(foreign={Field("data", "password"): "helm"})).tampering is None


def test_an_absent_optional_key_is_not_missed_in_the_target_and_is_strange_when_somebody_adds_it() -> None:
    vault_secret = a_vault_secret(an_entry(optional=True))
    applied = Applied(fingerprint(vault_secret), (a_state(version=None, updated=None),))
    ours = without(Field("data", "password"))
    added = {Field("data", "password"): "kubectl"}

    assert plan(an_observed(applied=applied, ours=ours), vault_secret=vault_secret).why_read is None
    assert plan(an_observed(applied=applied, ours=ours, foreign=added), vault_secret=vault_secret).tampering is not None


@pytest.mark.parametrize(
    ("told", "believed"),
    [
        (a_state(read_at=READ_AT + MINUTE), True),
        (a_state(read_at=READ_AT + MINUTE, expires=READ_AT), True),
        (a_state(read_at=READ_AT - MINUTE), False),
        (a_state(read_at=READ_AT + MINUTE, version=SECOND), False),
        (a_state(read_at=READ_AT + MINUTE, source="other"), False),
        (a_state("other", read_at=READ_AT + MINUTE), False),
    ],
    ids=["a later reading", "new dates", "an older reading", "another version", "another secret", "another key"],
)
def test_the_status_is_believed_where_it_tells_of_a_later_reading_of_what_was_written(
    told: SecretState, believed: bool
) -> None:
    known = evidence(a_vault_secret(status=a_status(told)), an_observed())

    assert known == {REF: told if believed else a_state()}


MOMENTS = st.integers(-3, 3).map(lambda hours: READ_AT + timedelta(hours=hours))
STATES = st.builds(
    SecretState,
    ref=st.builds(SecretRef, st.sampled_from(["db-password", "api-token"]), previous=st.booleans()),
    keys=st.sampled_from([("password",), ("token",), ("password", "token"), ()]),
    version=st.sampled_from(["1", "2", None]),
    updated=MOMENTS,
    expires=st.none() | MOMENTS,
    read_at=MOMENTS,
)


@given(written=st.lists(STATES, max_size=2, unique_by=lambda state: state.ref), told=st.lists(STATES, max_size=3))
def test_a_foolish_status_never_changes_which_versions_are_believed_to_be_written(
    written: list[SecretState], told: list[SecretState]
) -> None:
    observed = an_observed(applied=Applied("any", tuple(written)))

    known = evidence(a_vault_secret(status=a_status(*told)), observed)

    assert {ref: (state.keys, state.version) for ref, state in known.items()} == {
        state.ref: (state.keys, state.version) for state in written
    }
    assert all(known[state.ref].read_at >= state.read_at for state in written)


@pytest.mark.parametrize("observed", [None, an_observed(applied=None)], ids=["no target", "a spoiled annotation"])
def test_where_nothing_is_known_to_be_written_the_status_counts_for_nothing(observed: Observed | None) -> None:
    assert evidence(a_vault_secret(status=a_status(a_state())), observed) == {}


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
            a_vault_secret(status=a_status()),
            None,
            a_state(),
            Change.HEALED,
            "The Secret had been deleted; wrote it again with password (db-password 0f4a7c9be2d84a6c8c1f7e5d3b2a1908).",
        ),
        (
            a_vault_secret(target={"name": "new"}, status=a_status(target="db")),
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
            "Wrote the Secret as the VaultSecret asks, with password (db-password 0f4a7c9be2d84a6c8c1f7e5d3b2a1908).",
        ),
        (
            a_vault_secret(),
            an_observed(ours=without(Field("data", "password")), managers=("kubectl-edit",)),
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
            Change.ROTATED,
            "Rotated password (db-password absent).",
        ),
        (a_vault_secret(), an_observed(), REREAD, Change.NONE, ""),
    ],
    ids=[
        "there was no target",
        "the target was deleted",
        "the VaultSecret got another target",
        "the spec has changed",
        "somebody tampered, and the value rotated too",
        "the value rotated",
        "an optional secret vanished",
        "the reading found nothing new",
    ],
)
def test_what_is_written_has_a_word_and_a_sentence(
    vault_secret: VaultSecret, observed: Observed | None, state: SecretState, change: Change, detail: str
) -> None:
    made, desired = plan(observed, vault_secret=vault_secret), Desired((state,), {})

    found = change_for(vault_secret, observed, made, desired)

    assert found is change
    assert detail_of(found, observed, made, desired) == detail


def test_of_several_keys_only_those_that_rotated_are_told() -> None:
    vault_secret = a_vault_secret(*PAIR)
    token = a_state("token", source="api-token", version="1")
    observed = an_observed(vault_secret, applied=Applied(fingerprint(vault_secret), (a_state(), token)))
    desired = Desired((REREAD, a_state("token", source="api-token", version="2", updated=START)), {})

    assert detail_of(Change.ROTATED, observed, Plan((), {}, None), desired) == "Rotated token (api-token 2)."


FINDS = a_vault_secret(data=(), data_from=[{"find": {"names": "shop-*"}}])


def found(*names: str) -> Seen:
    return Seen(catalog={name: a_sighting(name=name) for name in names})


def observed_with(*names: str) -> Observed:
    states = tuple(a_state(name, source=name) for name in names)
    ours = without(Field("data", "password")) | {Field("data", name) for name in names}
    return an_observed(FINDS, applied=Applied(fingerprint(FINDS), states), ours=ours)


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (found("shop-user"), None),
        (found("shop-user", "shop-token"), "shop-token: never read"),
        (found(), "shop-user: not found any more"),
        (Seen(), None),
    ],
    ids=["as it was", "one more", "one less", "nobody has listed the vault yet"],
)
def test_a_search_is_due_when_the_listing_shows_something_else(seen: Seen, told: str | None) -> None:
    assert plan(observed_with("shop-user"), seen, vault_secret=FINDS).why_read == told


def test_what_is_due_is_read_before_the_rest() -> None:
    made = plan(observed_with("shop-user"), found("shop-token", "shop-user"), vault_secret=FINDS)

    first, then = made.steps

    assert ([one.ref.name for one in first], [one.ref.name for one in then]) == (["shop-token"], ["shop-user"])


@pytest.mark.parametrize(
    ("before", "after", "must"),
    [
        (a_state(), REREAD, False),
        (a_state(keys=()), a_state(keys=()), False),
        (a_state(keys=(), version=None), a_state(keys=(), version=None, read_at=READ_AT + MINUTE), True),
    ],
    ids=["the status tells of it", "nothing new", "the annotation alone knows"],
)
def test_a_reading_that_the_status_cannot_tell_of_is_written(
    before: SecretState, after: SecretState, must: bool
) -> None:
    assert must_remember(Plan((), {REF: before}, None), Desired((after,), {})) is must
