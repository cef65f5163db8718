"""What must be read: tables of single cases, and a random vault in which no change may be lost."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.builders import FAR, FIRST, READ_AT, SECOND, START, a_listing, a_state, some_metadata
from vaultsync.policy.changes import SETTLING, due
from vaultsync.state.secrets import SecretRef, SecretState
from vaultsync.state.vaults import Missing, SecretMetadata, VaultView

REF = SecretRef("db-password")
SECONDS = timedelta(seconds=1)
LATER = READ_AT + timedelta(minutes=1)


def reason_for(
    state: SecretState | None,
    metadata: SecretMetadata | Missing | None = None,
    *,
    ref: SecretRef = REF,
    now: datetime = LATER,
    recheck: timedelta = FAR,
) -> str | None:
    view = VaultView({} if metadata is None else {"db-password": metadata})
    return due(ref, state, view, now=now, recheck=recheck)


@pytest.mark.parametrize(
    ("state", "metadata", "reason"),
    [
        (None, None, "never read"),
        (a_state(), None, None),
        (a_state(), some_metadata(), None),
        (a_state(), some_metadata(updated=START + SECONDS), "changed in the vault"),
        (a_state(), some_metadata(updated=START - SECONDS), "changed in the vault"),
        (a_state(), some_metadata(expires=LATER), "changed in the vault"),
        (a_state(expires=LATER), some_metadata(), "changed in the vault"),
        (a_state(), some_metadata(readable=False), "cannot be read"),
        (a_state(), Missing(LATER), "gone from the vault"),
        (a_state(), some_metadata(version=FIRST), None),
        (a_state(), some_metadata(version=SECOND), "changed in the vault"),
        (a_state(version=None, updated=None), some_metadata(), "appeared in the vault"),
        (a_state(version=None, updated=None), some_metadata(readable=False), "appeared in the vault"),
        (a_state(version=None, updated=None), Missing(LATER), None),
        (a_state(version=None, updated=None), None, None),
        (a_state(), some_metadata(updated=START + SECONDS, observed_at=READ_AT - SECONDS), None),
        (a_state(), some_metadata(readable=False, observed_at=READ_AT - SECONDS), None),
        (a_state(), Missing(READ_AT - SECONDS), None),
        (a_state(), some_metadata(updated=START + SECONDS, observed_at=READ_AT), "changed in the vault"),
        (a_state(), Missing(READ_AT), "gone from the vault"),
    ],
    ids=[
        "nothing is known of it",
        "no poll has observed it yet",
        "a poll has observed it as it was read",
        "it is newer than what was read",
        "it is older: deleted, purged and restored from a backup",
        "it got an expiry date",
        "its expiry date was removed",
        "it was disabled",
        "it was deleted",
        "a poll has read the known version",
        "a poll has read another version in the same second",
        "a missing secret exists now",
        "a missing secret exists now but is disabled",
        "a missing secret is still missing",
        "no poll has looked for a missing secret",
        "an older poll observed something else",
        "an older poll observed it disabled",
        "an older poll did not find it",
        "a poll in the same second counts as newer",
        "a poll in the same second that did not find it counts as newer",
    ],
)
def test_a_secret_is_due_when(
    state: SecretState | None, metadata: SecretMetadata | Missing | None, reason: str | None
) -> None:
    assert reason_for(state, metadata) == reason


@pytest.mark.parametrize(
    ("read_after", "observed_after", "reason"),
    [
        (-1.0, 4.0, "unsettled"),
        (0.0, 4.0, "unsettled"),
        (2.0, 4.0, "unsettled"),
        (2.0, 3.0, None),
        (3.0, 60.0, None),
    ],
    ids=[
        "its date is ahead of the vault's clock",
        "read in the second of the change",
        "read two seconds after the change",
        "the poll was too early to settle it",
        "three seconds are enough",
    ],
)
def test_a_secret_that_was_read_too_soon_after_a_change_is_read_again(
    read_after: float, observed_after: float, reason: str | None
) -> None:
    state = a_state(read_at=START + read_after * SECONDS)

    assert reason_for(state, some_metadata(observed_at=START + observed_after * SECONDS)) == reason


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (a_state(), None),
        (a_state(version=None), None),
        (None, "never read"),
    ],
    ids=["it was read", "it is optional and missing", "nothing was read"],
)
def test_polls_do_not_follow_a_pinned_version(state: SecretState | None, reason: str | None) -> None:
    assert reason_for(state, some_metadata(updated=LATER), ref=SecretRef("db-password", FIRST)) == reason


@pytest.mark.parametrize(
    "ref",
    [REF, SecretRef("db-password", FIRST), SecretRef("db-password", previous=True)],
    ids=["newest", "pinned", "previous"],
)
def test_a_secret_is_read_again_when_the_recheck_interval_is_over(ref: SecretRef) -> None:
    recheck = timedelta(hours=1)

    assert reason_for(a_state(), ref=ref, now=READ_AT + recheck - SECONDS, recheck=recheck) is None
    assert reason_for(a_state(), ref=ref, now=READ_AT + recheck, recheck=recheck) == "recheck interval is over"


def test_names_are_compared_without_regard_to_case() -> None:
    ref = SecretRef("DB-Password")

    assert reason_for(a_state(source="DB-Password"), some_metadata(updated=LATER), ref=ref) == "changed in the vault"


@dataclass
class Simulation:
    """A vault with one secret, whose dates are whole seconds and may be a second ahead, and a reader that follows it.

    `time` is finer than the vault's dates.
    """

    time: float = 1_000_000.0
    version: int = 0
    updated: datetime | None = None
    enabled: bool = True
    exists: bool = False
    state: SecretState | None = None
    secrets: dict[str, SecretMetadata | Missing] = field(default_factory=dict)

    def second(self, ahead: int = 0) -> datetime:
        return datetime.fromtimestamp(int(self.time) + ahead, UTC)

    def write(self, *, ahead: bool) -> None:
        self.version += 1
        self.exists = self.enabled = True
        self.updated = self.second(ahead)

    def toggle(self, *, ahead: bool) -> None:
        self.enabled = not self.enabled
        self.updated = self.second(ahead)

    def enable(self) -> None:
        if not self.enabled:
            self.toggle(ahead=False)

    def delete(self) -> None:
        self.exists = False

    def poll(self, *, by_reading: bool) -> None:
        if not self.exists:
            self.secrets["db-password"] = Missing(self.second())
            return
        known = by_reading and self.enabled
        self.secrets["db-password"] = SecretMetadata(
            readable=self.enabled,
            updated=None if by_reading and not self.enabled else self.updated,
            expires=None,
            observed_at=self.second(),
            version=str(self.version) if known else None,
        )

    def read(self) -> None:
        """Read it as an optional entry; the state of a disabled one stays as it was."""
        if not self.exists:
            self.state = SecretState(REF, ("password",), None, None, None, self.second())
        elif self.enabled:
            self.state = SecretState(REF, ("password",), str(self.version), self.updated, None, self.second())

    def reason(self) -> str | None:
        return due(REF, self.state, VaultView(self.secrets), now=self.second(), recheck=FAR)

    def is_up_to_date(self) -> bool:
        assert self.state is not None
        return self.state.version == (str(self.version) if self.exists else None)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write"] * 3 + ["read"] * 3 + ["toggle", "delete", "list", "get", "follow"]),
        st.booleans(),
        st.sampled_from([0.0, 0.1, 0.1, 0.2, 0.9, 2.5, 60.0]),
    ),
    max_size=8,
)


def run(steps: list[tuple[str, bool, float]]) -> Simulation:
    simulation = Simulation()
    for step, ahead, pause in steps:
        match step:
            case "write":
                simulation.write(ahead=ahead)
            case "toggle" if simulation.exists:
                simulation.toggle(ahead=ahead)
            case "delete":
                simulation.delete()
            case "list" | "get":
                simulation.poll(by_reading=step == "get")
            case "read":
                simulation.read()
            case "follow" if simulation.reason() is not None:
                simulation.read()
        simulation.time += pause
    return simulation


@pytest.mark.slow
@pytest.mark.parametrize("by_reading", [False, True], ids=["listing", "reading one by one"])
@settings(max_examples=500)
@given(steps=STEPS)
@example(steps=[("write", False, 0.1), ("read", False, 0.1), ("write", False, 0.1)])
@example(steps=[("write", True, 0.9), ("read", False, 0.1), ("write", False, 0.1)])
def test_no_change_is_lost(by_reading: bool, steps: list[tuple[str, bool, float]]) -> None:
    simulation = run(steps)
    simulation.enable()

    simulation.time += SETTLING.total_seconds() + 2
    simulation.poll(by_reading=by_reading)
    if simulation.reason() is not None:
        simulation.read()

    assert simulation.is_up_to_date()


@pytest.mark.parametrize("by_reading", [False, True], ids=["listing", "reading one by one"])
@given(steps=STEPS)
def test_nothing_is_due_two_polls_after_the_last_change(by_reading: bool, steps: list[tuple[str, bool, float]]) -> None:
    simulation = run(steps)
    simulation.enable()

    for _ in range(2):
        simulation.time += SETTLING.total_seconds() + 2
        simulation.poll(by_reading=by_reading)
        if simulation.reason() is not None:
            simulation.read()

    simulation.time += 1
    simulation.poll(by_reading=by_reading)
    assert simulation.reason() is None


@given(steps=STEPS)
def test_a_secret_that_cannot_be_read_stays_due(steps: list[tuple[str, bool, float]]) -> None:
    simulation = run(steps)
    simulation.write(ahead=False)
    simulation.toggle(ahead=False)

    for _ in range(3):
        simulation.time += 10
        simulation.poll(by_reading=False)
        assert simulation.reason() is not None
        simulation.read()


def test_a_forged_reading_in_the_future_does_not_postpone_the_recheck() -> None:
    forged = a_state(read_at=READ_AT + timedelta(days=3000))

    assert due(REF, forged, VaultView(), now=READ_AT, recheck=FAR) == "recheck interval is over"


def test_a_found_secret_is_due_when_the_last_listing_shows_a_change() -> None:
    view = VaultView(listing=a_listing(some_metadata(name="DB-Password", updated=LATER)))

    assert due(REF, a_state(), view, now=LATER, recheck=FAR) == "changed in the vault"
