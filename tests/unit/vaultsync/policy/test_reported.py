"""What the status reports about a target that is not there: which secret filled which key, and from which vault."""

from datetime import timedelta
from typing import Any

import pytest

from tests.builders import (
    FIRST,
    READ_AT,
    SECOND,
    START,
    VAULT,
    Tweak,
    a_status,
    a_status_entry,
    a_vault_secret,
    an_observed,
)
from vaultsync.api.status import StatusPending
from vaultsync.api.v1alpha1 import StatusEntry, StatusTarget, VaultSecret
from vaultsync.policy.reported import reported_state
from vaultsync.state.applied import Applied
from vaultsync.state.observed import Observed
from vaultsync.state.secrets import (
    PendingVersion,
    SecretRef,
    SecretState,
    Version,
)

REF = SecretRef("db-password")
OTHER_VAULT = "https://another.vault.azure.net"
LINE = {"key": "password", "secret_name": "DB-Password"}


def reporting(*entries: StatusEntry, vault_url: str | None = VAULT, **spec: Tweak) -> VaultSecret:
    """A VaultSecret whose status reports a target from that vault with these entries."""
    target = StatusTarget(name="db", vault_url=vault_url)
    status = a_status(*entries).model_copy(update={"target": target})
    search: dict[str, Any] = {"data": (), "data_from": [{"find": {"names": "db-*"}}]}
    return a_vault_secret(status=status, **search | spec)


@pytest.mark.parametrize(
    ("spec", "ref"),
    [
        ({}, REF),
        ({"data": [LINE]}, REF),
        ({"data": [LINE | {"version": FIRST}]}, REF._replace(version=FIRST)),
        ({"data": [LINE | {"version": SECOND}]}, REF),
        ({"data": [LINE | {"version": FIRST}, LINE | {"key": "newest"}]}, REF),
        ({"data": [LINE | {"key": "newest", "previous_key": "password"}]}, REF._replace(previous=True)),
        ({"data_from": [{"object": "db-password", "version": FIRST}]}, REF._replace(version=FIRST)),
        ({"data_from": [{"object": "db-password"}]}, REF),
    ],
    ids=[
        "found by a search",
        "named",
        "pinned",
        "pinned to another version since",
        "pinned in one entry and followed in another",
        "the previous version",
        "the fields of a pinned object",
        "the fields of an object",
    ],
)
def test_the_secret_of_an_entry_is_the_one_that_the_spec_names(spec: dict[str, Any], ref: SecretRef) -> None:
    entry = a_status_entry(secret_name="DB-password")

    known = reported_state(reporting(entry, **spec), None)

    spelled = ref._replace(name="DB-password")
    assert known == {ref: SecretState(spelled, ("password",), FIRST, START, None, READ_AT)}


def test_a_pending_version_is_known_by_the_status() -> None:
    pending = StatusPending(version=SECOND, not_before=READ_AT, none_active=True, newest=SECOND, newest_updated=START)

    (state,) = reported_state(reporting(a_status_entry(pending=pending)), None).values()

    assert state.pending == PendingVersion(SECOND, READ_AT, Version(SECOND, START, None), none_active=True)


def test_the_keys_of_one_secret_are_one_state() -> None:
    known = reported_state(reporting(a_status_entry(key="a"), a_status_entry(key="b")), None)

    assert [state.keys for state in known.values()] == [("a", "b")]


def test_a_key_of_an_earlier_version_is_kept() -> None:
    later = a_status_entry(key="a", version=SECOND, read_at=READ_AT + timedelta(minutes=1))

    (state,) = reported_state(reporting(a_status_entry(key="b"), later), None).values()

    assert (state.version, state.keys, state.kept) == (SECOND, ("a",), ("b",))


@pytest.mark.parametrize(
    ("observed", "vault_url", "used"),
    [
        (None, VAULT, True),
        (None, OTHER_VAULT, False),
        (None, None, True),
        (an_observed(applied=Applied("x", (), vault=OTHER_VAULT)), None, False),
        (an_observed(applied=Applied("x", (), vault=OTHER_VAULT)), VAULT, True),
        (an_observed(applied=None), None, True),
    ],
    ids=[
        "the vault of the spec",
        "another vault",
        "by an older operator",
        "by an older operator, of a target from another vault",
        "of another target than the observed one",
        "of a target without annotation",
    ],
)
def test_the_status_counts_only_for_its_own_vault(observed: Observed | None, vault_url: str | None, used: bool) -> None:
    assert bool(reported_state(reporting(a_status_entry(), vault_url=vault_url), observed)) is used


def test_nothing_is_known_without_a_target() -> None:
    assert reported_state(a_vault_secret(status=a_status(a_status_entry())), None) == {}
