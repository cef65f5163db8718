"""What must be read: tables of single cases, and a vault at random in which no change may be lost."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.builders import FAR, FIRST, READ_AT, SECOND, START, a_sighting, a_state
from vaultsync.policy.changes import SETTLING, due
from vaultsync.state.secrets import SecretRef, SecretState
from vaultsync.state.vaults import Missing, SecretMetadata, VaultView

REF = SecretRef("db-password")
SECONDS = timedelta(seconds=1)
LATER = READ_AT + timedelta(minutes=1)


def why(
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
    ("state", "metadata", "told"),
    [
        (None, None, "never read"),
        (a_state(), None, None),
        (a_state(), a_sighting(), None),
        (a_state(), a_sighting(updated=START + SECONDS), "changed in the vault"),
        (a_state(), a_sighting(updated=START - SECONDS), "changed in the vault"),
        (a_state(), a_sighting(expires=LATER), "changed in the vault"),
        (a_state(expires=LATER), a_sighting(), "changed in the vault"),
        (a_state(), a_sighting(readable=False), "cannot be read"),
        (a_state(), Missing(LATER), "gone from the vault"),
        (a_state(), a_sighting(version=FIRST), None),
        (a_state(), a_sighting(version=SECOND), "changed in the vault"),
        (a_state(version=None, updated=None), a_sighting(), "appeared in the vault"),
        (a_state(version=None, updated=None), a_sighting(readable=False), "appeared in the vault"),
        (a_state(version=None, updated=None), Missing(LATER), None),
        (a_state(version=None, updated=None), None, None),
        (a_state(), a_sighting(updated=START + SECONDS, observed_at=READ_AT - SECONDS), None),
        (a_state(), a_sighting(readable=False, observed_at=READ_AT - SECONDS), None),
        (a_state(), Missing(READ_AT - SECONDS), None),
        (a_state(), a_sighting(updated=START + SECONDS, observed_at=READ_AT), "changed in the vault"),
        (a_state(), Missing(READ_AT), "gone from the vault"),
    ],
    ids=[
        "nothing is known of it",
        "no poll has seen it yet",
        "a poll has seen it as it was read",
        "it is newer than what was read",
        "it is older: deleted, purged and restored from a backup",
        "it got an expiry",
        "its expiry was taken away",
        "it was disabled",
        "it was deleted",
        "a poll has read the version that is known",
        "a poll has read another version in the same second",
        "what was absent is there",
        "what was absent is there but disabled",
        "what was absent still is",
        "nobody has looked for what was absent",
        "an older look saw something else",
        "an older look saw it disabled",
        "an older look saw nothing",
        "a look in the same second counts as newer",
        "so does one that saw nothing",
    ],
)
def test_an_entry_is_due_when(
    state: SecretState | None, metadata: SecretMetadata | Missing | None, told: str | None
) -> None:
    assert why(state, metadata) == told


@pytest.mark.parametrize(
    ("read_after", "seen_after", "told"),
    [
        (-1.0, 4.0, "unsettled"),
        (0.0, 4.0, "unsettled"),
        (2.0, 4.0, "unsettled"),
        (2.0, 3.0, None),
        (3.0, 60.0, None),
    ],
    ids=[
        "its date lies ahead of the vault's clock",
        "read in the very second of the change",
        "read two seconds after it",
        "the look came too early to settle it",
        "three seconds are enough",
    ],
)
def test_a_second_write_may_hide_behind_a_date_that_was_read_too_soon(
    read_after: float, seen_after: float, told: str | None
) -> None:
    state = a_state(read_at=START + read_after * SECONDS)

    assert why(state, a_sighting(observed_at=START + seen_after * SECONDS)) == told


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (a_state(), None),
        (a_state(version=None), None),
        (None, "never read"),
    ],
    ids=["it was read", "it is optional and was absent", "nothing was read"],
)
def test_a_pinned_version_is_no_business_of_polls(state: SecretState | None, told: str | None) -> None:
    assert why(state, a_sighting(updated=LATER), ref=SecretRef("db-password", FIRST)) == told


@pytest.mark.parametrize(
    "ref",
    [REF, SecretRef("db-password", FIRST), SecretRef("db-password", previous=True)],
    ids=["newest", "pinned", "previous"],
)
def test_everything_is_read_again_when_the_recheck_interval_is_over(ref: SecretRef) -> None:
    recheck = timedelta(hours=1)

    assert why(a_state(), ref=ref, now=READ_AT + recheck - SECONDS, recheck=recheck) is None
    assert why(a_state(), ref=ref, now=READ_AT + recheck, recheck=recheck) == "time for a recheck"


def test_the_vault_tells_names_apart_without_regard_to_case() -> None:
    ref = SecretRef("DB-Password")

    assert why(a_state(source="DB-Password"), a_sighting(updated=LATER), ref=ref) == "changed in the vault"


@dataclass
class World:
    """A vault with one secret, whose dates are whole seconds and may run a second ahead, and somebody who follows it.

    `time` is finer than the vault tells it.
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

    def vanish(self, *, ahead: bool) -> None:
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
        """Read it as an optional entry; of a disabled one the state stays as it was."""
        if not self.exists:
            self.state = SecretState(REF, ("password",), None, None, None, self.second())
        elif self.enabled:
            self.state = SecretState(REF, ("password",), str(self.version), self.updated, None, self.second())

    def why(self) -> str | None:
        return due(REF, self.state, VaultView(self.secrets), now=self.second(), recheck=FAR)

    def is_up_to_date(self) -> bool:
        assert self.state is not None
        return self.state.version == (str(self.version) if self.exists else None)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write"] * 3 + ["read"] * 3 + ["toggle", "vanish", "list", "sight", "follow"]),
        st.booleans(),
        st.sampled_from([0.0, 0.1, 0.1, 0.2, 0.9, 2.5, 60.0]),
    ),
    max_size=8,
)


def play(steps: list[tuple[str, bool, float]]) -> World:
    world = World()
    for step, ahead, pause in steps:
        match step:
            case "write":
                world.write(ahead=ahead)
            case "toggle" if world.exists:
                world.toggle(ahead=ahead)
            case "vanish":
                world.vanish(ahead=ahead)
            case "list" | "sight":
                world.poll(by_reading=step == "sight")
            case "read":
                world.read()
            case "follow" if world.why() is not None:
                world.read()
        world.time += pause
    return world


@pytest.mark.parametrize("by_reading", [False, True], ids=["listing", "reading one by one"])
@settings(max_examples=500)
@given(steps=STEPS)
@example(steps=[("write", False, 0.1), ("read", False, 0.1), ("write", False, 0.1)])
@example(steps=[("write", True, 0.9), ("read", False, 0.1), ("write", False, 0.1)])
def test_no_change_is_ever_lost(by_reading: bool, steps: list[tuple[str, bool, float]]) -> None:
    world = play(steps)
    world.enable()

    world.time += SETTLING.total_seconds() + 2
    world.poll(by_reading=by_reading)
    if world.why() is not None:
        world.read()

    assert world.is_up_to_date()


@pytest.mark.parametrize("by_reading", [False, True], ids=["listing", "reading one by one"])
@given(steps=STEPS)
def test_in_a_quiet_world_nothing_is_due_after_two_polls(
    by_reading: bool, steps: list[tuple[str, bool, float]]
) -> None:
    world = play(steps)
    world.enable()

    for _ in range(2):
        world.time += SETTLING.total_seconds() + 2
        world.poll(by_reading=by_reading)
        if world.why() is not None:
            world.read()

    world.time += 1
    world.poll(by_reading=by_reading)
    assert world.why() is None


@given(steps=STEPS)
def test_what_cannot_be_read_stays_due(steps: list[tuple[str, bool, float]]) -> None:
    world = play(steps)
    world.write(ahead=False)
    world.toggle(ahead=False)

    for _ in range(3):
        world.time += 10
        world.poll(by_reading=False)
        assert world.why() is not None
        world.read()


def test_a_reading_that_claims_to_lie_in_the_future_does_not_put_off_the_recheck() -> None:
    forged = a_state(read_at=READ_AT + timedelta(days=3000))

    assert due(REF, forged, VaultView(), now=READ_AT, recheck=FAR) == "time for a recheck"


def test_what_a_search_found_is_due_when_the_last_listing_shows_it_changed() -> None:
    view = VaultView(listing={"db-password": a_sighting(updated=LATER)})

    assert due(REF, a_state(), view, now=LATER, recheck=FAR) == "changed in the vault"
