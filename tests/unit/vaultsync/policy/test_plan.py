"""What one reconcile has to do: what is read, why, and in which order; and what was last read."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import (
    FAR,
    READ_AT,
    SECOND,
    UID,
    VAULT,
    a_listing,
    a_state,
    a_vault_secret,
    an_entry,
    an_observed,
    some_metadata,
)
from vaultsync.api import APPLIED_ANNOTATION, REFRESH_ANNOTATION
from vaultsync.api.v1alpha1 import StatusEntry, StatusMissing, StatusTarget, VaultSecret, VaultSecretStatus
from vaultsync.policy.plan import Plan, last_read_state, plan_for, refresh_requested
from vaultsync.state.applied import Applied, fingerprint
from vaultsync.state.observed import Field, Observed
from vaultsync.state.requests import SecretRequest
from vaultsync.state.secrets import SecretRef, SecretState
from vaultsync.state.vaults import UNKNOWN, VaultView

REF = SecretRef("db-password")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
PAIR = (an_entry(), an_entry(key="token", secret_name="api-token"))


def plan(observed: Observed | None, view: VaultView = UNKNOWN, *, vault_secret: VaultSecret | None = None) -> Plan:
    """The plan of a VaultSecret whose last write was reported."""
    reporting = vault_secret or a_vault_secret()
    if observed is not None and observed.applied is not None:
        entries = a_status(*observed.applied.secrets).entries
        status = reporting.status.model_copy(update={"entries": entries})
        reporting = reporting.model_copy(update={"status": status})
    return plan_for(reporting, observed, view, now=READ_AT + MINUTE, recheck=FAR)


def without(*fields: Field) -> frozenset[Field]:
    return an_observed().ours - set(fields)


def a_status(*states: SecretState, target: str | None = "db") -> VaultSecretStatus:
    """A status with these readings, and with a target that was written."""
    entries = [
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
    return VaultSecretStatus(entries=tuple(entries), target=StatusTarget(name=target) if target else None)


def test_an_intact_target_whose_secrets_have_not_changed_needs_no_read() -> None:
    assert plan(an_observed(), VaultView({"db-password": some_metadata()})) == Plan(
        (SecretRequest(REF, optional=False),), {REF: a_state()}, None
    )


@pytest.mark.parametrize(
    ("observed", "reason"),
    [
        (None, "the Secret does not exist"),
        (an_observed(applied=None), "the Secret has drifted"),
        (an_observed(applied=None, ours=frozenset()), "the spec of the VaultSecret has changed"),
        (an_observed(applied=Applied("another", (a_state(),))), "the spec of the VaultSecret has changed"),
        (an_observed(ours=without(Field("data", "password"))), "the Secret has drifted"),
        (an_observed(ours=without(Field("annotations", APPLIED_ANNOTATION))), "the Secret has drifted"),
    ],
    ids=[
        "it was deleted or never existed",
        "our annotation is invalid",
        "it is to be adopted",
        "the spec has changed",
        "a value was changed",
        "our annotation was changed",
    ],
)
def test_all_secrets_of_a_target_that_is_not_as_it_should_be_are_read(observed: Observed | None, reason: str) -> None:
    made = plan(observed)

    assert (made.read_reason, made.due) == (reason, frozenset())


def test_a_secret_that_was_missing_is_read_though_it_looks_unchanged() -> None:
    missing = (StatusMissing(secret_name="db-password", since=READ_AT),)
    vault_secret = a_vault_secret(status=VaultSecretStatus(missing=missing))
    view = VaultView({"db-password": some_metadata()})

    assert plan(an_observed(), view, vault_secret=vault_secret).read_reason == "db-password: it was missing"


def test_a_secret_whose_key_was_deleted_with_it_is_not_read_before_a_poll_finds_it() -> None:
    missing = (StatusMissing(secret_name="db-password", since=READ_AT),)
    vault_secret = a_vault_secret(status=VaultSecretStatus(missing=missing))
    gone = a_state(version=None)
    observed = an_observed(applied=Applied(fingerprint(vault_secret), (gone,)), ours=without(Field("data", "password")))

    assert plan(observed, vault_secret=vault_secret).read_reason is None


def test_changed_secrets_are_due() -> None:
    vault_secret = a_vault_secret(*PAIR)
    states = (a_state(), a_state("token", source="api-token"))
    observed = an_observed(
        vault_secret,
        applied=Applied(fingerprint(vault_secret), states),
        ours=without() | {Field("data", "token")},
    )

    made = plan(observed, VaultView({"api-token": some_metadata(updated=READ_AT)}), vault_secret=vault_secret)

    assert (made.read_reason, made.due) == ("api-token: changed in the vault", frozenset({SecretRef("api-token")}))


def test_drift_is_why_everything_is_read_and_is_part_of_the_plan() -> None:
    made = plan(an_observed(foreign={Field("data", "extra"): "helm"}))

    assert made.drift is not None
    assert (made.read_reason, made.drift.added) == ("the Secret has drifted", ("extra",))


def test_an_invalid_annotation_is_drift() -> None:
    drift = plan(an_observed(applied=None, managers=("kubectl-edit",))).drift

    assert drift is not None
    assert drift.text == f"field manager kubectl-edit changed or removed annotations/{APPLIED_ANNOTATION}"


@pytest.mark.parametrize(
    ("reported", "used"),
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
def test_the_status_is_used_where_it_has_a_later_reading_of_the_written_version(
    reported: SecretState, used: bool
) -> None:
    known = last_read_state(a_vault_secret(status=a_status(reported)), an_observed(), READ_AT + MINUTE)

    assert known == {REF: reported if used else a_state()}


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


@given(written=st.lists(STATES, max_size=2, unique_by=lambda state: state.ref), reported=st.lists(STATES, max_size=3))
def test_a_wrong_status_never_changes_which_versions_are_known_as_written(
    written: list[SecretState], reported: list[SecretState]
) -> None:
    observed = an_observed(applied=Applied("any", tuple(written)))

    now = READ_AT + MINUTE
    known = last_read_state(a_vault_secret(status=a_status(*reported)), observed, now)

    assert {ref: (state.keys, state.version) for ref, state in known.items()} == {
        state.ref: (state.keys, state.version) for state in written
    }
    assert all(known[state.ref].read_at >= state.read_at for state in written if state.read_at <= now)


def test_the_status_counts_against_an_annotation_that_is_dated_ahead() -> None:
    observed = an_observed(applied=Applied("any", (a_state(read_at=READ_AT + 2 * HOUR),)))

    known = last_read_state(a_vault_secret(status=a_status(a_state())), observed, READ_AT + MINUTE)

    assert known[SecretRef("db-password")].read_at == READ_AT


@pytest.mark.parametrize("observed", [None, an_observed(applied=None)], ids=["no target", "an invalid annotation"])
def test_the_status_is_what_is_known_where_there_is_no_annotation(observed: Observed | None) -> None:
    assert last_read_state(a_vault_secret(status=a_status(a_state())), observed, READ_AT + MINUTE) == {REF: a_state()}


FINDS = a_vault_secret(data=(), data_from=[{"find": {"names": "shop-*"}}])


def found(*names: str) -> VaultView:
    return VaultView(listing=a_listing(*(some_metadata(name=name) for name in names)))


def observed_with(*names: str) -> Observed:
    states = tuple(a_state(name, source=name) for name in names)
    ours = without(Field("data", "password")) | {Field("data", name) for name in names}
    return an_observed(FINDS, applied=Applied(fingerprint(FINDS), states), ours=ours)


@pytest.mark.parametrize(
    ("view", "reason"),
    [
        (found("shop-user"), None),
        (found("shop-user", "shop-token"), "shop-token: never read"),
        (found(), "shop-user: no longer found"),
        (VaultView(), None),
    ],
    ids=["unchanged", "one more", "one less", "the vault was not listed yet"],
)
def test_a_search_is_due_when_the_listing_has_changed(view: VaultView, reason: str | None) -> None:
    assert plan(observed_with("shop-user"), view, vault_secret=FINDS).read_reason == reason


def test_due_secrets_are_in_the_first_batch() -> None:
    made = plan(observed_with("shop-user"), found("shop-token", "shop-user"), vault_secret=FINDS)

    first, then = made.batches

    assert ([one.ref.name for one in first], [one.ref.name for one in then]) == (["shop-token"], ["shop-user"])


def test_all_secrets_are_in_one_batch_if_none_is_due_by_itself() -> None:
    made = plan(None, found("shop-token", "shop-user"), vault_secret=FINDS)

    assert made.batches == (made.requests,)


def requesting(text: str | None, handled: str | None) -> VaultSecret:
    """A VaultSecret with that annotation, and with the text of the last refresh that was handled."""
    annotations = {} if text is None else {REFRESH_ANNOTATION: text}
    return a_vault_secret(metadata={"annotations": annotations}, status=VaultSecretStatus(last_handled_refresh=handled))


@pytest.mark.parametrize(
    ("text", "handled", "requested"),
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
        "never requested",
        "requested for the first time",
        "handled already",
        "requested again",
        "removed after it was handled",
        "an empty text",
        "a long text",
        "a long text, handled already",
    ],
)
def test_a_new_text_of_the_annotation_requests_a_refresh(
    text: str | None, handled: str | None, requested: str | None
) -> None:
    vault_secret = requesting(text, handled)

    assert refresh_requested(vault_secret) == requested
    assert plan(an_observed(), vault_secret=vault_secret).read_reason == (
        None if requested is None else "a refresh was requested"
    )


def test_a_found_secret_that_the_listing_lacks_is_read() -> None:
    made = plan(observed_with("shop-user", "shop-gone"), found("shop-user"), vault_secret=FINDS)

    assert [one.ref.name for one in made.requests if one.unlisted] == ["shop-gone"]


def test_a_listed_secret_that_no_search_finds_any_more_is_read() -> None:
    tagged = a_vault_secret(data=(), data_from=[{"find": {"names": "shop-*", "tags": {"tier": "web"}}}])

    made = plan(observed_with("shop-user"), found("shop-user"), vault_secret=tagged)

    assert made.requests == (SecretRequest(SecretRef("shop-user"), optional=True, unlisted=True),)


@pytest.mark.parametrize(
    ("ago", "key", "reason"),
    [
        (timedelta(0), "", "db-password: it was missing"),
        (timedelta(0), "password", None),
        (timedelta(hours=1), "password", "db-password: its grace period is over"),
        (-timedelta(minutes=1), "password", "db-password: its grace period is over"),
    ],
    ids=["a secret", "a part of it", "a part of it for long", "a part of it, by a clock that was ahead"],
)
def test_what_was_missing_is_read_when_it_may_be_back_or_its_key_may_go(
    ago: timedelta, key: str, reason: str | None
) -> None:
    now = READ_AT + timedelta(minutes=1)
    missing = StatusMissing(secret_name="db-password", key=key, since=now - ago)
    vault_secret = a_vault_secret(status=VaultSecretStatus(missing=(missing,)))

    assert plan(an_observed(), vault_secret=vault_secret).read_reason == reason


GONE = (StatusMissing(secret_name="db-password", since=READ_AT),)
MISSES = a_vault_secret(status=VaultSecretStatus(missing=GONE))


def described_by(*, owner_uid: str | None = UID, vault: str | None = VAULT) -> Observed:
    """A target whose annotation names that vault, and whose label names that owner."""
    return an_observed(owner_uid=owner_uid, applied=Applied(fingerprint(MISSES), (a_state(),), vault=vault))


@pytest.mark.parametrize(
    ("observed", "used"),
    [
        (described_by(), True),
        (described_by(owner_uid=None), True),
        (described_by(vault=None), True),
        (described_by(owner_uid="another"), False),
        (described_by(vault="https://another.vault.azure.net"), False),
    ],
    ids=[
        "about this VaultSecret and its vault",
        "without the owner's label",
        "by an older operator",
        "about another VaultSecret",
        "about another vault",
    ],
)
def test_an_annotation_is_used_only_for_its_own_vaultsecret_and_vault(observed: Observed, used: bool) -> None:
    made = plan(observed, vault_secret=MISSES)

    assert bool(made.known) == used


@pytest.mark.parametrize("owner_uid", [UID, None, "another"])
@pytest.mark.parametrize("vault", [VAULT, None, "https://another.vault.azure.net"])
def test_the_losses_in_the_status_count_whatever_the_owners_label_is(owner_uid: str | None, vault: str | None) -> None:
    made = plan(described_by(owner_uid=owner_uid, vault=vault), vault_secret=MISSES)

    assert made.missing == (GONE if vault in {VAULT, None} else ())
