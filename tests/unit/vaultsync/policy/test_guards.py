"""The guards: what blocks a reconcile before it reads and after it has read, and in which order."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests.builders import (
    CONFIG,
    FIRST,
    NOW_MISSING,
    SECOND,
    START,
    UID,
    VAULT,
    a_granted,
    a_listing,
    a_missing_reading,
    a_pending,
    a_reading,
    a_state,
    a_status,
    a_vault_secret,
    an_inactive_reading,
    an_observed,
    some_inputs,
    some_metadata,
)
from vaultsync.api.grants import Quota
from vaultsync.api.secret_types import TOKEN_TYPES
from vaultsync.api.status import OnRevoked
from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.errors import Reason, SyncError
from vaultsync.policy.activation import inactive_secret
from vaultsync.policy.changes import SETTLING
from vaultsync.policy.guards import (
    GUARDS,
    LASTING,
    READING_GUARDS,
    contradicted_listing,
    first_blocked,
    first_blocked_reading,
    not_granted,
    older_version,
    pending_listing,
    refused_type,
    suspended,
    too_many_found,
    ungranted_keys,
    unknown_vault,
    unlistable_vault,
)
from vaultsync.policy.inputs import Inputs
from vaultsync.policy.known_vaults import KnownVaults
from vaultsync.policy.ownership import competing_vaultsecret, foreign_target, terminating_target
from vaultsync.policy.plan import Plan
from vaultsync.policy.requests import unlisted_finds
from vaultsync.policy.revocation import DELETED_AFTER
from vaultsync.state.grants import Refused
from vaultsync.state.moments import Moment
from vaultsync.state.requests import SecretRequest
from vaultsync.state.secrets import SecretRef, SecretState, VaultReading
from vaultsync.state.vaults import UNKNOWN, LastRead, LossReport, VaultView
from vaultsync.status.outcome import Failed, Suspended, Waiting, failed

THIRD, FOURTH = "3" * 32, "4" * 32
KNOWN_VAULTS = KnownVaults(
    (".vault.azure.net", ".vault.azure.cn"), ("kv.example.com:443", "localhost:8443", "dev.example.com:*")
)
REF = SecretRef("db-password")
DENIED = SyncError(Reason.ACCESS_DENIED, "No.")
AWAY = SyncError(Reason.VAULT_UNREACHABLE, "No answer.")
SEARCHES = a_vault_secret(data=(), data_from=[{"find": {"names": "shop-*"}}])
FORBIDDEN_TYPE = min(TOKEN_TYPES)


def with_type(vault_secret: VaultSecret, secret_type: str) -> VaultSecret:
    """A VaultSecret whose target has a type that the CRD does not admit."""
    target = vault_secret.spec.target.model_copy(update={"type": secret_type})
    return vault_secret.model_copy(update={"spec": vault_secret.spec.model_copy(update={"target": target})})


# The order


OLDER = a_vault_secret(metadata={"name": "older", "uid": "0" + UID[1:]}, target={"name": "db"})
STRANGE = an_observed(managed=False, owner_uid=None, owners=(), applied=None, ours=frozenset(), terminating=True)
ALARM = replace(
    UNKNOWN,
    secrets={"db-password": NOW_MISSING},
    list_error=DENIED,
    losses=LossReport(latched=frozenset({"db-password"})),
)
DELETES = with_type(
    a_vault_secret(
        vault_url="https://evil.example",
        on_source_deleted="Delete",
        suspend=True,
        data_from=[{"find": {"names": "shop-*"}}],
        status=a_status(),
    ),
    FORBIDDEN_TYPE,
)
KNOWN = Plan(
    (SecretRequest(REF, optional=True, unlisted=True),),
    {REF: some_inputs(target=an_observed()).plan.known[REF]},
    "because",
)
ALL_BLOCK = some_inputs(DELETES, STRANGE, view=ALARM, plan=KNOWN, competing=(OLDER,))
"""Inputs that every guard blocks."""


def test_the_guards_are_asked_in_this_order() -> None:
    assert (
        suspended,
        unknown_vault,
        refused_type,
        not_granted,
        competing_vaultsecret,
        terminating_target,
        foreign_target,
        unlistable_vault,
        pending_listing,
        too_many_found,
        ungranted_keys,
    ) == GUARDS
    assert (contradicted_listing, older_version, inactive_secret) == READING_GUARDS


def test_every_guard_can_block() -> None:
    others = {not_granted, too_many_found, ungranted_keys}

    assert all(guard(ALL_BLOCK) is not None for guard in GUARDS if guard not in others)
    assert all(guard(some_inputs()) is None for guard in GUARDS)


# Grants


def test_what_no_grant_allows_is_blocked() -> None:
    refused = Refused(Reason.QUOTA_EXCEEDED, "VaultGrant shop allows less.")

    assert not_granted(some_inputs(decision=refused, refused_for=2.0)) == Failed(refused.reason, refused.message)


def test_a_refusal_is_reported_after_a_moment_in_which_a_grant_may_come() -> None:
    refused = Refused(Reason.NOT_GRANTED, "No VaultGrant.")

    assert not_granted(some_inputs(decision=refused, refused_for=0.5)) == Waiting(
        "Waiting for a VaultGrant. No VaultGrant.", retry_after=1.5
    )


@pytest.mark.parametrize(("most", "blocks"), [(1, True), (2, False)])
def test_searches_find_no_more_than_the_quota_allows(most: int, blocks: bool) -> None:
    view = VaultView(listing=a_listing(*(some_metadata(name=name) for name in ("shop-a", "shop-b", "other"))))
    granted = a_granted(quota=Quota(found_secrets=most))

    found = too_many_found(some_inputs(SEARCHES, view=view, decision=granted))

    assert found == (
        Failed(
            Reason.QUOTA_EXCEEDED,
            "VaultGrant shop allows 1 secrets that searches find, and those of dataFrom find 2; narrow their names or "
            "tags.",
        )
        if blocks
        else None
    )


@pytest.mark.parametrize(
    ("patterns", "on_revoked", "seconds", "blocks"),
    [
        (("other",), OnRevoked.RETAIN, DELETED_AFTER, True),
        (("other",), OnRevoked.DELETE, DELETED_AFTER - 1, True),
        (("other",), OnRevoked.DELETE, DELETED_AFTER, False),
        (("shop-*",), OnRevoked.RETAIN, 0, False),
    ],
)
def test_a_key_that_a_search_must_not_find_any_more_is_kept_unless_it_shall_be_deleted(
    patterns: tuple[str, ...], on_revoked: OnRevoked, seconds: float, blocks: bool
) -> None:
    granted = a_granted(secrets=patterns, on_revoked=on_revoked)
    known = {SecretRef("shop-a"): a_state("shop-a", source="shop-a")}
    plan = Plan((), known, "because")
    view = VaultView(listing=a_listing(some_metadata(name="shop-a")).restricted(patterns))

    found = ungranted_keys(replace(some_inputs(SEARCHES, plan=plan, decision=granted), refused_for=seconds))

    assert (found is not None and found.reason is Reason.NOT_GRANTED) is blocks
    assert [*unlisted_finds(SEARCHES.spec, known, view)] == []


def test_the_first_guard_that_blocks_decides() -> None:
    assert first_blocked(ALL_BLOCK) == Suspended()

    resumed = replace(ALL_BLOCK, vault_secret=a_vault_secret(vault_url="https://evil.example"))
    assert first_blocked(resumed) == unknown_vault(resumed)

    conflicting = replace(resumed, vault_secret=a_vault_secret())
    assert first_blocked(conflicting) == competing_vaultsecret(conflicting)


def test_nothing_blocks_a_vaultsecret_that_may_be_synced() -> None:
    assert first_blocked(some_inputs()) is None
    assert first_blocked(some_inputs(target=an_observed())) is None


# Before anything is read


def test_a_suspended_vaultsecret_is_blocked() -> None:
    assert suspended(some_inputs(a_vault_secret(suspend=True))) == Suspended()
    assert suspended(some_inputs()) is None


def with_vault(url: str) -> Inputs:
    """The inputs of a VaultSecret with that URL, which the schema need not admit."""
    spec = a_vault_secret().spec.model_copy(update={"vault_url": url})
    return some_inputs(
        a_vault_secret().model_copy(update={"spec": spec}), config=replace(CONFIG, known_vaults=KNOWN_VAULTS)
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.vault.azure.net",
        "https://SHOP.vault.azure.net:443",
        "https://a.b.vault.azure.cn",
        "https://kv.example.com",
        "https://KV.example.com:443",
        "https://localhost:8443",
        "https://dev.example.com",
        "https://dev.example.com:9443",
    ],
)
def test_known_vaults_are_called(url: str) -> None:
    assert unknown_vault(with_vault(url)) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://vault.azure.net",
        "https://shop.vault.azure.net.evil.example",
        "https://shopvault.azure.net",
        "https://evil.example/.vault.azure.net",
        "https://shop.vault.azure.net@evil.example",
        "https://sub.localhost:8443",
        "https://sub.kv.example.com",
        "",
    ],
)
def test_other_hosts_are_never_called(url: str) -> None:
    blocked = unknown_vault(with_vault(url))

    assert blocked is not None
    assert blocked.reason is Reason.INVALID_SPEC
    assert "VAULTSYNC_VAULT_DNS_SUFFIXES" in blocked.message


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.vault.azure.net:8443",
        "https://shop.vault.azure.net:80",
        "https://kv.example.com:8443",
        "https://localhost",
        "https://localhost:844",
    ],
)
def test_other_ports_of_known_hosts_are_never_called(url: str) -> None:
    blocked = unknown_vault(with_vault(url))

    assert blocked is not None
    assert blocked.reason is Reason.INVALID_SPEC
    assert "VAULTSYNC_VAULT_HOSTS" in blocked.message
    assert "port" in blocked.message


@pytest.mark.parametrize("secret_type", sorted(TOKEN_TYPES))
def test_types_that_become_credentials_are_blocked_even_if_the_crd_admitted_them(secret_type: str) -> None:
    blocked = refused_type(some_inputs(with_type(a_vault_secret(), secret_type)))

    assert blocked is not None
    assert blocked.reason is Reason.INVALID_SPEC
    assert secret_type in blocked.message


def test_other_types_are_written() -> None:
    assert refused_type(some_inputs()) is None


def test_a_search_in_a_vault_that_denies_listing_is_blocked_and_the_message_says_who_is_denied() -> None:
    blocked = unlistable_vault(some_inputs(SEARCHES, view=VaultView(list_error=DENIED)))

    assert blocked is not None
    assert blocked.reason is Reason.ACCESS_DENIED
    assert blocked.message.startswith("find in dataFrom needs to list the vault's secrets")
    assert blocked.message.endswith(DENIED.message)


def test_a_vaultsecret_that_does_not_search_needs_no_listing() -> None:
    inputs = some_inputs(view=VaultView(list_error=DENIED))

    assert (unlistable_vault(inputs), pending_listing(inputs)) == (None, None)


def test_a_search_waits_for_the_listing_of_a_later_poll() -> None:
    assert pending_listing(some_inputs(SEARCHES, view=VaultView(polls=7))) == Waiting(
        f"Waiting for the first listing of vault {VAULT}.", after_poll=7
    )


def test_a_search_in_an_unreachable_vault_fails_with_its_error() -> None:
    assert pending_listing(some_inputs(SEARCHES, view=VaultView(failure=AWAY))) == failed(AWAY)


@pytest.mark.parametrize(
    ("plan", "view"),
    [
        (Plan((), {}, None), UNKNOWN),
        (Plan((), {}, "because"), VaultView(listing=a_listing())),
    ],
    ids=["nothing must be read", "the vault was listed"],
)
def test_a_search_does_not_wait_for_a_listing_if(plan: Plan, view: VaultView) -> None:
    assert pending_listing(some_inputs(SEARCHES, view=view, plan=plan)) is None


# After everything was read


UNLISTED = SecretRequest(REF, optional=True, unlisted=True)


def test_everything_waits_while_the_listing_lacks_a_secret_that_the_vault_returns() -> None:
    inputs = some_inputs(plan=Plan((UNLISTED,), {}, "because"), view=VaultView(polls=3))

    blocked = contradicted_listing(inputs, {REF: a_reading()})

    assert isinstance(blocked, Waiting)
    assert blocked.after_poll == 3
    assert "db-password" in blocked.message
    assert first_blocked_reading(inputs, {REF: a_reading()}) == blocked


def test_a_listing_and_the_vault_that_agree_block_nothing() -> None:
    gone = some_inputs(plan=Plan((UNLISTED,), {}, "because"))
    there = some_inputs(plan=Plan((replace(UNLISTED, unlisted=False),), {}, "because"))

    assert contradicted_listing(gone, {REF: a_missing_reading()}) is None
    assert contradicted_listing(gone, {}) is None
    assert contradicted_listing(there, {REF: a_reading()}) is None


@pytest.mark.parametrize(("listed", "waits"), [(START, False), (START - timedelta(minutes=1), True)])
def test_everything_waits_while_the_listing_is_older_than_what_the_vault_returns(listed: datetime, waits: bool) -> None:
    view = VaultView(listing=a_listing(some_metadata(name="db-password", updated=listed)))
    inputs = some_inputs(plan=Plan((UNLISTED,), {}, "because"), view=view)

    assert (contradicted_listing(inputs, {REF: a_reading()}) is not None) is waits


NEWER = START + timedelta(minutes=10)
"""When a version that is newer than the default reading was written."""


def older_inputs(
    *,
    written: datetime | None = None,
    listed: datetime | None = None,
    ref: SecretRef = REF,
) -> Inputs:
    """The inputs of a reconcile after a version of `written` was written, and one of `listed` was listed."""
    known = {} if written is None else {ref: a_state(ref=ref, version=SECOND, updated=written)}
    secrets = {} if listed is None else {"db-password": some_metadata(updated=listed)}
    plan = Plan((SecretRequest(ref, optional=False),), known, "because")
    return some_inputs(view=VaultView(secrets), plan=plan)


@pytest.mark.parametrize(
    ("written", "listed", "waits"),
    [
        (NEWER, None, True),
        (None, NEWER, True),
        (NEWER, START, True),
        (START, NEWER, True),
        (START + SETTLING, START + SETTLING, False),
        (START, START, False),
        (START - timedelta(minutes=10), None, False),
        (None, None, False),
    ],
    ids=[
        "the target has a newer one",
        "a newer one is listed",
        "the listing lags, too",
        "a newer one is listed and was not read yet",
        "servers of the vault whose clocks differ",
        "it is the newest one",
        "it is newer than the target's",
        "nothing is known",
    ],
)
def test_an_older_version_is_not_taken(written: datetime | None, listed: datetime | None, waits: bool) -> None:
    inputs = older_inputs(written=written, listed=listed)

    blocked = older_version(inputs, {REF: a_reading()})

    assert (blocked is not None) is waits
    assert first_blocked_reading(inputs, {REF: a_reading()}) == blocked
    if blocked is not None:
        assert "newest version of secret db-password" in blocked.message


def test_the_secrets_of_a_target_wait_for_one_that_is_older() -> None:
    readings = {SecretRef("api-token"): a_reading(updated=NEWER), REF: a_reading()}

    assert older_version(older_inputs(written=NEWER), readings) is not None


def test_an_older_version_that_the_spec_pins_is_taken() -> None:
    pinned = SecretRef("db-password", FIRST)

    assert older_version(older_inputs(written=NEWER, ref=pinned), {pinned: a_reading()}) is None


PENDING = a_pending()
"""The next version, of `NEWER`; the versions of these tests are older."""


@pytest.mark.parametrize(
    ("state", "reading", "waits"),
    [
        (a_state(), a_reading(pending=PENDING), False),
        (a_state(updated=NEWER), a_reading(pending=PENDING), True),
        (a_state(version=THIRD, updated=NEWER), a_reading(pending=PENDING, unusable=frozenset({THIRD})), False),
        (a_state(version=None), a_reading(pending=PENDING), False),
        (a_state(pending=PENDING), a_reading(pending=PENDING), False),
        (a_state(pending=PENDING), a_reading(), True),
        (a_state(pending=PENDING), a_reading(version=SECOND, updated=NEWER), False),
        (a_state(), an_inactive_reading(), True),
        (a_state(), an_inactive_reading(unusable=frozenset({FIRST})), False),
        (a_state(version=None), an_inactive_reading(), False),
        (a_state(pending=PENDING), an_inactive_reading(updated=START), True),
    ],
    ids=[
        "a newer version comes",
        "the list lacks the version in use",
        "the version in use is disabled or was given a later date",
        "none was active",
        "the same",
        "the newest version is not there any more",
        "the next version is active",
        "the list lacks the version in use, and so all",
        "the version in use is disabled or was given a later date, and there is no other",
        "none was active, and none is",
        "the newest version of which none is active was before the one that comes",
    ],
)
def test_an_active_version_that_is_older_than_the_one_in_use_must_be_unusable(
    state: SecretState, reading: VaultReading, waits: bool
) -> None:
    plan = Plan((SecretRequest(REF, optional=True),), {REF: state}, "because")

    assert (older_version(some_inputs(plan=plan), {REF: reading}) is not None) is waits


def test_a_list_that_lacks_the_version_in_use_for_long_is_believed() -> None:
    inputs = older_inputs(written=NEWER)
    reading = a_reading(pending=PENDING, began=Moment(LASTING.total_seconds()))
    for older, is_held in ((THIRD, True), (FIRST, False)):
        inputs.view.reads.put("db-password", LastRead(Moment(0.0), *PENDING.newest, older=older))
        assert (older_version(inputs, {REF: reading}) is not None) is is_held


@pytest.mark.parametrize(
    ("version", "requested", "taken"),
    [(FIRST, 11.0, True), (FIRST, 10.0, False), (FIRST, 9.0, False), (FIRST, None, False), (SECOND, 11.0, False)],
    ids=["after it was read", "when it was read", "before it was read", "never", "after another one was read"],
)
def test_a_refresh_takes_an_older_version_that_was_read_before(
    version: str, requested: float | None, taken: bool
) -> None:
    inputs = replace(older_inputs(written=NEWER), refresh_since=requested)
    inputs.view.reads.put("db-password", LastRead(Moment(10.0), version, START, None, since=10.0))

    assert (older_version(inputs, {REF: a_reading(began=Moment(12.0))}) is None) is taken


BEFORE = SecretRef("db-password", previous=True)


@pytest.mark.parametrize(
    ("until_now", "newest", "disabled", "waits"),
    [
        (THIRD, THIRD, (), True),
        (THIRD, FOURTH, (SECOND,), True),
        (THIRD, FOURTH, (SECOND, THIRD), False),
        (THIRD, THIRD, (SECOND,), False),
        (FIRST, THIRD, (), False),
        (None, None, (), True),
        (None, None, (SECOND,), False),
    ],
    ids=[
        "the one that was written is skipped",
        "the newest until now is skipped",
        "both are disabled",
        "the one that was written is disabled",
        "it was the newest until now",
        "the newest was not read yet",
        "the newest was not read yet, and the other is disabled",
    ],
)
def test_a_version_before_the_newest_that_is_older_than_it_was_is_not_taken(
    until_now: str | None, newest: str | None, disabled: Collection[str], waits: bool
) -> None:
    known = {BEFORE: a_state(ref=BEFORE, version=SECOND, updated=NEWER)}
    if until_now is not None:
        known[REF] = a_state(version=until_now, updated=NEWER)
    inputs = some_inputs(plan=Plan((SecretRequest(BEFORE, optional=True),), known, "because"))
    readings = {BEFORE: a_reading(unusable=frozenset(disabled))}
    if newest is not None:
        readings[REF] = a_reading(version=newest, updated=NEWER)

    assert (older_version(inputs, readings) is not None) is waits


def test_a_version_before_the_newest_goes_back_with_the_newest() -> None:
    known = {BEFORE: a_state(ref=BEFORE, version=SECOND, updated=NEWER), REF: a_state(version=THIRD, updated=NEWER)}
    plan = Plan((SecretRequest(BEFORE, optional=True),), known, "because")
    inputs = some_inputs(plan=plan, view=VaultView())
    inputs.view.reads.put("db-password", LastRead(Moment(0.0), FOURTH, START, None))
    newest = a_reading(version=FOURTH, began=Moment(LASTING.total_seconds()))

    assert older_version(inputs, {REF: newest, BEFORE: a_reading()}) is None


@pytest.mark.parametrize(
    ("version", "since", "taken"),
    [(FIRST, 0.0, True), (FIRST, 1.0, False), (SECOND, 0.0, False), (None, 0.0, False)],
    ids=["it lasts", "not long enough", "another one was read last", "nothing was found last"],
)
def test_an_older_version_that_lasts_is_taken(version: str | None, since: float, taken: bool) -> None:
    inputs = older_inputs(written=NEWER)
    inputs.view.reads.put("db-password", LastRead(Moment(since), version, START, None, since=since))
    reading = a_reading(began=Moment(LASTING.total_seconds()))

    assert (older_version(inputs, {REF: reading}) is None) is taken


def test_a_missing_secret_has_no_version_that_could_be_older() -> None:
    assert older_version(older_inputs(written=NEWER), {REF: a_missing_reading()}) is None
