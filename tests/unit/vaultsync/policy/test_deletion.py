"""What becomes of keys that the vault does not fill any more: how long they are kept, and when nothing is removed."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsecrets import SecretValue
from tests.builders import (
    FIRST,
    KEY,
    READ_AT,
    SECOND,
    START,
    VAULT,
    a_listing,
    a_missing_reading,
    a_reading,
    a_state,
    a_vault_secret,
    an_observed,
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
    decide_deletions,
    finds_nothing,
    held_in_place,
    lacks_all,
    pruned,
)
from vaultsync.policy.inputs import Holder, Inputs
from vaultsync.policy.losses import WINDOW
from vaultsync.policy.lost_keys import Loss, find_losses
from vaultsync.policy.missing import kept_keys, listed_missing, missing_note, not_present
from vaultsync.policy.plan import Plan
from vaultsync.state.applied import Applied, content_fingerprint, fingerprint
from vaultsync.state.listings import VaultListing
from vaultsync.state.moments import Moment
from vaultsync.state.observed import Field, Observed
from vaultsync.state.requests import SecretRequest
from vaultsync.state.secrets import AnyReading, CarriedReading, SecretRef, SecretState
from vaultsync.state.vaults import UNKNOWN, LastRead, LossReport, Missing, Reads, VaultView
from vaultsync.status.outcome import Failed, Waiting, failed

NOW = READ_AT + timedelta(days=1)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
REF, PINNED = SecretRef("db-password"), SecretRef("db-password", FIRST)
PREVIOUS = SecretRef("db-password", previous=True)
REQUIRED = SecretRequest(REF, optional=False)
OPTIONAL = SecretRequest(REF, optional=True)
UNLISTED = replace(OPTIONAL, unlisted=True)
PASSWORD = {"key": "password", "secret_name": "db-password"}
NAMES = ("db-password", "a", "b", "c", "d")
KEYS = frozenset({"password", *NAMES, "x", "y"})
CALM = VaultView(
    dict.fromkeys(NAMES, Missing(Moment(60.0))),
    polled_at=NOW,
    losses=LossReport(lost=frozenset({"db-password", "db-password/password"})),
    polls=4,
)
"""A poll has missed the secrets, and little of the vault is lost."""
ALARM = replace(CALM, losses=LossReport(latched=frozenset(NAMES)))
"""The deletion guard has tripped."""
UNCOUNTED = replace(CALM, losses=None)
"""How much of the vault is lost is not known yet."""
FINDS = a_vault_secret(data=(), data_from=[{"find": {"names": "*"}, "optional": True}])
DISABLED = a_listing(some_metadata(name="db-password", readable=False))
READABLE = a_listing(some_metadata(name="db-password"))

Decision = Deletions | Failed | Waiting


def reads_at(moment: Moment) -> Reads:
    """What this process has read: the default secret, at that moment."""
    reads = Reads()
    reads.put("db-password", LastRead(moment, FIRST, START, None))
    return reads


def missing(ago: timedelta, name: str = "db-password", key: str = "", **more: datetime) -> StatusMissing:
    return StatusMissing(secret_name=name, key=key, since=NOW - ago, **more)


def deleting(*gone: StatusMissing, release: str | None = None, **spec: object) -> VaultSecret:
    """A VaultSecret whose keys go with their secrets, and whose status has since when those are missing."""
    annotations = {} if release is None else {RELEASE_ANNOTATION: release}
    fields = {"on_source_deleted": "Delete", "delete_after": HOUR} | spec
    return a_vault_secret(metadata={"annotations": annotations}, status=VaultSecretStatus(missing=gone), **fields)


def holder_of(
    vault_secret: VaultSecret, *keys: str, spec: str | None = None, content: str | None = None, gone: SecretRef = REF
) -> Holder:
    """The target, which holds these keys as they were written; all of this module, unless others are given.

    Keys of a secret that is gone were removed before.
    """
    content = content or content_fingerprint(vault_secret)
    fields = frozenset(Field("data", key) for key in keys or KEYS)
    applied = Applied(spec or fingerprint(vault_secret), (a_state(ref=gone, version=None),), content)
    return Holder(KEY, an_observed(ours=fields, applied=applied))


def inputs_of(
    vault_secret: VaultSecret,
    *requests: SecretRequest,
    known: Mapping[SecretRef, SecretState] | None = None,
    holder: Holder | None = None,
    now: datetime = NOW,
    view: VaultView = UNKNOWN,
) -> Inputs:
    """The inputs of a reconcile that requests these secrets; each fills a key of its name, unless `known` differs."""
    keys = {one.ref: "password" if one.ref.name == "db-password" else one.ref.name for one in requests}
    states = {one.ref.identity: a_state(keys[one.ref], ref=one.ref) for one in requests} if known is None else known
    plan = Plan(requests, states, "because", vault_secret.status.missing)
    waiting = (one for one in vault_secret.status.missing if one.removed is None)
    waited = {(one.secret_name, one.key): (now - one.since).total_seconds() for one in waiting}
    held_by = holder_of(vault_secret) if holder is None else holder
    return some_inputs(vault_secret, plan=plan, now=now, waited=waited, holder=held_by, view=view)


def decide(
    inputs: Inputs,
    readings: Mapping[SecretRef, AnyReading] | None = None,
    *,
    view: VaultView = CALM,
    filled: frozenset[str] | None = frozenset(),
) -> Decision:
    """What is decided of these readings; the vault has none of the secrets, unless they are given."""
    found = {one.ref.identity: a_missing_reading(one.ref.name) for one in inputs.plan.requests} | dict(readings or {})
    return decide_deletions(inputs, found, find_losses(inputs, found, filled), view, filled=filled, now=inputs.now)


def decided_of(vault_secret: VaultSecret, request: SecretRequest = REQUIRED, view: VaultView = CALM) -> Decision:
    return decide(inputs_of(vault_secret, request), view=view)


def removed_keys(decided: Decision) -> set[str]:
    assert isinstance(decided, Deletions), decided
    return {loss.key for loss in decided.removed}


def kept_of(decided: Decision) -> set[str]:
    assert isinstance(decided, Deletions), decided
    return {loss.key for loss in decided.kept}


def reason_of(decided: Decision | None) -> Reason | None:
    return None if decided is None or isinstance(decided, Deletions) else decided.reason


# What is lost


def lost_keys(
    request: SecretRequest, reading: AnyReading | None, state: SecretState | None, filled: frozenset[str] | None
) -> list[tuple[str, tuple[str, str]]]:
    inputs = inputs_of(deleting(), request, known={} if state is None else {request.ref.identity: state})
    readings = {} if reading is None else {request.ref.identity: reading}
    return [(loss.key, loss.item) for loss in find_losses(inputs, readings, filled)]


WHOLE, PART = ("password", ("db-password", "")), ("password", ("db-password", "password"))
GONE = a_missing_reading()


@pytest.mark.parametrize(
    ("request_", "reading", "state", "filled", "lost"),
    [
        (REQUIRED, GONE, a_state(), frozenset(), [WHOLE]),
        (OPTIONAL, GONE, a_state(), None, [WHOLE]),
        (OPTIONAL, GONE, a_state(version=None), frozenset(), []),
        (OPTIONAL, GONE, None, frozenset(), []),
        (OPTIONAL, None, a_state(), None, []),
        (UNLISTED, GONE, a_state(), None, [WHOLE]),
        (UNLISTED, a_reading(), a_state(), None, [WHOLE]),
        (UNLISTED, None, a_state(), None, []),
        (UNLISTED, None, a_state(), frozenset(), [WHOLE]),
        (REQUIRED, a_reading(), a_state(), frozenset({"password"}), []),
        (REQUIRED, a_reading(), a_state(), frozenset(), [PART]),
        (REQUIRED, a_reading(), a_state("x", kept=("password",)), frozenset({"x"}), [PART]),
        (REQUIRED, a_reading(), a_state(), None, []),
        (SecretRequest(PREVIOUS, optional=True), GONE, a_state(ref=PREVIOUS), frozenset(), [PART]),
        (SecretRequest(PINNED, optional=False), GONE, a_state(ref=PINNED), frozenset(), [PART]),
    ],
    ids=[
        "a required secret",
        "an optional secret",
        "not one whose key is gone already",
        "not one that never existed",
        "not one that was not read yet",
        "a found secret",
        "a found secret that does not match any more",
        "not a found secret that was not read yet",
        "a found secret that is disabled",
        "not a key that is filled",
        "a field that vanished",
        "a field that vanished before",
        "not a field before everything was read",
        "the version before the newest",
        "a pinned version",
    ],
)
def test_a_key_is_lost_if_the_target_has_it_and_the_vault_does_not_fill_it(
    request_: SecretRequest,
    reading: AnyReading | None,
    state: SecretState | None,
    filled: frozenset[str] | None,
    lost: list[tuple[str, tuple[str, str]]],
) -> None:
    assert lost_keys(request_, reading, state, filled) == lost


@pytest.mark.parametrize(
    ("spec", "known_missing", "reading", "lost"),
    [
        ({"data": [PASSWORD]}, False, GONE, True),
        ({"data": [{**PASSWORD, "key": "other"}]}, False, GONE, False),
        ({"data": [PASSWORD], "target": {"template": {"password": "fixed"}}}, False, GONE, False),
        ({"data": (), "data_from": [{"object": "db-password"}]}, False, GONE, True),
        ({"data": (), "data_from": [{"object": "db-password"}]}, False, a_reading(), False),
        ({"data": (), "data_from": [{"object": "db-password"}]}, True, a_reading(), True),
        ({"data": (), "data_from": [{"object": "db-password", "prefix": "x-"}]}, True, a_reading(), False),
    ],
    ids=[
        "the spec still asks for the key",
        "the spec asks for another key",
        "a template fills the key",
        "an object that is lost",
        "not a field that an object lacks, which the spec may have excluded",
        "a field that was missing before",
        "not a field that has another key now",
    ],
)
def test_what_a_changed_spec_does_not_ask_for_goes_at_once(
    spec: dict[str, Any], known_missing: bool, reading: AnyReading, lost: bool
) -> None:
    vault_secret = deleting(*([missing(MINUTE, key="password")] if known_missing else []), **spec)
    holder = holder_of(vault_secret, spec="another", content="another")

    assert bool(find_losses(inputs_of(vault_secret, OPTIONAL, holder=holder), {REF: reading}, frozenset())) is lost


@pytest.mark.parametrize(
    ("updated", "readable", "lost"),
    [(START, True, False), (START + HOUR, True, True), (None, True, True), (START, False, True)],
    ids=["it is as it was", "it has changed", "the vault says no date", "it is disabled"],
)
def test_a_found_secret_that_a_changed_spec_does_not_find_goes_at_once_if_it_is_as_it_was(
    updated: datetime | None, readable: bool, lost: bool
) -> None:
    vault_secret = deleting(data=(), data_from=[{"find": {"names": "db-*", "tags": {"tier": "web"}}}])
    view = replace(CALM, listing=a_listing(some_metadata(name="db-password", updated=updated, readable=readable)))
    state = a_state("db-password", updated=updated if updated is None else START)
    holder = holder_of(vault_secret, spec="another", content="another")
    inputs = inputs_of(vault_secret, UNLISTED, view=view, holder=holder, known={REF: state})

    assert bool(find_losses(inputs, {REF: a_reading()}, frozenset())) is lost


def test_keys_of_a_required_secret_that_is_missing_stay_though_the_spec_asks_for_others() -> None:
    vault_secret = deleting(data=[{**PASSWORD, "key": "other"}])
    holder = holder_of(vault_secret, spec="another", content="another")

    (loss,) = find_losses(inputs_of(vault_secret, REQUIRED, holder=holder), {REF: GONE}, frozenset())
    assert loss.key == "password"


@pytest.mark.parametrize(
    ("spec", "content"),
    [(None, "another"), ("another", None)],
    ids=["what is kept was written by an earlier spec", "only labels have changed"],
)
def test_a_field_that_vanishes_is_lost_while_its_spec_is_the_same(spec: str | None, content: str | None) -> None:
    vault_secret = deleting(data=(), data_from=[{"object": "db-password"}])
    inputs = inputs_of(vault_secret, REQUIRED, holder=holder_of(vault_secret, spec=spec, content=content))

    assert find_losses(inputs, {REF: a_reading()}, frozenset())


@pytest.mark.parametrize(("prefix", "lost"), [(None, True), ("x-", False)])
def test_without_annotation_a_field_that_the_spec_asks_for_is_lost(prefix: str | None, lost: bool) -> None:
    vault_secret = deleting(data=(), data_from=[{"object": "db-password", "prefix": prefix}])
    holder = Holder(KEY, replace(an_observed(), applied=None))
    inputs = inputs_of(vault_secret, REQUIRED, holder=holder)

    assert bool(find_losses(inputs, {REF: a_reading()}, frozenset())) is lost


def test_a_secret_that_is_not_requested_any_more_is_not_lost() -> None:
    inputs = inputs_of(FINDS, known={REF: a_state()})

    assert find_losses(inputs, {}, frozenset()) == ()


# One key


def test_nothing_is_decided_about_a_secret_that_was_read() -> None:
    inputs = inputs_of(deleting(missing(2 * HOUR)), REQUIRED)

    assert decide(inputs, {REF: a_reading()}, filled=frozenset({"password"})) == Deletions()


def test_a_required_secret_that_never_existed_is_a_failure() -> None:
    assert decide(inputs_of(deleting(), REQUIRED, known={})) == failed(a_missing_reading().error)


def test_a_version_that_is_pinned_while_another_is_missing_never_existed() -> None:
    inputs = inputs_of(deleting(missing(2 * HOUR)), replace(REQUIRED, ref=PINNED), known={})

    assert decide(inputs, {PINNED: GONE}) == failed(GONE.error)


def test_an_optional_secret_that_never_existed_blocks_nothing() -> None:
    assert decide(inputs_of(deleting(), OPTIONAL, known={}), view=ALARM) == Deletions()


def test_a_required_secret_whose_key_is_gone_stays_listed() -> None:
    gone = missing(2 * HOUR)

    assert decide(inputs_of(deleting(gone), REQUIRED, known={})) == Deletions(missing=(gone,), unwritten=(gone,))


def test_a_required_secret_that_was_just_lost_keeps_its_key_and_the_message_names_the_deadline() -> None:
    inputs = inputs_of(deleting(), REQUIRED)

    decided = decide(inputs, {REF: a_missing_reading(reason=Reason.SECRET_SOFT_DELETED)})

    assert kept_of(decided) == {"password"}
    assert isinstance(decided, Deletions)
    assert decided.failure == Failed(
        Reason.SECRET_SOFT_DELETED,
        ("There is no db-password. Its key is deleted at 2026-03-02 13:30:00 UTC, unless the secret is back by then."),
        retry_after=3600.0,
        missing=(missing(timedelta(0)),),
    )


ANY_LOSS = pytest.mark.parametrize(
    ("vault_secret", "request_", "reading", "item"),
    [
        (deleting(), REQUIRED, GONE, ""),
        (deleting(on_source_deleted="Retain"), OPTIONAL, GONE, ""),
        (deleting(on_source_deleted="Retain"), UNLISTED, GONE, ""),
        (deleting(on_source_deleted="Retain"), UNLISTED, None, ""),
        (deleting(on_source_deleted="Retain"), UNLISTED, a_reading(), ""),
        (deleting(on_source_deleted="Retain"), REQUIRED, a_reading("{}"), "password"),
        (deleting(), SecretRequest(PREVIOUS, optional=True), GONE, "password"),
        (deleting(), SecretRequest(PINNED, optional=True), GONE, "password"),
    ],
    ids=[
        "required",
        "optional",
        "found",
        "found, and disabled",
        "found, and without its tag",
        "a field",
        "the previous version",
        "a pinned version",
    ],
)


@ANY_LOSS
@pytest.mark.parametrize(
    ("ago", "goes"),
    [(HOUR - timedelta(seconds=1), False), (HOUR, True), (30 * HOUR, True)],
    ids=["too early", "at the deadline", "long after"],
)
def test_every_key_goes_when_its_grace_period_is_over(
    vault_secret: VaultSecret,
    request_: SecretRequest,
    reading: AnyReading | None,
    item: str,
    ago: timedelta,
    goes: bool,
) -> None:
    lost = missing(ago, key=item)
    vault_secret = vault_secret.model_copy(update={"status": VaultSecretStatus(missing=(lost,))})
    inputs = inputs_of(vault_secret, request_)
    readings = {} if reading is None else {request_.ref.identity: reading}
    view = replace(CALM, listing=a_listing()) if request_.unlisted else CALM

    losses = find_losses(inputs, readings, frozenset())
    decided = decide_deletions(inputs, readings, losses, view, filled=frozenset(), now=NOW)

    assert (removed_keys(decided), kept_of(decided)) == (({"password"}, set()) if goes else (set(), {"password"}))
    assert isinstance(decided, Deletions)
    assert decided.unwritten == (lost,)
    assert decided.missing == (lost.model_copy(update={"removed": NOW if goes else None}),)
    assert (decided.failure is None) is (goes or request_ != REQUIRED or not isinstance(reading, type(GONE)))


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
@pytest.mark.parametrize("unlisted", [False, True], ids=["named", "found"])
def test_no_single_clock_ends_the_grace_period(
    waited: timedelta, operator: timedelta, vault: timedelta | None, polls: int, deleted: bool, unlisted: bool
) -> None:
    """For how long it is missing by the monotonic clock of this process, by the operator's clock and by the vault's."""
    lost = StatusMissing(
        secret_name="db-password", since=NOW - operator, vault_since=None if vault is None else NOW - vault
    )
    request = UNLISTED if unlisted else OPTIONAL
    inputs = replace(inputs_of(deleting(lost), request), waited={("db-password", ""): waited.total_seconds()})
    view = replace(CALM, secrets={} if unlisted else {"db-password": Missing(Moment(60.0), polls)}, polls=polls)
    view = replace(view, listing=a_listing())

    decided = decide(inputs, {REF: a_missing_reading(vault_time=None if vault is None else NOW)}, view=view)

    assert removed_keys(decided) == ({"password"} if deleted else set())


def test_a_field_that_a_former_process_has_missed_goes_by_both_clocks() -> None:
    lost = missing(HOUR, key="password", vault_since=NOW - HOUR)
    inputs = replace(inputs_of(deleting(lost), REQUIRED), waited={})

    assert removed_keys(decide(inputs, {REF: a_reading("{}")})) == set()
    assert removed_keys(decide(inputs, {REF: a_reading("{}", vault_time=NOW)})) == {"password"}


def test_it_is_retried_when_the_first_way_to_tell_is_over() -> None:
    lost = StatusMissing(secret_name="db-password", since=NOW - 50 * MINUTE, vault_since=NOW - 40 * MINUTE)
    inputs = replace(inputs_of(deleting(lost), REQUIRED), waited={("db-password", ""): 60.0})
    view = replace(CALM, secrets={"db-password": Missing(Moment(60.0), polls=2)})

    decided = decide(inputs, {REF: a_missing_reading(vault_time=NOW)}, view=view)

    assert isinstance(decided, Deletions)
    assert decided.failure is not None
    assert decided.failure.retry_after == 1200.0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((), StatusMissing(secret_name="db-password", since=NOW, vault_since=NOW + MINUTE)),
        ((missing(MINUTE),), missing(MINUTE, vault_since=NOW + MINUTE)),
        (
            (missing(2 * HOUR, removed=NOW - HOUR),),
            StatusMissing(secret_name="db-password", since=NOW, vault_since=NOW + MINUTE),
        ),
    ],
    ids=["a new loss", "one that an earlier version has dated", "one that was back meanwhile"],
)
def test_a_loss_is_dated_by_both_clocks(before: tuple[StatusMissing, ...], after: StatusMissing) -> None:
    decided = decide(inputs_of(deleting(*before), OPTIONAL), {REF: a_missing_reading(vault_time=NOW + MINUTE)})

    assert isinstance(decided, Deletions)
    assert decided.missing == (after,)


def test_versions_that_an_earlier_version_of_the_operator_lists_by_name_keep_their_date() -> None:
    decided = decide(inputs_of(deleting(missing(30 * MINUTE)), SecretRequest(PINNED, optional=True)))

    assert isinstance(decided, Deletions)
    assert missing(30 * MINUTE, key="password") in decided.missing


# Several keys


def several(*gone: tuple[str, timedelta], now: datetime = NOW) -> Decision:
    """What is decided of required secrets that were lost so long before."""
    requests = [SecretRequest(SecretRef(name), optional=False) for name, _ in gone]
    lost = (StatusMissing(secret_name=name, since=now - ago) for name, ago in gone)
    return decide(inputs_of(deleting(*lost), *requests, now=now))


@pytest.mark.parametrize("gone", [("b", "a"), ("a", "b")], ids=["in one order", "in the other"])
def test_the_message_names_the_earliest_deadline_and_its_secret(gone: tuple[str, str]) -> None:
    ago = {"a": 50 * MINUTE, "b": 10 * MINUTE}

    decided = several(*((name, ago[name]) for name in gone))

    assert isinstance(decided, Deletions)
    assert decided.failure is not None
    assert decided.failure.message == (
        "There is no a. Its key is deleted at 2026-03-02 12:40:00 UTC, unless the secret is back by then."
    )
    assert decided.failure.retry_after == 600.0


@given(
    ages=st.lists(st.integers(0, 10_000).map(lambda seconds: timedelta(seconds=seconds)), min_size=1, max_size=4),
)
def test_each_key_is_removed_by_its_own_deadline(ages: list[timedelta]) -> None:
    gone = list(zip(NAMES[1:], ages, strict=False))
    left = [HOUR - ago for _, ago in gone if ago < HOUR]

    decided = several(*gone)

    assert removed_keys(decided) == {name for name, ago in gone if ago >= HOUR}
    assert kept_of(decided) == {name for name, ago in gone if ago < HOUR}
    assert isinstance(decided, Deletions)
    assert (decided.failure is None) is (not left)
    if decided.failure is not None:
        assert decided.failure.retry_after == min(left).total_seconds()


@pytest.mark.parametrize("view", [CALM, ALARM], ids=["within the grace period", "held"])
def test_a_secret_that_is_back_is_not_missing_while_another_is(view: VaultView) -> None:
    requests = [SecretRequest(SecretRef(name), optional=False) for name in ("a", "b")]
    inputs = inputs_of(deleting(missing(30 * MINUTE, "a"), missing(10 * MINUTE, "b")), *requests)

    decided = decide(inputs, {SecretRef("a"): a_reading()}, view=view, filled=frozenset({"a"}))

    assert isinstance(decided, Deletions)
    assert decided.missing == (missing(10 * MINUTE, "b"),)


def test_what_was_not_read_yet_stays_missing() -> None:
    requests = [SecretRequest(SecretRef(name), optional=True) for name in ("a", "b")]
    before = (missing(30 * MINUTE, "a"), missing(30 * MINUTE, "a", "x"))
    inputs, readings = inputs_of(deleting(*before), *requests), {SecretRef("b"): a_missing_reading("b")}

    decided = decide_deletions(inputs, readings, find_losses(inputs, readings), CALM, now=NOW)

    assert isinstance(decided, Deletions)
    assert decided.missing == (*before, missing(timedelta(0), "b"))


@pytest.mark.parametrize(
    ("before", "stays"),
    [
        (missing(2 * HOUR, "a", removed=NOW - HOUR), True),
        (missing(2 * HOUR, "a", "x", removed=NOW - HOUR), True),
        (missing(3 * WINDOW, "a", removed=NOW - WINDOW), False),
        (missing(2 * HOUR, "a"), False),
        (missing(2 * HOUR, "a", "x"), False),
        (missing(2 * HOUR, "db-password", removed=NOW - HOUR), False),
        (missing(2 * HOUR, "db-password", "password", removed=NOW - HOUR), False),
    ],
    ids=[
        "a secret that was removed within a day",
        "a key that was removed within a day",
        "what was removed longer ago",
        "what the spec does not ask for any more",
        "a key that the spec does not ask for any more",
        "a secret that is back",
        "a key that is back",
    ],
)
def test_what_was_removed_is_listed_for_a_day_unless_it_is_back(before: StatusMissing, stays: bool) -> None:
    inputs = inputs_of(deleting(before), REQUIRED)

    decided = decide(inputs, {REF: a_reading()}, filled=frozenset({"password"}))

    assert isinstance(decided, Deletions)
    assert decided.missing == ((before,) if stays else ())
    in_place = listed_missing(inputs)
    assert bool(in_place) is (before.removed is None or before.removed > NOW - WINDOW)


# What cannot be kept


EMPTY = holder_of(deleting(), "other")
"""A target that does not hold the key: it was created again, or others have changed it."""


@pytest.mark.parametrize("holder", [EMPTY, None], ids=["others have changed the key", "there is no target"])
@pytest.mark.parametrize(
    ("waited", "waits"), [(timedelta(0), True), (CONFIRMED_AFTER, False)], ids=["just lost", "lost for a while"]
)
@pytest.mark.parametrize("request_", [REQUIRED, OPTIONAL], ids=["required", "optional"])
def test_a_key_that_cannot_be_kept_goes_once_its_loss_is_confirmed(
    holder: Holder | None, request_: SecretRequest, waited: timedelta, waits: bool
) -> None:
    inputs = replace(inputs_of(deleting(missing(waited)), request_), holder=holder)

    decided = decide(inputs)

    if waits:
        assert decided == Waiting(
            f"Waiting to read again secret db-password of vault {VAULT}.", retry_after=20.0, missing=(missing(waited),)
        )
    else:
        assert removed_keys(decided) == {"password"}


def test_a_field_that_cannot_be_kept_goes_once_it_was_counted() -> None:
    inputs = inputs_of(deleting(), REQUIRED, holder=EMPTY)
    inputs = replace(inputs, plan=replace(inputs.plan, missing=(missing(timedelta(0), key="password"),)))
    counted, other = CALM, replace(CALM, losses=LossReport())

    assert reason_of(decide(inputs, {REF: a_reading("{}")}, view=other)) is Reason.WAITING
    assert removed_keys(decide(inputs, {REF: a_reading("{}")}, view=counted)) == {"password"}


def test_nothing_is_written_without_a_key_that_is_held_and_cannot_be_kept() -> None:
    decided = decide(inputs_of(deleting(missing(2 * HOUR)), OPTIONAL, holder=EMPTY), view=ALARM)

    assert isinstance(decided, Failed)
    assert (decided.reason, decided.missing) == (Reason.DELETION_HELD, (missing(2 * HOUR),))


DATA = {"password": SecretValue("czNjcmV0"), "user": SecretValue("ZGI="), "token": SecretValue("dA==")}


def test_lost_secrets_carry_what_the_target_holds_in_their_keys() -> None:
    state, token = a_state("password", "user"), a_state("token", source="a")
    losses = [Loss(REQUIRED, "password"), Loss(REQUIRED, "user")]

    carried = carried_readings(Plan((), {REF: state, SecretRef("a"): token}, None), {REF: GONE}, losses, DATA)

    assert carried == {REF: CarriedReading(state, {key: DATA[key] for key in ("password", "user")})}


def test_a_secret_that_was_read_carries_the_keys_that_it_does_not_fill() -> None:
    reading = a_reading("{}", version=SECOND)
    losses = [Loss(REQUIRED, "password", is_partial=True)]

    carried = carried_readings(Plan((), {REF: a_state()}, None), {REF: reading}, losses, DATA)

    assert carried == {REF: replace(reading, kept={"password": DATA["password"]})}


def test_a_carried_reading_does_not_show_its_values() -> None:
    assert "czNjcmV0" not in repr(CarriedReading(a_state(), DATA))
    assert "czNjcmV0" not in repr(a_reading(kept=DATA))


# The deletion guard


def released(ago: timedelta) -> str:
    return (NOW - ago).isoformat()


@ANY_LOSS
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
def test_every_key_is_kept_while_most_of_the_vault_is_lost(
    vault_secret: VaultSecret,
    request_: SecretRequest,
    reading: AnyReading | None,
    item: str,
    release: str | None,
    complaint: str,
) -> None:
    policy = vault_secret.spec.on_source_deleted
    held = deleting(missing(2 * HOUR, key=item), release=release, on_source_deleted=policy)
    inputs, readings = inputs_of(held, request_), {} if reading is None else {request_.ref.identity: reading}

    losses = find_losses(inputs, readings, frozenset())
    decided = decide_deletions(inputs, readings, losses, ALARM, filled=frozenset(), now=NOW)

    assert kept_of(decided) == {"password"}
    assert isinstance(decided, Deletions)
    assert decided.failure is not None
    assert decided.failure.reason is Reason.DELETION_HELD
    assert decided.failure.missing == (missing(2 * HOUR, key=item),)
    assert "kept: password of secret db-password." in decided.failure.message
    assert f"kubectl annotate vaultsecret -n shop db --overwrite {RELEASE_ANNOTATION}=" in decided.failure.message
    assert decided.failure.message.endswith(complaint)


@pytest.mark.parametrize(
    ("request_", "listed"), [(REQUIRED, (missing(2 * HOUR),)), (OPTIONAL, ())], ids=["required", "optional"]
)
def test_a_user_releases_what_was_missing_by_then_and_it_does_not_count_for_the_guard_any_more(
    request_: SecretRequest, listed: tuple[StatusMissing, ...]
) -> None:
    decided = decided_of(deleting(missing(2 * HOUR), release=released(HOUR)), request_, ALARM)

    assert removed_keys(decided) == {"password"}
    assert isinstance(decided, Deletions)
    assert decided.missing == listed


def test_what_is_released_still_has_its_grace_period() -> None:
    decided = decided_of(deleting(missing(MINUTE), release=released(timedelta(0))), OPTIONAL, ALARM)

    assert kept_of(decided) == {"password"}


def test_the_clock_of_a_user_may_be_a_little_ahead() -> None:
    assert removed_keys(decided_of(deleting(missing(2 * HOUR), release=released(-4 * MINUTE)), view=ALARM))


@pytest.mark.parametrize(
    ("since", "vault_since", "is_released"),
    [
        (NOW + 2 * HOUR, NOW - HOUR, True),
        (NOW + 2 * HOUR, None, False),
        (NOW - MINUTE, NOW - 2 * HOUR, False),
    ],
    ids=["our clock was ahead", "our clock was ahead and the vault sent no time", "the vault's clock is behind"],
)
def test_a_loss_that_is_dated_in_the_future_is_released_by_the_vaults_clock(
    since: datetime, vault_since: datetime | None, is_released: bool
) -> None:
    lost = StatusMissing(secret_name="db-password", since=since, vault_since=vault_since)

    decided = decided_of(deleting(lost, release=released(2 * MINUTE)), view=ALARM)

    assert isinstance(decided, Deletions)
    assert decided.failure is not None
    assert (decided.failure.reason is Reason.DELETION_HELD) is not is_released


def test_what_a_former_process_held_is_held_and_nothing_else() -> None:
    view = replace(CALM, losses=LossReport(lost=frozenset({"a", "b"}), held=frozenset({"a"})))
    requests = [SecretRequest(SecretRef(name), optional=True) for name in ("a", "b")]

    decided = decide(inputs_of(deleting(missing(2 * HOUR, "a"), missing(2 * HOUR, "b")), *requests), view=view)

    assert (kept_of(decided), removed_keys(decided)) == ({"a"}, {"b"})


def test_the_target_in_place_keeps_what_is_held() -> None:
    lost = missing(MINUTE)
    inputs = inputs_of(deleting(lost), OPTIONAL, view=ALARM)

    held = held_in_place(inputs, (lost,))

    assert held is not None
    assert (held.reason, held.missing) == (Reason.DELETION_HELD, (lost,))
    assert held_in_place(replace(inputs, view=CALM), (lost,)) is None
    assert held_in_place(inputs, (missing(MINUTE, "other"), missing(HOUR, removed=NOW))) is None


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
def test_nothing_is_removed_before_a_later_poll_confirms_it(view: VaultView, subject: str) -> None:
    decided = decided_of(deleting(missing(2 * HOUR)), OPTIONAL, view)

    assert isinstance(decided, Waiting)
    assert (decided.after_poll, decided.missing) == (4, (missing(2 * HOUR),))
    assert subject in decided.message
    assert VAULT in decided.message


@pytest.mark.parametrize(("listing", "waits"), [(READABLE, True), (DISABLED, False), (a_listing(), False)], ids=str)
def test_a_found_secret_that_is_found_again_waits_for_another_poll(listing: VaultListing, waits: bool) -> None:
    finds = FINDS.model_copy(update={"status": VaultSecretStatus(missing=(missing(2 * HOUR),))})

    decided = decided_of(finds, UNLISTED, replace(CALM, secrets={}, listing=listing))

    assert (reason_of(decided) is Reason.WAITING) is waits


@pytest.mark.parametrize("ref", [PREVIOUS, PINNED], ids=["the version before the newest", "a pinned version"])
@pytest.mark.parametrize(
    ("lost", "waits"),
    [({"db-password"}, False), ({"db-password/password"}, False), ({"a"}, True)],
    ids=["counted with its secret", "counted", "not counted"],
)
def test_a_version_that_polls_do_not_observe_goes_once_it_was_counted(
    ref: SecretRef, lost: set[str], waits: bool
) -> None:
    vault_secret = deleting(missing(2 * HOUR, key="password"))
    view = replace(CALM, losses=LossReport(lost=frozenset(lost)))

    decided = decided_of(vault_secret, SecretRequest(ref, optional=True), view)

    assert (reason_of(decided) is Reason.WAITING) is waits


def test_a_vault_that_cannot_be_polled_is_a_failure() -> None:
    unreachable = SyncError(Reason.VAULT_UNREACHABLE, "No answer.")

    decided = decided_of(deleting(missing(2 * HOUR)), view=VaultView(failure=unreachable))

    assert decided == replace(failed(unreachable), missing=(missing(2 * HOUR),))


@given(
    ago=st.integers(0, 10**6).map(lambda seconds: timedelta(seconds=seconds)),
    after=st.integers(60, 10**6).map(lambda seconds: timedelta(seconds=seconds)),
    tripped=st.booleans(),
    optional=st.booleans(),
)
def test_no_key_is_removed_too_early_or_while_most_of_the_vault_is_lost(
    ago: timedelta, after: timedelta, tripped: bool, optional: bool
) -> None:
    vault_secret = deleting(missing(ago), delete_after=after)

    decided = decided_of(vault_secret, SecretRequest(REF, optional), ALARM if tripped else CALM)

    assert bool(removed_keys(decided)) is (not tripped and ago >= after)


# What is said


def test_the_condition_names_what_is_missing_and_when_it_goes() -> None:
    lost = (missing(10 * MINUTE), missing(20 * MINUTE, "a", "x"), missing(HOUR, "b", removed=NOW))
    known = [a_state("password", "user"), a_state("y", source="a", kept=("x",))]
    vault_secret = deleting(*lost)

    assert kept_keys(known, lost) == {"password", "user", "x"}
    assert missing_note(vault_secret, known, lost) == (
        "; missing in the vault, and removed from 2026-03-02 13:10:00 UTC on unless back by then: password of secret "
        "db-password, user of secret db-password, x of secret a; gone from the vault: b"
    )
    assert missing_note(vault_secret, known, ()) == ""


def test_no_more_than_a_few_keys_are_named() -> None:
    known = [a_state(*(f"key-{number}" for number in range(500)))]

    assert missing_note(deleting(), known, [missing(MINUTE)]).endswith("key-4 of secret db-password, and 495 more")


def test_a_required_secret_whose_key_went_long_ago_is_still_named() -> None:
    assert (
        missing_note(deleting(), [a_state(version=None)], [missing(30 * HOUR)]) == "; gone from the vault: db-password"
    )


def test_secrets_that_are_disabled_are_not_missing() -> None:
    plan = Plan((), {PINNED: a_state("pinned", ref=PINNED)}, None)
    whole, part, other = missing(MINUTE), missing(MINUTE, key="pinned"), missing(MINUTE, key="other")
    plan = replace(plan, missing=(whole, part, other))

    assert not_present(plan, {REF}) == (part, other)
    assert not_present(plan, {PINNED}) == (other,)
    assert not_present(plan, frozenset()) == (whole, part, other)


# No secret is left


def test_the_target_goes_with_the_last_of_its_secrets_if_one_was_required() -> None:
    other = SecretRequest(SecretRef("other"), optional=True)
    readings = {other.ref: a_missing_reading("other"), REF: a_missing_reading(reason=Reason.SECRET_SOFT_DELETED)}
    inputs = inputs_of(deleting(), other, REQUIRED)

    assert lacks_all(inputs, readings)
    assert not lacks_all(inputs, {**readings, other.ref: a_reading()})
    assert not lacks_all(inputs_of(deleting(), other), {other.ref: readings[other.ref]})
    found = pruned(inputs, readings, (missing(HOUR),))
    assert (found.reason, found.message) == (Reason.SECRET_SOFT_DELETED, "There is no db-password.")
    assert found.missing == (missing(HOUR),)


@pytest.mark.parametrize(
    ("optional", "view", "nothing"),
    [
        (False, VaultView(listing=a_listing()), True),
        (False, VaultView(listing=DISABLED), True),
        (False, VaultView(listing=READABLE), False),
        (True, VaultView(listing=a_listing()), False),
    ],
    ids=["nothing is listed", "it is disabled", "it is listed", "it may find nothing"],
)
def test_a_search_that_must_find_something(optional: bool, view: VaultView, nothing: bool) -> None:
    vault_secret = a_vault_secret(data=(), data_from=[{"find": {"names": "*"}, "optional": optional}])

    assert finds_nothing(inputs_of(vault_secret, view=view)) is nothing


def test_what_others_have_written_is_not_kept() -> None:
    theirs: Observed = replace(an_observed(), ours=frozenset())

    assert removed_keys(decide(replace(inputs_of(deleting(missing(MINUTE)), OPTIONAL), holder=Holder(KEY, theirs))))
