"""The status: its JSON, and that it parses to the same status."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from tests.manifests import VERSION
from vaultsync.api.fields import WorkloadKind
from vaultsync.api.status import (
    Condition,
    StatusEntry,
    StatusMissing,
    StatusPending,
    StatusRestart,
    StatusTarget,
    VaultSecretStatus,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def status_entry(key: str, expires: datetime | None) -> StatusEntry:
    return StatusEntry(key=key, secret_name=key, version=VERSION, updated=NOON, expires=expires, read_at=NOON)


def condition(status: str, text: str, moment: datetime, generation: int | None) -> Condition:
    return Condition(
        type="Ready",
        status=status,
        reason=text,
        message=text,
        last_transition_time=moment,
        observed_generation=generation,
    )


GENERATIONS = st.none() | st.integers(1, 9)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds
STATUSES = st.builds(
    VaultSecretStatus,
    observed_generation=GENERATIONS,
    conditions=st.tuples(
        st.builds(condition, st.sampled_from(["True", "False", "Unknown"]), st.text(), TIMES, GENERATIONS)
    ),
    target=st.none() | st.builds(StatusTarget, name=st.text()),
    entries=st.lists(st.builds(status_entry, st.text(), st.none() | TIMES), max_size=3).map(tuple),
    last_change_time=st.none() | TIMES,
    missing=st.lists(st.builds(StatusMissing, secret_name=st.text(), since=TIMES), max_size=2).map(tuple),
    restarts=st.lists(
        st.builds(StatusRestart, kind=st.just("Deployment"), name=st.text(), at=TIMES, problem=st.none() | st.text()),
        max_size=2,
    ).map(tuple),
    last_handled_refresh=st.none() | st.text(),
)


@given(STATUSES)
def test_a_status_parses_to_itself(status: VaultSecretStatus) -> None:
    assert VaultSecretStatus.parse(status.to_wire()) == status


@given(STATUSES)
def test_the_json_of_a_status_has_no_nulls(status: VaultSecretStatus) -> None:
    def has_no_null(value: object) -> bool:
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return value is not None and all(map(has_no_null, children))

    assert has_no_null(status.to_wire())


def test_the_json_of_a_status() -> None:
    status = VaultSecretStatus(
        observed_generation=3,
        conditions=(
            Condition(type="Ready", status="True", reason="Synced", message="In sync.", last_transition_time=NOON),
        ),
        target=StatusTarget(name="db"),
        entries=(
            status_entry("password", NOON + timedelta(days=30)),
            StatusEntry(key="a", secret_name="a", read_at=NOON),
        ),
        last_change_time=NOON,
    )

    assert status.to_wire() == {
        "observedGeneration": 3,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "Synced",
                "message": "In sync.",
                "lastTransitionTime": "2026-03-01T12:00:00Z",
            }
        ],
        "target": {"name": "db"},
        "entries": [
            {
                "key": "password",
                "secretName": "password",
                "version": VERSION,
                "updateTime": "2026-03-01T12:00:00Z",
                "expiryTime": "2026-03-31T12:00:00Z",
                "readTime": "2026-03-01T12:00:00Z",
            },
            {"key": "a", "secretName": "a", "readTime": "2026-03-01T12:00:00Z"},
        ],
        "lastChangeTime": "2026-03-01T12:00:00Z",
        "keyCount": 1,
        "expiryTime": "2026-03-31T12:00:00Z",
    }


NAMES_OF_0_1: Final = {
    "updateTime": "updated",
    "expiryTime": "expires",
    "certificateExpiryTime": "certificateExpires",
    "readTime": "readAt",
    "activationTime": "notBefore",
    "newestUpdateTime": "newestUpdated",
    "newestExpiryTime": "newestExpires",
    "sinceTime": "since",
    "vaultSinceTime": "vaultSince",
    "removalTime": "removed",
    "restartTime": "at",
}


def of_0_1(value: object) -> Any:  # noqa: ANN401  any JSON
    """A status as version 0.1 wrote it."""
    match value:
        case dict():
            return {NAMES_OF_0_1.get(name, name): of_0_1(child) for name, child in value.items() if name != "keyCount"}
        case list():
            return [of_0_1(child) for child in value]
        case _:
            return value


EVERY_TIME: Final = VaultSecretStatus(
    entries=(
        StatusEntry(
            key="a",
            secret_name="a",
            updated=NOON,
            expires=NOON + timedelta(days=1),
            certificate_expires=NOON + timedelta(days=2),
            read_at=NOON + timedelta(days=3),
            pending=StatusPending(
                version="1",
                not_before=NOON + timedelta(days=4),
                newest="2",
                newest_updated=NOON + timedelta(days=5),
                newest_expires=NOON + timedelta(days=6),
            ),
        ),
    ),
    missing=(
        StatusMissing(
            secret_name="b",
            since=NOON + timedelta(days=7),
            vault_since=NOON + timedelta(days=8),
            removed=NOON + timedelta(days=9),
        ),
    ),
    restarts=(StatusRestart(kind=WorkloadKind.DEPLOYMENT, name="c", at=NOON + timedelta(days=10)),),
)


def test_a_status_of_version_0_1_is_read_and_so_not_written_again() -> None:
    written = EVERY_TIME.to_wire()
    former = of_0_1(written)

    assert all(f'"{name}"' in json.dumps(written) and f'"{name}"' not in json.dumps(former) for name in NAMES_OF_0_1)
    assert VaultSecretStatus.parse(former) == EVERY_TIME


@given(STATUSES)
def test_every_status_of_version_0_1_is_read(status: VaultSecretStatus) -> None:
    assert VaultSecretStatus.parse(of_0_1(status.to_wire())) == status


def test_the_number_of_keys_is_that_of_the_keys_that_are_filled() -> None:
    entries = (status_entry("a", None), status_entry("b", None), StatusEntry(key="c", secret_name="c", read_at=NOON))

    assert [VaultSecretStatus(entries=entries[:count]).key_count for count in range(4)] == [None, 1, 2, 2]


def test_a_time_is_written_without_microseconds_even_if_it_was_not_validated() -> None:
    status = VaultSecretStatus().model_copy(update={"last_change_time": NOON.replace(microsecond=7)})

    assert status.to_wire()["lastChangeTime"] == "2026-03-01T12:00:00Z"


def test_a_vault_secret_expires_with_the_first_of_its_secrets() -> None:
    entries = tuple(status_entry(f"key-{days}", NOON + timedelta(days=days)) for days in (30, 7, 90))

    assert VaultSecretStatus(entries=(*entries, status_entry("never", None))).expires == NOON + timedelta(days=7)
