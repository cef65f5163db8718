"""What becomes of keys whose secrets the vault has no more: when they go, and when nothing goes at all."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import (
    FIRST,
    READ_AT,
    VAULT,
    a_reading,
    a_sighting,
    a_state,
    a_status,
    a_status_entry,
    a_vault_secret,
    an_absent,
    an_entry,
)
from vaultsync.api import RELEASE_ANNOTATION
from vaultsync.api.v1alpha1 import StatusMissing, VaultSecret, VaultSecretStatus
from vaultsync.errors import NotYet, PendingDeletion, Reason, SecretNotFound, SyncError
from vaultsync.policy.deletion import (
    check_brake,
    check_listing_agrees,
    confirmed_deletions,
    known_names,
    lost_names,
    pruned,
)
from vaultsync.policy.plan import Plan
from vaultsync.state.requests import SecretRequest
from vaultsync.state.secrets import MissingReading, Reading, SecretRef, SecretState
from vaultsync.state.vaults import MAX_LOST, LossReport, Missing, VaultView

NOW = READ_AT + timedelta(days=1)
HOUR = timedelta(hours=1)
REF = SecretRef("db-password")
REQUIRED = SecretRequest(REF, optional=False)
OPTIONAL = SecretRequest(REF, optional=True)
MISSED_BY_A_POLL = {name: Missing(NOW) for name in ("db-password", "a", "b")}
CALM = VaultView(MISSED_BY_A_POLL, polled_at=NOW, losses=LossReport(known=10, lost=1))
ALARM = replace(CALM, losses=LossReport(known=10, lost=6))


def missing(ago: timedelta, name: str = "db-password") -> StatusMissing:
    return StatusMissing(secret_name=name, since=NOW - ago)


def a_deleting(*gone: StatusMissing, release: str | None = None, **spec: object) -> VaultSecret:
    """A VaultSecret whose keys go with their secrets, and whose status says what has been gone since when."""
    annotations = {} if release is None else {RELEASE_ANNOTATION: release}
    fields = {"on_source_deleted": "Delete", "delete_after": HOUR} | spec
    return a_vault_secret(metadata={"annotations": annotations}, status=VaultSecretStatus(missing=gone), **fields)


def a_plan(vault_secret: VaultSecret, *wanted: SecretRequest, known: dict[SecretRef, SecretState]) -> Plan:
    """What is wanted, known, and missing as the status says."""
    return Plan(wanted, known, "because", vault_secret.status.missing)


def judged(
    vault_secret: VaultSecret,
    wanted: SecretRequest = REQUIRED,
    reading: Reading | MissingReading | None = None,
    *,
    was_there: bool = True,
    view: VaultView = CALM,
) -> tuple[StatusMissing, ...]:
    plan = a_plan(vault_secret, wanted, known={REF: a_state()} if was_there else {})
    return confirmed_deletions(vault_secret, plan, {REF: reading or an_absent()}, view, now=NOW)


def test_what_is_there_is_not_missing() -> None:
    assert judged(a_deleting(missing(2 * HOUR)), reading=a_reading()) == ()


def test_what_never_was_there_is_a_failure_for_ever() -> None:
    with pytest.raises(SecretNotFound, match="There is no db-password"):
        judged(a_deleting(), was_there=False)


def test_what_may_be_absent_and_never_was_there_is_no_matter() -> None:
    assert judged(a_deleting(), OPTIONAL, was_there=False, view=ALARM) == ()


def test_what_has_just_gone_is_waited_for_and_the_moment_is_told() -> None:
    with pytest.raises(PendingDeletion) as caught:
        judged(a_deleting(), reading=an_absent(reason=Reason.SECRET_SOFT_DELETED))

    assert caught.value.reason is Reason.SECRET_SOFT_DELETED
    assert caught.value.message == (
        "There is no db-password. Its key goes at 2026-03-02 13:30:00 UTC, unless the secret is back by then."
    )
    assert (caught.value.missing, caught.value.retry_after) == ((missing(timedelta(0)),), 3600.0)


@pytest.mark.parametrize(
    ("ago", "goes"),
    [(HOUR - timedelta(seconds=1), False), (HOUR, True), (30 * HOUR, True)],
    ids=["too early", "at the moment", "long after"],
)
def test_a_key_goes_when_its_secret_has_been_gone_for_long_enough(ago: timedelta, goes: bool) -> None:
    vault_secret = a_deleting(missing(ago))

    if goes:
        assert judged(vault_secret) == (missing(ago),)
    else:
        with pytest.raises(PendingDeletion):
            judged(vault_secret)


def test_of_several_all_wait_for_the_last() -> None:
    first, second = SecretRequest(SecretRef("a"), optional=False), SecretRequest(SecretRef("b"), optional=False)
    known = {one.ref: a_state(one.ref.name, source=one.ref.name) for one in (first, second)}
    readings = {first.ref: an_absent("a"), second.ref: an_absent("b")}
    vault_secret = a_deleting(missing(2 * HOUR, "a"))

    with pytest.raises(PendingDeletion, match="There is no b") as caught:
        confirmed_deletions(vault_secret, a_plan(vault_secret, first, second, known=known), readings, CALM, now=NOW)

    assert caught.value.missing == (missing(2 * HOUR, "a"), missing(timedelta(0), "b"))


def test_what_has_gone_for_good_stays_gone_though_nothing_else_is_known_of_it_any_more() -> None:
    assert judged(a_deleting(missing(2 * HOUR)), was_there=False) == (missing(2 * HOUR),)


def test_what_may_be_absent_goes_at_once() -> None:
    assert judged(a_deleting(), OPTIONAL) == ()


def released(ago: timedelta) -> str:
    return (NOW - ago).isoformat()


@pytest.mark.parametrize(
    ("release", "told"),
    [
        (None, '="$(date -u +%FT%TZ)".'),
        (released(3 * HOUR), '="$(date -u +%FT%TZ)".'),
        ("yes", "is no moment"),
        ("2026-03-02T12:00:00", "without a time zone"),
        (released(-HOUR), "lies in the future"),
    ],
    ids=["nobody released it", "an earlier loss was released", "a word", "no time zone", "a moment to come"],
)
def test_while_most_of_the_vault_is_gone_nothing_goes(release: str | None, told: str) -> None:
    with pytest.raises(PendingDeletion) as caught:
        judged(a_deleting(missing(2 * HOUR), release=release), view=ALARM)

    assert caught.value.reason is Reason.DELETION_HELD
    assert caught.value.missing == (missing(2 * HOUR),)
    assert "kubectl annotate vaultsecret -n shop db --overwrite vaultsync.dev/release-brake" in caught.value.message
    assert caught.value.message.endswith(told) or told in caught.value.message


def test_what_may_be_absent_is_held_too() -> None:
    with pytest.raises(PendingDeletion) as caught:
        judged(a_deleting(), OPTIONAL, view=ALARM)

    assert caught.value.reason is Reason.DELETION_HELD


def test_a_person_releases_what_was_missing_by_then() -> None:
    assert judged(a_deleting(missing(2 * HOUR), release=released(HOUR)), view=ALARM) == (missing(2 * HOUR),)


@pytest.mark.parametrize(
    "view",
    [
        VaultView(),
        replace(CALM, losses=None),
        replace(CALM, secrets={}),
        replace(CALM, secrets={"db-password": Missing(READ_AT - HOUR)}),
        replace(CALM, secrets={"db-password": a_sighting()}),
    ],
    ids=[
        "before the first poll",
        "before anybody has counted",
        "before a poll has missed it",
        "though a poll has missed it before it was last read",
        "while polls still see it",
    ],
)
def test_nothing_goes_before_the_vault_was_looked_through(view: VaultView) -> None:
    with pytest.raises(NotYet):
        judged(a_deleting(missing(2 * HOUR)), view=view)


def test_what_may_be_absent_goes_no_sooner_than_a_poll_has_missed_it() -> None:
    with pytest.raises(NotYet):
        judged(a_deleting(), OPTIONAL, view=replace(CALM, secrets={}))


@pytest.mark.parametrize(
    "ref",
    [REF._replace(version=FIRST), REF._replace(previous=True)],
    ids=["a pinned version", "the version before the newest"],
)
def test_what_polls_do_not_follow_need_not_be_missed_by_them(ref: SecretRef) -> None:
    optional = SecretRequest(ref, optional=True)

    plan = a_plan(a_deleting(), optional, known={ref: a_state()})

    assert confirmed_deletions(a_deleting(), plan, {ref: an_absent()}, replace(CALM, secrets={}), now=NOW) == ()


def test_a_vault_that_cannot_be_looked_through_is_told() -> None:
    with pytest.raises(SyncError, match="No answer") as caught:
        judged(a_deleting(missing(2 * HOUR)), view=VaultView(failure=SyncError(Reason.VAULT_UNREACHABLE, "No answer.")))

    assert not isinstance(caught.value, NotYet)


@given(
    ago=st.integers(0, 10**6).map(lambda seconds: timedelta(seconds=seconds)),
    after=st.integers(60, 10**6).map(lambda seconds: timedelta(seconds=seconds)),
    known=st.integers(0, 40),
    lost=st.integers(0, 40),
    optional=st.booleans(),
)
def test_no_key_goes_too_early_or_while_most_is_gone(
    ago: timedelta, after: timedelta, known: int, lost: int, optional: bool
) -> None:
    view = replace(CALM, losses=LossReport(known, lost))
    vault_secret = a_deleting(missing(ago), delete_after=after)

    latched = lost > MAX_LOST and 2 * lost > known
    if latched or (not optional and ago < after):
        with pytest.raises(PendingDeletion) as caught:
            judged(vault_secret, SecretRequest(REF, optional), view=view)
        assert caught.value.missing == (missing(ago),)
    else:
        assert judged(vault_secret, SecretRequest(REF, optional), view=view) == (() if optional else (missing(ago),))


def test_where_everything_has_gone_the_first_of_it_is_told() -> None:
    other = SecretRef("other")
    readings = {other: an_absent("other"), REF: an_absent(reason=Reason.SECRET_SOFT_DELETED)}

    found = pruned(readings, (missing(HOUR),))

    assert (found.reason, found.message) == (Reason.SECRET_SOFT_DELETED, "There is no db-password.")


def test_nothing_is_done_while_the_listing_lacks_what_the_vault_gives() -> None:
    found_before = replace(OPTIONAL, vanished=True)

    check_listing_agrees([found_before], {REF: an_absent()}, VAULT)
    check_listing_agrees([OPTIONAL], {REF: a_reading()}, VAULT)
    with pytest.raises(NotYet):
        check_listing_agrees([found_before], {REF: a_reading()}, VAULT)


IN_PLACE = a_status(a_status_entry(), a_status_entry(key="token", secret_name="Api-Token"))
PAIR = (an_entry(), an_entry(key="token", secret_name="api-token"))
MIXED = (an_entry(), an_entry(key="token", secret_name="api-token", optional=True))


@pytest.mark.parametrize(
    ("vault_secret", "names"),
    [
        (a_vault_secret(*PAIR, status=IN_PLACE), set()),
        (a_vault_secret(*PAIR, status=IN_PLACE, on_source_deleted="Delete"), {"db-password", "api-token"}),
        (a_vault_secret(*MIXED, status=IN_PLACE), {"api-token"}),
        (
            a_vault_secret(data=(), data_from=[{"find": {"names": "*"}}], status=IN_PLACE),
            {"db-password", "api-token"},
        ),
        (a_vault_secret(*PAIR, on_source_deleted="Delete"), set()),
        (
            a_vault_secret(on_source_deleted="Delete", status=a_status(a_status_entry(version=None, updated=None))),
            set(),
        ),
    ],
    ids=[
        "nothing where secrets are retained",
        "everything where keys go with their secrets",
        "what may be absent",
        "what was found",
        "nothing that was never there",
        "nothing that went before",
    ],
)
def test_what_would_go_with_its_secret(vault_secret: VaultSecret, names: set[str]) -> None:
    assert known_names([vault_secret]) == names


@pytest.mark.parametrize(
    ("view", "lost"),
    [
        (VaultView(), False),
        (VaultView({"db-password": a_sighting()}), False),
        (VaultView({"db-password": Missing(NOW)}), True),
        (VaultView(listing={"db-password": a_sighting()}), False),
        (VaultView(listing={}), True),
        (VaultView({"db-password": a_sighting(readable=False)}, listing={}), False),
        (VaultView(listing={"db-password": a_sighting(readable=False)}), True),
    ],
    ids=[
        "nobody has looked",
        "it was seen",
        "it was missed",
        "it is listed",
        "it is not listed",
        "it is named, and disabled",
        "it was found, and is disabled",
    ],
)
def test_what_counts_as_lost(view: VaultView, lost: bool) -> None:
    vault_secret = a_vault_secret(on_source_deleted="Delete", status=a_status())

    assert lost_names([vault_secret], view) == ({"db-password"} if lost else set())


@pytest.mark.parametrize(
    ("known", "lost", "tripped"),
    [(5, 5, False), (6, 6, True), (11, 6, True), (12, 6, False), (1000, 500, False), (1000, 501, True)],
    ids=["five of five", "six of six", "six of eleven", "half", "half of many", "more than half of many"],
)
def test_the_brake_holds_when_more_than_half_and_more_than_five_are_gone(known: int, lost: int, tripped: bool) -> None:
    assert LossReport(known, lost).tripped is tripped


def test_the_clock_of_a_person_may_be_a_little_ahead() -> None:
    ahead: datetime = NOW + timedelta(minutes=4)

    assert judged(a_deleting(missing(2 * HOUR), release=ahead.isoformat()), view=ALARM) == (missing(2 * HOUR),)


FOUND = replace(OPTIONAL, vanished=True)


@pytest.mark.parametrize(
    ("vault_secret", "wanted", "view", "latched"),
    [
        (a_deleting(), REQUIRED, ALARM, True),
        (a_deleting(), REQUIRED, replace(ALARM, losses=CALM.losses), False),
        (a_deleting(), REQUIRED, replace(ALARM, secrets={"db-password": a_sighting()}), False),
        (a_deleting(), REQUIRED, replace(ALARM, secrets={}), False),
        (a_deleting(on_source_deleted="Retain"), REQUIRED, ALARM, False),
        (a_deleting(on_source_deleted="Retain"), OPTIONAL, ALARM, True),
        (a_deleting(on_source_deleted="Retain"), FOUND, ALARM, True),
        (a_deleting(missing(2 * HOUR), release=released(HOUR)), REQUIRED, ALARM, False),
    ],
    ids=[
        "what would go with its secret",
        "not while little is gone",
        "not what is there",
        "not what nobody has missed",
        "not what is retained",
        "what may be absent",
        "what was found before",
        "not what was released",
    ],
)
def test_while_most_is_gone_nothing_is_read_in_vain(
    vault_secret: VaultSecret, wanted: SecretRequest, view: VaultView, latched: bool
) -> None:
    plan = a_plan(vault_secret, wanted, known={REF: a_state()})

    if latched:
        with pytest.raises(PendingDeletion) as caught:
            check_brake(vault_secret, plan, view, now=NOW)
        assert caught.value.reason is Reason.DELETION_HELD
    else:
        check_brake(vault_secret, plan, view, now=NOW)


def test_the_brake_asks_nothing_of_what_never_was_there() -> None:
    check_brake(a_deleting(), a_plan(a_deleting(), REQUIRED, known={}), ALARM, now=NOW)


def test_finds_that_are_disabled_together_are_held_too() -> None:
    finds = a_vault_secret(data=(), data_from=[{"find": {"names": "*"}}])
    view = replace(ALARM, listing={"db-password": a_sighting(readable=False)})

    with pytest.raises(PendingDeletion, match="vanished together"):
        check_brake(finds, a_plan(finds, known={REF: a_state()}), view, now=NOW)


def test_what_went_before_stays_known_while_more_is_held() -> None:
    vault_secret = a_deleting(missing(30 * HOUR, "earlier"))

    with pytest.raises(PendingDeletion) as caught:
        judged(vault_secret, view=ALARM)

    assert caught.value.missing == (missing(30 * HOUR, "earlier"), missing(timedelta(0)))


def test_the_brake_stays_on_while_some_of_what_it_held_is_still_gone() -> None:
    assert LossReport(known=7, lost=4, latched=True).tripped
