"""What becomes of keys whose secrets the vault has lost: when they are deleted, and when nothing is."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsecrets import SecretValue
from tests.builders import (
    FIRST,
    READ_AT,
    START,
    VAULT,
    a_listing,
    a_missing_reading,
    a_reading,
    a_state,
    a_vault_secret,
    some_inputs,
    some_metadata,
)
from vaultsync.api import RELEASE_ANNOTATION
from vaultsync.api.v1alpha1 import StatusMissing, VaultSecret, VaultSecretStatus
from vaultsync.errors import Reason, SyncError
from vaultsync.policy.deletion import (
    CONFIRMED_AFTER,
    Deletions,
    carried_readings,
    confirmed_deletions,
    deletions_held,
    lost_requests,
    pruned,
    returned,
)
from vaultsync.policy.inputs import Inputs
from vaultsync.policy.losses import loss_report
from vaultsync.policy.plan import Plan
from vaultsync.state.requests import SecretRequest
from vaultsync.state.secrets import CarriedReading, MissingReading, Reading, SecretRef, SecretState
from vaultsync.state.vaults import UNKNOWN, LastRead, LossReport, Missing, Moment, Reads, VaultView
from vaultsync.status.outcome import Failed, Waiting, failed

NOW = READ_AT + timedelta(days=1)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
REF = SecretRef("db-password")
REQUIRED = SecretRequest(REF, optional=False)
OPTIONAL = SecretRequest(REF, optional=True)
UNLISTED = replace(OPTIONAL, unlisted=True)
NAMES = ("db-password", "a", "b", "c", "d")
CALM = VaultView(
    dict.fromkeys(NAMES, Missing(Moment(60.0))), polled_at=NOW, losses=LossReport(known=10, lost=1), polls=4
)
"""A poll has missed the secrets, and little of the vault is lost."""
ALARM = replace(CALM, losses=LossReport(10, 6, frozenset(NAMES), 10))
"""The deletion guard has tripped."""
UNCOUNTED = replace(CALM, losses=None)
"""How much of the vault is lost is not known yet."""
FINDS = a_vault_secret(data=(), data_from=[{"find": {"names": "*"}, "optional": True}])

Decision = Deletions | Failed | Waiting


def reads_at(moment: Moment) -> Reads:
    """What this process has read: the default secret, at that moment."""
    reads = Reads()
    reads.put("db-password", LastRead(moment, FIRST, START, None))
    return reads


def missing(ago: timedelta, name: str = "db-password") -> StatusMissing:
    return StatusMissing(secret_name=name, since=NOW - ago)


def deleting(*gone: StatusMissing, release: str | None = None, **spec: object) -> VaultSecret:
    """A VaultSecret whose keys are deleted with their secrets, and whose status has since when those are missing."""
    annotations = {} if release is None else {RELEASE_ANNOTATION: release}
    fields = {"on_source_deleted": "Delete", "delete_after": HOUR} | spec
    return a_vault_secret(metadata={"annotations": annotations}, status=VaultSecretStatus(missing=gone), **fields)


def inputs_of(
    vault_secret: VaultSecret,
    *requests: SecretRequest,
    known: dict[SecretRef, SecretState] | None = None,
    view: VaultView = UNKNOWN,
    now: datetime = NOW,
) -> Inputs:
    """The inputs of a reconcile that requests these secrets; each was read before, unless `known` says otherwise."""
    states = {one.ref.identity: a_state(one.ref.name, ref=one.ref) for one in requests} if known is None else known
    plan = Plan(requests, states, "because", vault_secret.status.missing)
    waited = {one.secret_name: (now - one.since).total_seconds() for one in vault_secret.status.missing}
    return some_inputs(vault_secret, view=view, plan=plan, now=now, waited=waited)


def decision(
    vault_secret: VaultSecret,
    request: SecretRequest = REQUIRED,
    reading: Reading | MissingReading | None = None,
    *,
    existed: bool = True,
    view: VaultView = CALM,
    started_with: VaultView = UNKNOWN,
) -> Decision:
    """What is decided of one secret, which the vault does not have for long unless it was read."""
    inputs = inputs_of(vault_secret, request, known=None if existed else {}, view=started_with)
    return confirmed_deletions(inputs, {request.ref: reading or missed_for(CONFIRMED_AFTER)}, view, now=NOW)


def missed_for(seconds: float, reason: Reason = Reason.SECRET_NOT_FOUND) -> MissingReading:
    """A secret that every read has missed for so long."""
    reading = a_missing_reading(reason=reason)
    reading.error.missing_for = seconds
    return reading


def reason_of(decided: Decision | None) -> Reason | None:
    return None if decided is None or isinstance(decided, Deletions) else decided.reason


# One secret


def test_a_secret_that_was_read_is_not_lost() -> None:
    assert decision(deleting(missing(2 * HOUR)), reading=a_reading()) == Deletions()


def test_a_required_secret_that_never_existed_is_a_failure() -> None:
    assert decision(deleting(), existed=False) == failed(a_missing_reading().error)


def test_an_optional_secret_that_never_existed_blocks_nothing() -> None:
    assert decision(deleting(), OPTIONAL, existed=False, view=ALARM) == Deletions()


def test_a_secret_that_was_just_lost_keeps_its_key_and_the_message_names_the_deadline() -> None:
    decided = decision(deleting(), reading=a_missing_reading(reason=Reason.SECRET_SOFT_DELETED))

    assert decided == Failed(
        Reason.SECRET_SOFT_DELETED,
        ("There is no db-password. Its key is deleted at 2026-03-02 13:30:00 UTC, unless the secret is back by then."),
        retry_after=3600.0,
        missing=(missing(timedelta(0)),),
    )


@pytest.mark.parametrize(
    ("ago", "deleted"),
    [(HOUR - timedelta(seconds=1), False), (HOUR, True), (30 * HOUR, True)],
    ids=["too early", "at the deadline", "long after"],
)
def test_a_key_is_deleted_when_its_grace_period_is_over(ago: timedelta, deleted: bool) -> None:
    decided = decision(deleting(missing(ago)))

    if deleted:
        assert decided == Deletions((missing(ago),))
    else:
        assert reason_of(decided) is Reason.SECRET_NOT_FOUND


LONG, SHORT = 2 * HOUR, 10 * MINUTE


@pytest.mark.parametrize(
    ("waited", "operator", "vault", "polls", "deleted"),
    [
        (LONG, -LONG, -LONG, 1, True),
        (LONG, -LONG, None, 1, True),
        (SHORT, LONG, SHORT, 9, False),
        (SHORT, SHORT, LONG, 9, False),
        (SHORT, LONG, LONG, 2, True),
        (SHORT, LONG, LONG, 1, False),
        (SHORT, LONG, None, 9, False),
        (SHORT, -LONG, LONG, 9, False),
    ],
    ids=[
        "this process has waited, and both clocks have jumped back",
        "this process has waited, and the vault sends no time",
        "the operator's clock has jumped ahead",
        "the vault's clock has jumped ahead",
        "a former process has waited",
        "a former process has waited, and only one poll confirms it",
        "a former process has waited by one clock",
        "the operator's clock has jumped back",
    ],
)
def test_no_single_clock_ends_the_grace_period(
    waited: timedelta, operator: timedelta, vault: timedelta | None, polls: int, deleted: bool
) -> None:
    """For how long it is missing by the monotonic clock of this process, by the operator's clock and by the vault's."""
    lost = StatusMissing(
        secret_name="db-password", since=NOW - operator, vault_since=None if vault is None else NOW - vault
    )
    inputs = replace(inputs_of(deleting(lost), REQUIRED), waited={"db-password": waited.total_seconds()})
    view = replace(CALM, secrets={"db-password": Missing(Moment(60.0), polls)})
    reading = a_missing_reading(vault_time=None if vault is None else NOW)

    decided = confirmed_deletions(inputs, {REF: reading}, view, now=NOW)

    if deleted:
        assert decided == Deletions((lost,))
    else:
        assert isinstance(decided, Failed)
        assert decided.retry_after == (HOUR - waited).total_seconds()


def test_it_is_retried_when_the_first_way_to_tell_is_over() -> None:
    lost = StatusMissing(secret_name="db-password", since=NOW - 50 * MINUTE, vault_since=NOW - 40 * MINUTE)
    inputs = replace(inputs_of(deleting(lost), REQUIRED), waited={"db-password": 60.0})
    view = replace(CALM, secrets={"db-password": Missing(Moment(60.0), polls=2)})

    decided = confirmed_deletions(inputs, {REF: a_missing_reading(vault_time=NOW)}, view, now=NOW)

    assert isinstance(decided, Failed)
    assert decided.retry_after == 1200.0


def test_a_loss_is_dated_by_both_clocks() -> None:
    decided = decision(deleting(), reading=a_missing_reading(vault_time=NOW + MINUTE))

    assert isinstance(decided, Failed)
    assert decided.missing == (StatusMissing(secret_name="db-password", since=NOW, vault_since=NOW + MINUTE),)


def test_a_loss_that_an_earlier_version_dated_is_dated_by_the_vaults_clock_later() -> None:
    decided = decision(deleting(missing(MINUTE)), reading=a_missing_reading(vault_time=NOW))

    assert isinstance(decided, Failed)
    assert decided.missing == (missing(MINUTE).model_copy(update={"vault_since": NOW}),)


@pytest.mark.parametrize(
    ("since", "vault_since", "released"),
    [
        (NOW + 2 * HOUR, NOW - HOUR, True),
        (NOW + 2 * HOUR, None, False),
        (NOW - MINUTE, NOW - 2 * HOUR, False),
    ],
    ids=["our clock was ahead", "our clock was ahead and the vault sent no time", "the vault's clock is behind"],
)
def test_a_loss_that_is_dated_in_the_future_is_released_by_the_vaults_clock(
    since: datetime, vault_since: datetime | None, released: bool
) -> None:
    lost = StatusMissing(secret_name="db-password", since=since, vault_since=vault_since)
    vault_secret = deleting(lost, release=(NOW - 2 * MINUTE).isoformat())

    decided = decision(vault_secret, view=ALARM)

    assert (reason_of(decided) is Reason.DELETION_HELD) is not released


def test_a_secret_that_was_lost_before_stays_lost_though_nothing_else_is_known_of_it() -> None:
    assert decision(deleting(missing(2 * HOUR)), existed=False) == Deletions((missing(2 * HOUR),))


def test_the_key_of_an_optional_secret_is_deleted_without_a_grace_period() -> None:
    assert decision(deleting(), OPTIONAL) == Deletions()


# Several secrets


def several(
    *gone: tuple[str, timedelta], now: datetime = NOW, before: tuple[StatusMissing, ...] | None = None
) -> Decision:
    """What is decided of secrets that were lost so long before `NOW`; `before` is what the status has of them."""
    known = tuple(missing(ago, name) for name, ago in gone) if before is None else before
    requests = [SecretRequest(SecretRef(name), optional=False) for name, _ in gone]
    readings = {one.ref: a_missing_reading(one.ref.name) for one in requests}
    return confirmed_deletions(inputs_of(deleting(*known), *requests, now=now), readings, CALM, now=now)


@pytest.mark.parametrize("gone", [("b", "a"), ("a", "b")], ids=["in one order", "in the other"])
def test_the_message_names_the_earliest_deadline_and_its_secret(gone: tuple[str, str]) -> None:
    ago = {"a": 50 * MINUTE, "b": 10 * MINUTE}

    decided = several(*((name, ago[name]) for name in gone))

    assert isinstance(decided, Failed)
    assert decided.message == (
        "There is no a. Its key is deleted at 2026-03-02 12:40:00 UTC, unless the secret is back by then."
    )
    assert decided.retry_after == 600.0
    assert decided.missing == tuple(missing(ago[name], name) for name in gone)


def test_a_key_whose_grace_period_is_over_is_deleted_and_the_others_are_kept_until_theirs() -> None:
    decided = several(("a", 2 * HOUR), ("b", 10 * MINUTE))

    assert decided == Deletions(
        confirmed=(missing(2 * HOUR, "a"),),
        pending=Failed(
            Reason.SECRET_NOT_FOUND,
            "There is no b. Its key is deleted at 2026-03-02 13:20:00 UTC, unless the secret is back by then.",
            retry_after=3000.0,
            missing=(missing(2 * HOUR, "a"), missing(10 * MINUTE, "b")),
        ),
        kept=frozenset({SecretRef("b")}),
    )


def test_further_losses_do_not_postpone_the_first_deletion() -> None:
    lost_at = {"a": timedelta(0), "b": 50 * MINUTE, "c": 100 * MINUTE, "d": 150 * MINUTE}
    status: tuple[StatusMissing, ...] = ()
    deleted_at: dict[str, timedelta] = {}

    for minutes in range(0, 211, 10):
        elapsed = minutes * MINUTE
        gone = [(name, timedelta(0)) for name, at in lost_at.items() if at <= elapsed]
        decided = several(*gone, now=NOW + elapsed, before=status)
        assert not isinstance(decided, Waiting)
        if isinstance(decided, Deletions):
            for one in decided.confirmed:
                deleted_at.setdefault(one.secret_name, elapsed)
            status = decided.confirmed if decided.pending is None else decided.pending.missing or ()
        else:
            status = decided.missing or ()

    assert deleted_at == {name: at + HOUR for name, at in lost_at.items()}


@given(
    ages=st.lists(st.integers(0, 10_000).map(lambda seconds: timedelta(seconds=seconds)), min_size=1, max_size=4),
)
def test_each_key_is_deleted_by_its_own_deadline(ages: list[timedelta]) -> None:
    gone = list(zip(NAMES[1:], ages, strict=False))
    over = tuple(missing(ago, name) for name, ago in gone if ago >= HOUR)
    left = [HOUR - ago for _, ago in gone if ago < HOUR]

    decided = several(*gone)

    assert not isinstance(decided, Waiting)
    if isinstance(decided, Deletions):
        assert decided.confirmed == over
        assert decided.kept == {SecretRef(name) for name, ago in gone if ago < HOUR}
    pending = decided.pending if isinstance(decided, Deletions) else decided
    assert (pending is None) is (not left)
    if pending is not None:
        assert pending.retry_after == min(left).total_seconds()
        assert pending.missing == tuple(missing(ago, name) for name, ago in gone)


@pytest.mark.parametrize("view", [CALM, ALARM], ids=["within the grace period", "held"])
def test_a_secret_that_is_back_is_not_missing_while_another_is(view: VaultView) -> None:
    requests = [SecretRequest(SecretRef(name), optional=False) for name in ("a", "b")]
    vault_secret = deleting(missing(30 * MINUTE, "a"), missing(10 * MINUTE, "b"))
    readings: dict[SecretRef, Reading | MissingReading] = {
        SecretRef("a"): a_reading(),
        SecretRef("b"): a_missing_reading("b"),
    }

    decided = confirmed_deletions(inputs_of(vault_secret, *requests), readings, view, now=NOW)

    assert isinstance(decided, Failed)
    assert decided.missing == (missing(10 * MINUTE, "b"),)


def test_a_secret_is_still_missing_while_one_of_its_versions_is_or_was_not_read_yet() -> None:
    newest, pinned, other = SecretRef("a"), SecretRef("a", FIRST), SecretRef("b")
    requests = [SecretRequest(ref, optional=False) for ref in (newest, pinned, other)]
    vault_secret = deleting(missing(30 * MINUTE, "a"), missing(10 * MINUTE, "b"))
    part: dict[SecretRef, Reading | MissingReading] = {newest: a_reading(), other: a_missing_reading("b")}

    complete = part | {pinned: a_missing_reading("a")}

    for readings in (part, complete):
        decided = confirmed_deletions(inputs_of(vault_secret, *requests), readings, CALM, now=NOW)

        assert isinstance(decided, Failed)
        assert decided.missing == vault_secret.status.missing


# What is kept until its grace period is over


DATA = {"password": SecretValue("czNjcmV0"), "user": SecretValue("ZGI="), "token": SecretValue("dA==")}


def test_kept_secrets_carry_what_the_target_holds_in_their_keys() -> None:
    state = a_state("password", "user")

    carried = carried_readings(Plan((), {REF: state, SecretRef("a"): a_state("token")}, None), [REF], DATA)

    assert carried == {REF: CarriedReading(state, {key: DATA[key] for key in ("password", "user")})}


@pytest.mark.parametrize(
    ("known", "data"),
    [({}, DATA), ({REF: a_state("password", "other")}, DATA), ({REF: a_state()}, {})],
    ids=["nothing is known of it", "the target lacks a key", "the target is empty"],
)
def test_nothing_is_carried_if_the_target_does_not_hold_every_kept_key(
    known: dict[SecretRef, SecretState], data: dict[str, SecretValue]
) -> None:
    assert carried_readings(Plan((), known, None), [REF], data) is None


def test_a_carried_reading_does_not_show_its_values() -> None:
    assert "czNjcmV0" not in repr(CarriedReading(a_state(), DATA))


# The deletion guard


def released(ago: timedelta) -> str:
    return (NOW - ago).isoformat()


@pytest.mark.parametrize(
    ("release", "complaint"),
    [
        (None, '="$(date -u +%FT%TZ)".'),
        (released(3 * HOUR), '="$(date -u +%FT%TZ)".'),
        ("yes", "is not a time."),
        ("2026-03-02T12:00:00", "is a time without a time zone."),
        (released(-HOUR), "is in the future."),
    ],
    ids=["not released", "an earlier loss was released", "not a time", "no time zone", "a time in the future"],
)
def test_nothing_is_deleted_while_most_of_the_vault_is_lost(release: str | None, complaint: str) -> None:
    decided = decision(deleting(missing(2 * HOUR), release=release), view=ALARM)

    assert isinstance(decided, Failed)
    assert decided.reason is Reason.DELETION_HELD
    assert decided.missing == (missing(2 * HOUR),)
    assert f"kubectl annotate vaultsecret -n shop db --overwrite {RELEASE_ANNOTATION}=" in decided.message
    assert decided.message.endswith(complaint)


def test_a_user_releases_what_was_missing_by_then() -> None:
    assert decision(deleting(missing(2 * HOUR), release=released(HOUR)), view=ALARM) == Deletions((missing(2 * HOUR),))


def test_the_clock_of_a_user_may_be_a_little_ahead() -> None:
    ahead = released(-4 * MINUTE)

    assert decision(deleting(missing(2 * HOUR), release=ahead), view=ALARM) == Deletions((missing(2 * HOUR),))


def test_earlier_losses_stay_in_the_status_while_further_ones_are_held() -> None:
    decided = decision(deleting(missing(30 * HOUR, "earlier")), view=ALARM)

    assert isinstance(decided, Failed)
    assert decided.missing == (missing(30 * HOUR, "earlier"), missing(timedelta(0)))


@given(
    ago=st.integers(0, 10**6).map(lambda seconds: timedelta(seconds=seconds)),
    after=st.integers(60, 10**6).map(lambda seconds: timedelta(seconds=seconds)),
    known=st.integers(0, 40),
    lost=st.integers(0, 40),
    optional=st.booleans(),
)
def test_no_key_is_deleted_too_early_or_while_most_of_the_vault_is_lost(
    ago: timedelta, after: timedelta, known: int, lost: int, optional: bool
) -> None:
    report = loss_report(None, frozenset(map(str, range(known))), frozenset(map(str, range(lost))), UNKNOWN)
    vault_secret = deleting(missing(ago), delete_after=after)

    decided = decision(vault_secret, SecretRequest(REF, optional), view=replace(CALM, losses=report))

    if report.tripped or (not optional and ago < after):
        assert isinstance(decided, Failed)
        assert (decided.reason is Reason.DELETION_HELD) is report.tripped
        assert decided.missing == (missing(ago),)
    else:
        assert decided == Deletions(() if optional else (missing(ago),))


# The current view decides


@pytest.mark.parametrize(
    "started_with",
    [UNKNOWN, UNCOUNTED, CALM],
    ids=["before the first poll", "before the losses were counted", "while little was lost"],
)
@pytest.mark.parametrize(
    ("vault_secret", "request_", "current"),
    [
        (deleting(missing(2 * HOUR)), REQUIRED, ALARM),
        (deleting(on_source_deleted="Retain"), OPTIONAL, ALARM),
        (FINDS, UNLISTED, replace(ALARM, secrets={}, listing=a_listing())),
    ],
    ids=["a required secret", "an optional secret", "a found secret"],
)
def test_deletions_are_held_by_the_current_view_not_by_that_of_the_start(
    vault_secret: VaultSecret, request_: SecretRequest, current: VaultView, started_with: VaultView
) -> None:
    decided = decision(vault_secret, request_, view=current, started_with=started_with)

    assert reason_of(decided) is Reason.DELETION_HELD


def test_a_guard_that_is_reset_during_the_reconcile_holds_nothing() -> None:
    decided = decision(deleting(missing(2 * HOUR)), view=CALM, started_with=ALARM)

    assert decided == Deletions((missing(2 * HOUR),))


DISABLED = a_listing(some_metadata(name="db-password", readable=False))
READABLE = a_listing(some_metadata(name="db-password"))


@pytest.mark.parametrize("others", [{}, {SecretRef("a"): a_reading()}], ids=["nothing was read", "another was read"])
def test_finds_that_the_current_view_has_as_disabled_are_held(others: dict[SecretRef, Reading]) -> None:
    requests = [SecretRequest(ref, optional=True) for ref in others]
    inputs = inputs_of(FINDS, *requests, known={REF: a_state()}, view=replace(CALM, listing=READABLE))

    held = confirmed_deletions(inputs, others, replace(ALARM, listing=DISABLED), now=NOW)
    uncounted = confirmed_deletions(inputs, others, replace(UNCOUNTED, listing=DISABLED), now=NOW)
    few = confirmed_deletions(inputs, others, replace(CALM, listing=DISABLED), now=NOW)

    assert (reason_of(held), reason_of(uncounted), few) == (Reason.DELETION_HELD, Reason.WAITING, Deletions())


# A poll confirms


@pytest.mark.parametrize(
    ("view", "subject"),
    [
        (VaultView(polls=4), "a complete poll"),
        (UNCOUNTED, "a complete poll"),
        (replace(CALM, secrets={}), "confirms the deletion of secret db-password"),
        (
            replace(CALM, secrets={"db-password": Missing(Moment(60.0))}, reads=reads_at(Moment(61.0))),
            "confirms the deletion",
        ),
        (replace(CALM, secrets={"db-password": some_metadata()}), "confirms the deletion"),
    ],
    ids=[
        "before the first poll",
        "before the losses were counted",
        "before a poll has missed it",
        "though a poll has missed it before it was last read",
        "while polls still find it",
    ],
)
def test_nothing_is_deleted_before_a_later_poll_confirms_it(view: VaultView, subject: str) -> None:
    decided = decision(deleting(missing(2 * HOUR)), view=view)

    assert isinstance(decided, Waiting)
    assert decided.after_poll == 4
    assert subject in decided.message
    assert VAULT in decided.message


def test_an_optional_secret_waits_for_a_poll_that_misses_it_too() -> None:
    assert reason_of(decision(deleting(), OPTIONAL, view=replace(CALM, secrets={}))) is Reason.WAITING


def test_a_found_secret_that_is_listed_again_waits_for_another_poll() -> None:
    decided = decision(FINDS, UNLISTED, view=replace(CALM, secrets={}, listing=READABLE))

    assert reason_of(decided) is Reason.WAITING


def test_a_found_secret_that_the_listing_lacks_is_confirmed_by_it() -> None:
    assert decision(FINDS, UNLISTED, view=replace(CALM, secrets={}, listing=a_listing())) == Deletions()


@pytest.mark.parametrize(
    "request_",
    [
        SecretRequest(REF._replace(version=FIRST), optional=True),
        SecretRequest(REF._replace(previous=True), optional=True),
        OPTIONAL,
    ],
    ids=["a pinned version", "the version before the newest", "the newest version"],
)
@pytest.mark.parametrize(("missing_for", "waits"), [(0.0, True), (19.9, True), (20.0, False)])
def test_an_optional_version_must_be_missed_by_a_later_read_too(
    request_: SecretRequest, missing_for: float, waits: bool
) -> None:
    decided = decision(deleting(), request_, missed_for(missing_for))

    if waits:
        assert decided == Waiting(f"Waiting to read again a version of secret db-password of vault {VAULT}.")
    else:
        assert decided == Deletions()


def test_a_found_secret_must_be_missed_by_a_later_read_too() -> None:
    view = replace(CALM, secrets={}, listing=a_listing())

    assert reason_of(decision(FINDS, UNLISTED, missed_for(0.0), view=view)) is Reason.WAITING


def test_a_deletion_that_the_vault_reports_needs_no_later_read() -> None:
    assert decision(deleting(), OPTIONAL, missed_for(0.0, Reason.SECRET_SOFT_DELETED)) == Deletions()


def test_a_version_of_a_secret_whose_newest_one_is_lost_is_confirmed_with_it() -> None:
    previous = SecretRequest(REF._replace(previous=True), optional=True)
    inputs = inputs_of(deleting(), OPTIONAL, previous)
    readings = {REF: missed_for(CONFIRMED_AFTER), previous.ref: missed_for(0.0)}

    assert confirmed_deletions(inputs, readings, CALM, now=NOW) == Deletions()


def test_what_is_read_again_before_a_deletion_are_the_lost_secrets_and_one_that_is_back_blocks_it() -> None:
    requests = [SecretRequest(SecretRef(name), optional=True) for name in ("a", "b", "c")]
    inputs = inputs_of(deleting(), *requests, known={SecretRef("a"): a_state(), SecretRef("b"): a_state()})
    readings: dict[SecretRef, Reading | MissingReading] = {
        one.ref: a_reading() if one.ref.name == "b" else a_missing_reading() for one in requests
    }

    assert lost_requests(inputs.plan, readings) == (requests[0],)
    assert returned(inputs, {SecretRef("a"): a_missing_reading()}) is None
    assert returned(inputs, {SecretRef("a"): a_reading()}) == Waiting(
        f"Secret a of vault {VAULT} was missing, and is back."
    )


def test_a_vault_that_cannot_be_polled_is_a_failure() -> None:
    unreachable = SyncError(Reason.VAULT_UNREACHABLE, "No answer.")

    assert decision(deleting(missing(2 * HOUR)), view=VaultView(failure=unreachable)) == failed(unreachable)


# Nothing is read while the deletion guard has tripped


@pytest.mark.parametrize(
    ("vault_secret", "request_", "view", "held"),
    [
        (deleting(), REQUIRED, ALARM, True),
        (deleting(), REQUIRED, CALM, False),
        (deleting(), REQUIRED, UNCOUNTED, False),
        (deleting(), REQUIRED, replace(ALARM, secrets={"db-password": some_metadata()}), False),
        (deleting(), REQUIRED, replace(ALARM, secrets={}), False),
        (deleting(on_source_deleted="Retain"), REQUIRED, ALARM, False),
        (deleting(on_source_deleted="Retain"), OPTIONAL, ALARM, True),
        (deleting(on_source_deleted="Retain"), UNLISTED, ALARM, True),
        (deleting(missing(2 * HOUR), release=released(HOUR)), REQUIRED, ALARM, False),
    ],
    ids=[
        "a key that would be deleted with its secret",
        "not while little is lost",
        "not before the losses were counted",
        "not a secret that polls find",
        "not a secret that no poll has missed",
        "not a key that is retained",
        "an optional secret",
        "a found secret",
        "not a loss that was released",
    ],
)
def test_reads_are_blocked_while_the_deletion_guard_has_tripped(
    vault_secret: VaultSecret, request_: SecretRequest, view: VaultView, held: bool
) -> None:
    blocked = deletions_held(inputs_of(vault_secret, request_, view=view))

    assert reason_of(blocked) is (Reason.DELETION_HELD if held else None)


def test_a_secret_that_never_existed_is_not_held() -> None:
    assert deletions_held(inputs_of(deleting(), REQUIRED, known={}, view=ALARM)) is None


def test_nothing_is_held_where_nothing_is_read() -> None:
    inputs = inputs_of(deleting(), REQUIRED, view=ALARM)

    assert deletions_held(replace(inputs, plan=replace(inputs.plan, read_reason=None))) is None


def test_finds_that_are_disabled_are_held() -> None:
    blocked = deletions_held(inputs_of(FINDS, known={REF: a_state()}, view=replace(ALARM, listing=DISABLED)))

    assert reason_of(blocked) is Reason.DELETION_HELD


# No secret is left


def test_the_first_lost_secret_is_why_there_is_no_target() -> None:
    readings = {
        SecretRef("other"): a_missing_reading("other"),
        REF: a_missing_reading(reason=Reason.SECRET_SOFT_DELETED),
    }

    found = pruned(readings, (missing(HOUR),))

    assert (found.reason, found.message) == (Reason.SECRET_SOFT_DELETED, "There is no db-password.")
    assert found.missing == (missing(HOUR),)
