"""What one reconcile has to do: what is read and why, and what tampering is."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import FAR, READ_AT, SECOND, UID, VAULT, a_sighting, a_state, a_vault_secret, an_entry, an_observed
from vaultsync.api import APPLIED_ANNOTATION, MANAGED_BY_LABEL, REFRESH_ANNOTATION
from vaultsync.api.v1alpha1 import StatusEntry, StatusMissing, StatusTarget, VaultSecret, VaultSecretStatus
from vaultsync.policy.plan import Plan, last_read_state, plan_for, refresh_requested
from vaultsync.state.applied import Applied, fingerprint
from vaultsync.state.observed import Field, Observed
from vaultsync.state.requests import SecretRequest
from vaultsync.state.secrets import SecretRef, SecretState
from vaultsync.state.vaults import VaultView

NOTHING_SEEN = VaultView()
REF = SecretRef("db-password")
MINUTE = timedelta(minutes=1)
PAIR = (an_entry(), an_entry(key="token", secret_name="api-token"))


def plan(observed: Observed | None, view: VaultView = NOTHING_SEEN, *, vault_secret: VaultSecret | None = None) -> Plan:
    return plan_for(vault_secret or a_vault_secret(), observed, view, now=READ_AT + MINUTE, recheck=FAR)


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
    assert plan(an_observed(), VaultView({"db-password": a_sighting()})) == Plan(
        (SecretRequest(REF, optional=False),), {REF: a_state()}, None
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


def test_a_secret_that_had_vanished_is_read_though_it_looks_as_ever_until_it_is_known_to_be_back() -> None:
    missing = (StatusMissing(secret_name="db-password", since=READ_AT),)
    vault_secret = a_vault_secret(status=VaultSecretStatus(missing=missing))
    view = VaultView({"db-password": a_sighting()})

    assert plan(an_observed(), view, vault_secret=vault_secret).why_read == "db-password: had vanished"


def test_a_secret_whose_key_went_with_it_is_not_read_before_it_is_seen_again() -> None:
    missing = (StatusMissing(secret_name="db-password", since=READ_AT),)
    vault_secret = a_vault_secret(status=VaultSecretStatus(missing=missing))
    gone = a_state(version=None)
    observed = an_observed(applied=Applied(fingerprint(vault_secret), (gone,)), ours=without(Field("data", "password")))

    assert plan(observed, vault_secret=vault_secret).why_read is None


def test_entries_that_have_changed_are_read_first() -> None:
    vault_secret = a_vault_secret(*PAIR)
    states = (a_state(), a_state("token", source="api-token"))
    observed = an_observed(
        vault_secret,
        applied=Applied(fingerprint(vault_secret), states),
        ours=without() | {Field("data", "token")},
    )

    made = plan(observed, VaultView({"api-token": a_sighting(updated=READ_AT)}), vault_secret=vault_secret)

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
    known = last_read_state(a_vault_secret(status=a_status(told)), an_observed())

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

    known = last_read_state(a_vault_secret(status=a_status(*told)), observed)

    assert {ref: (state.keys, state.version) for ref, state in known.items()} == {
        state.ref: (state.keys, state.version) for state in written
    }
    assert all(known[state.ref].read_at >= state.read_at for state in written)


@pytest.mark.parametrize("observed", [None, an_observed(applied=None)], ids=["no target", "a spoiled annotation"])
def test_where_nothing_is_known_to_be_written_the_status_counts_for_nothing(observed: Observed | None) -> None:
    assert last_read_state(a_vault_secret(status=a_status(a_state())), observed) == {}


FINDS = a_vault_secret(data=(), data_from=[{"find": {"names": "shop-*"}}])


def found(*names: str) -> VaultView:
    return VaultView(listing={name: a_sighting(name=name) for name in names})


def observed_with(*names: str) -> Observed:
    states = tuple(a_state(name, source=name) for name in names)
    ours = without(Field("data", "password")) | {Field("data", name) for name in names}
    return an_observed(FINDS, applied=Applied(fingerprint(FINDS), states), ours=ours)


@pytest.mark.parametrize(
    ("view", "told"),
    [
        (found("shop-user"), None),
        (found("shop-user", "shop-token"), "shop-token: never read"),
        (found(), "shop-user: not found any more"),
        (VaultView(), None),
    ],
    ids=["as it was", "one more", "one less", "nobody has listed the vault yet"],
)
def test_a_search_is_due_when_the_listing_shows_something_else(view: VaultView, told: str | None) -> None:
    assert plan(observed_with("shop-user"), view, vault_secret=FINDS).why_read == told


def test_what_is_due_is_read_before_the_rest() -> None:
    made = plan(observed_with("shop-user"), found("shop-token", "shop-user"), vault_secret=FINDS)

    first, then = made.steps

    assert ([one.ref.name for one in first], [one.ref.name for one in then]) == (["shop-token"], ["shop-user"])


def asking(text: str | None, handled: str | None) -> VaultSecret:
    """A VaultSecret with that annotation, for which everything was read last time for another."""
    annotations = {} if text is None else {REFRESH_ANNOTATION: text}
    return a_vault_secret(metadata={"annotations": annotations}, status=VaultSecretStatus(last_handled_refresh=handled))


@pytest.mark.parametrize(
    ("text", "handled", "asked"),
    [
        (None, None, None),
        ("1", None, "1"),
        ("1", "1", None),
        ("2", "1", "2"),
        (None, "1", None),
        ("", None, ""),
        ("x" * 300, None, "x" * 256),
        ("x" * 300, "x" * 256, None),
    ],
    ids=[
        "nobody ever",
        "for the first time",
        "and it was done",
        "once more",
        "and took it back",
        "by an empty text",
        "by an endless text",
        "by an endless text, and it was done",
    ],
)
def test_everything_is_read_again_when_somebody_asks_for_it(
    text: str | None, handled: str | None, asked: str | None
) -> None:
    vault_secret = asking(text, handled)

    assert refresh_requested(vault_secret) == asked
    assert plan(an_observed(), vault_secret=vault_secret).why_read == (
        None if asked is None else "somebody asked for it"
    )


def test_what_a_search_found_and_the_listing_lacks_is_read_to_make_sure() -> None:
    made = plan(observed_with("shop-user", "shop-gone"), found("shop-user"), vault_secret=FINDS)

    assert [one.ref.name for one in made.wanted if one.vanished] == ["shop-gone"]


def test_what_is_listed_and_fits_a_search_no_more_is_not_read_in_vain() -> None:
    tagged = a_vault_secret(data=(), data_from=[{"find": {"names": "shop-*", "tags": {"tier": "web"}}}])

    made = plan(observed_with("shop-user"), found("shop-user"), vault_secret=tagged)

    assert made.wanted == ()


GONE = (StatusMissing(secret_name="db-password", since=READ_AT),)
MISSES = a_vault_secret(status=VaultSecretStatus(missing=GONE))


def told_by(*, owner_uid: str | None = UID, vault: str | None = VAULT) -> Observed:
    """A target whose annotation tells of that vault, and which says that it belongs to somebody."""
    return an_observed(owner_uid=owner_uid, applied=Applied(fingerprint(MISSES), (a_state(),), vault=vault))


@pytest.mark.parametrize(
    ("observed", "believed"),
    [
        (told_by(), True),
        (told_by(owner_uid=None), True),
        (told_by(vault=None), True),
        (told_by(owner_uid="another"), False),
        (told_by(vault="https://another.vault.azure.net"), False),
    ],
    ids=[
        "about this VaultSecret and its vault",
        "though somebody took the owner's label off",
        "by an older operator",
        "about another VaultSecret",
        "about another vault",
    ],
)
def test_what_a_target_tells_is_evidence_where_it_is(observed: Observed, believed: bool) -> None:
    made = plan(observed, vault_secret=MISSES)

    assert (bool(made.known), made.missing) == (believed, GONE if believed else ())
