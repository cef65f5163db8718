"""The status: its JSON, and that it parses to the same status."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.manifests import VERSION
from vaultsync.api.status import Condition, StatusEntry, StatusMissing, StatusRestart, StatusTarget, VaultSecretStatus

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
                "updated": "2026-03-01T12:00:00Z",
                "expires": "2026-03-31T12:00:00Z",
                "readAt": "2026-03-01T12:00:00Z",
            },
            {"key": "a", "secretName": "a", "readAt": "2026-03-01T12:00:00Z"},
        ],
        "lastChangeTime": "2026-03-01T12:00:00Z",
        "expires": "2026-03-31T12:00:00Z",
    }


def test_a_time_is_written_without_microseconds_even_if_it_was_not_validated() -> None:
    status = VaultSecretStatus().model_copy(update={"last_change_time": NOON.replace(microsecond=7)})

    assert status.to_wire()["lastChangeTime"] == "2026-03-01T12:00:00Z"


def test_a_vault_secret_expires_with_the_first_of_its_secrets() -> None:
    entries = tuple(status_entry(f"key-{days}", NOON + timedelta(days=days)) for days in (30, 7, 90))

    assert VaultSecretStatus(entries=(*entries, status_entry("never", None))).expires == NOON + timedelta(days=7)
