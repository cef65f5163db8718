"""What must be read: tables of single cases, and a random vault in which no change may be lost."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kvsecrets import SecretValue
from tests.builders import (
    FAR,
    FIRST,
    READ_AT,
    SECOND,
    START,
    a_listing,
    a_missing_reading,
    a_pending,
    a_reading,
    a_state,
    some_metadata,
)
from vaultsync.policy.changes import MAX_CLOCK_SKEW, SETTLING, due, last_read, until_active
from vaultsync.state.listings import SecretMetadata
from vaultsync.state.moments import Moment
from vaultsync.state.secrets import MissingReading, Reading, SecretRef, SecretState
from vaultsync.state.vaults import LastRead, Missing, VaultView

REF = SecretRef("db-password")
SECONDS, HOUR = timedelta(seconds=1), timedelta(hours=1)
LATER = READ_AT + timedelta(minutes=1)
POLLED = Moment(60.0)
"""When polls observe what `some_metadata` has."""


def reason_for(
    state: SecretState | None,
    metadata: SecretMetadata | Missing | None = None,
    *,
    read: LastRead | None = None,
    ref: SecretRef = REF,
    now: datetime = LATER,
    recheck: timedelta = FAR,
) -> str | None:
    view = VaultView({} if metadata is None else {"db-password": metadata})
    if read is not None:
        view.reads.put("db-password", read)
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
        (a_state(), Missing(POLLED), "gone from the vault"),
        (a_state(), some_metadata(version=FIRST), None),
        (a_state(), some_metadata(version=SECOND), "changed in the vault"),
        (a_state(version=None, updated=None), some_metadata(), "appeared in the vault"),
        (a_state(version=None, updated=None), some_metadata(readable=False), "appeared in the vault"),
        (a_state(version=None, updated=None), Missing(POLLED), None),
        (a_state(version=None, updated=None), None, None),
        (a_state(read_at=LATER + MAX_CLOCK_SKEW), some_metadata(updated=START + SECONDS), "changed in the vault"),
        (a_state(read_at=LATER + MAX_CLOCK_SKEW), some_metadata(), None),
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
        "what was read is dated after the poll that observed a change",
        "what was read is dated after the poll that observed no change",
    ],
)
def test_a_secret_is_due_when(
    state: SecretState | None, metadata: SecretMetadata | Missing | None, reason: str | None
) -> None:
    assert reason_for(state, metadata) == reason


def a_read(version: str | None = FIRST, *, at: float, **tweaks: object) -> LastRead:
    """The last read of the secret by this process, at a monotonic time."""
    fields = {"updated": START, "expires": None, "listed": START, "since": at, "settled": True} | tweaks
    return LastRead(began=Moment(at), version=version, **fields)  # type: ignore[arg-type]


AFTER, BEFORE = POLLED.seconds + 1, POLLED.seconds - 1
"""When this process read it last, compared with the last poll."""


@pytest.mark.parametrize(
    ("state", "metadata", "read", "reason"),
    [
        (a_state(), some_metadata(updated=START - SECONDS), a_read(at=AFTER), None),
        (a_state(), some_metadata(updated=START - SECONDS), a_read(at=BEFORE), "changed in the vault"),
        (a_state(), some_metadata(readable=False), a_read(at=AFTER), None),
        (a_state(), Missing(POLLED), a_read(at=AFTER), None),
        (a_state(), Missing(POLLED), a_read(at=BEFORE), "gone from the vault"),
        (a_state(), some_metadata(), a_read(SECOND, at=AFTER), "changed in the vault"),
        (a_state(), some_metadata(), a_read(SECOND, at=BEFORE), "changed in the vault"),
        (a_state(), some_metadata(), a_read(SECOND, at=BEFORE, updated=START - SECONDS), None),
        (a_state(version=None, updated=None), some_metadata(), a_read(None, at=AFTER), None),
        (a_state(version=None, updated=None), some_metadata(), a_read(None, at=BEFORE), "appeared in the vault"),
        (a_state(version=None, updated=None), some_metadata(), a_read(at=AFTER), "appeared in the vault"),
        (a_state(), some_metadata(updated=LATER), a_read(None, at=AFTER), "changed in the vault"),
    ],
    ids=[
        "the listing was older than the read",
        "a listing that began later is older than what was read: its replica lags",
        "it was disabled before the read",
        "it was missing before the read",
        "it went missing after the read",
        "another VaultSecret has read another version",
        "another VaultSecret has read another version of the same second",
        "a listing confirms it after another VaultSecret read an older version",
        "the listing was older than the read that did not find it",
        "it appeared after the read that did not find it",
        "another VaultSecret has found it",
        "a read that did not find it hides no change",
    ],
)
def test_the_last_observation_decides(
    state: SecretState, metadata: SecretMetadata | Missing, read: LastRead, reason: str | None
) -> None:
    assert reason_for(state, metadata, read=read) == reason


@pytest.mark.parametrize(
    ("read_after", "reason"),
    [(-1.0, "unsettled"), (0.0, "unsettled"), (2.0, "unsettled"), (3.0, None)],
    ids=["its date is ahead of ours", "in the second of the change", "two seconds after it", "three are enough"],
)
def test_what_a_former_process_read_too_soon_after_a_change_is_read_again(
    read_after: float, reason: str | None
) -> None:
    assert reason_for(a_state(read_at=START + read_after * SECONDS), some_metadata()) == reason


@pytest.mark.parametrize(
    ("since", "settled", "reason"),
    [(57.0, False, "unsettled"), (58.0, False, None), (0.0, True, None)],
    ids=["long enough before the poll", "too soon before the poll", "nothing can have its date any more"],
)
def test_what_this_process_read_too_soon_after_a_change_is_read_again(
    since: float, settled: bool, reason: str | None
) -> None:
    assert reason_for(a_state(), some_metadata(), read=a_read(at=since, settled=settled)) == reason


def test_a_poll_that_has_read_the_version_settles_it() -> None:
    assert reason_for(a_state(), some_metadata(version=FIRST), read=a_read(at=0.0, settled=False)) is None


PENDING = a_pending()
"""The next version, of which polls observe `updated`; it becomes active an hour after the reading."""
OBSERVED = some_metadata(updated=PENDING.newest.updated)
PINNED = SecretRef("db-password", FIRST)


@pytest.mark.parametrize(
    ("state", "metadata", "now", "reason"),
    [
        (a_state(pending=PENDING), OBSERVED, LATER, None),
        (a_state(version=None, updated=None, pending=PENDING), OBSERVED, LATER, None),
        (a_state(pending=PENDING), some_metadata(), LATER, "changed in the vault"),
        (a_state(pending=PENDING), replace(OBSERVED, expires=LATER), LATER, "changed in the vault"),
        (a_state(pending=PENDING), replace(OBSERVED, version=SECOND), LATER, None),
        (a_state(pending=PENDING), replace(OBSERVED, version=FIRST), LATER, "changed in the vault"),
        (a_state(version=None, updated=None, pending=PENDING), Missing(POLLED), LATER, "gone from the vault"),
        (a_state(pending=PENDING), OBSERVED, PENDING.not_before - SECONDS, None),
        (a_state(pending=PENDING), OBSERVED, PENDING.not_before, "a version becomes active"),
        (
            a_state(pending=PENDING, ref=SecretRef("db-password", FIRST)),
            None,
            PENDING.not_before,
            "a version becomes active",
        ),
    ],
    ids=[
        "the newest version is as it was",
        "so it is although none is active",
        "the newest version is another one",
        "the newest version has another date",
        "a read of it",
        "a read of another one",
        "none is active, and the secret is gone",
        "a second before its time",
        "at its time",
        "at its time, although it is pinned",
    ],
)
def test_polls_observe_the_version_that_becomes_active(
    state: SecretState, metadata: SecretMetadata | Missing | None, now: datetime, reason: str | None
) -> None:
    assert reason_for(state, metadata, ref=state.ref, now=now) == reason


@pytest.mark.parametrize(("seconds", "wait"), [(0, 10), (9, 1), (10, 0)])
def test_a_version_that_is_not_active_by_the_vaults_clock_is_read_again_after_some_seconds(
    seconds: int, wait: int
) -> None:
    state = a_state(pending=PENDING, read_at=PENDING.not_before)

    assert until_active(state, PENDING.not_before + seconds * SECONDS) == wait * SECONDS


def test_what_a_list_of_versions_decides_is_read_once_more() -> None:
    view = VaultView({"db-password": OBSERVED})
    reading = a_reading(pending=PENDING, read_at=LATER, vault_time=LATER)
    view.reads.put("db-password", last_read(view, "db-password", reading, Moment(0.0)))
    state = a_state(pending=PENDING, read_at=LATER)
    assert due(REF, state, view, now=LATER, recheck=FAR) == "unsettled"

    again = replace(reading, began=Moment(61.0))
    view.reads.put("db-password", last_read(view, "db-password", again, Moment(61.0)))
    polled = replace(view, secrets={"db-password": replace(OBSERVED, observed_at=Moment(120.0))})

    assert due(REF, state, polled, now=LATER, recheck=FAR) is None


def test_another_active_version_is_read_once_more() -> None:
    view = VaultView({"db-password": OBSERVED})
    for version, moment in ((FIRST, Moment(0.0)), ("3" * 32, Moment(60.0))):
        reading = a_reading(version=version, pending=PENDING, began=moment)
        view.reads.put("db-password", last_read(view, "db-password", reading, moment))

    read = view.reads.get("db-password")

    assert read is not None
    assert (read.version, read.older, read.settled) == (SECOND, "3" * 32, False)


SOON, SETTLED = START + SECONDS, START + SETTLING


@pytest.mark.parametrize(
    ("read_at", "vault_time", "settled"),
    [
        (SETTLED, SETTLED, True),
        (SETTLED, None, True),
        (SOON, SETTLED, False),
        (SETTLED, SOON, False),
        (SOON, START + HOUR, False),
        (START + HOUR, SOON, False),
        (START - HOUR, SETTLED, False),
    ],
)
def test_a_reading_is_settled_if_both_clocks_agree(
    read_at: datetime, vault_time: datetime | None, settled: bool
) -> None:
    reading = a_reading(read_at=read_at, vault_time=vault_time)

    assert last_read(VaultView(), "db-password", reading, Moment(0.0)).settled is settled


@pytest.mark.parametrize(
    ("before", "settled", "since"),
    [
        (a_read(at=7.0, settled=False, listed=None), True, 7.0),
        (a_read(at=8.0, settled=False, listed=None), False, 8.0),
        (a_read(at=9.0, settled=True, listed=None), True, 9.0),
        (a_read(SECOND, at=1.0, listed=None), False, 10.0),
        (a_read(at=1.0, updated=START - SECONDS, listed=None), False, 10.0),
        (a_read(at=1.0, listed=START), False, 10.0),
        (a_read(None, at=1.0), False, 10.0),
    ],
    ids=[
        "read three seconds ago",
        "read two seconds ago",
        "settled before",
        "it was another version",
        "it was changed since",
        "polls observe something else",
        "it did not exist",
    ],
)
def test_a_second_reading_settles_it_whatever_the_clocks_show(before: LastRead, settled: bool, since: float) -> None:
    view = VaultView()
    view.reads.put("db-password", before)
    unsettled = a_reading(read_at=SOON, vault_time=SOON, began=Moment(10.0))

    read = last_read(view, "db-password", unsettled, Moment(10.0))

    assert (read.settled, read.since) == (settled, since)


def test_a_secret_that_was_not_found_is_recorded_when_it_was_asked_for() -> None:
    read = last_read(VaultView(), "db-password", a_missing_reading(), Moment(5.0))

    assert (read.began, read.version) == (Moment(5.0), None)


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


@pytest.mark.parametrize(
    ("version", "polled", "again", "reason"),
    [
        (None, 60.0, False, "missing in one list of versions"),
        (None, 60.0, True, None),
        (None, 2.0, False, None),
        (None, None, False, None),
        (FIRST, 60.0, False, None),
    ],
    ids=["it was missing", "it was missing twice", "too soon", "nothing was polled", "it was there"],
)
def test_the_version_before_is_looked_for_once_more(
    version: str | None, polled: float | None, again: bool, reason: str | None
) -> None:
    before = SecretRef("db-password", previous=True)
    secrets = {} if polled is None else {"db-password": some_metadata(observed_at=Moment(polled))}
    view = VaultView(secrets)
    for seconds in (0.0, 10.0) if again else (0.0,):
        reading = a_missing_reading() if version is None else a_reading()
        view.reads.put(before.read_as, last_read(view, before.read_as, reading, Moment(seconds)))

    assert due(before, a_state(version=version), view, now=LATER, recheck=FAR) == reason


def test_names_are_compared_without_regard_to_case() -> None:
    ref = SecretRef("DB-Password")

    assert reason_for(a_state(source="DB-Password"), some_metadata(updated=LATER), ref=ref) == "changed in the vault"


@dataclass
class Simulation:
    """A vault with one secret, whose dates are whole seconds and may be a second ahead, and a reader that follows it.

    `time` is finer than the vault's dates. One of the two clocks that date a reading is wrong.
    """

    wrong_clock: str
    time: float = 1_000_000.0
    number: int = 0
    error: float = 0.0
    """By how much the wrong clock is ahead."""
    version: int = 0
    updated: datetime | None = None
    enabled: bool = True
    exists: bool = False
    state: SecretState | None = None
    view: VaultView = field(default_factory=VaultView)

    def second(self, ahead: int = 0, *, clock: str = "") -> datetime:
        error = self.error if clock == self.wrong_clock else 0.0
        return datetime.fromtimestamp(int(self.time + error) + ahead, UTC)

    def moment(self) -> Moment:
        self.number += 1
        return Moment(self.time, self.number)

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

    def restart(self) -> None:
        """Start another process; that both clocks are wrong, one after the other, is found by the recheck alone."""
        if self.wrong_clock == DATE:
            self.view = VaultView()

    def poll(self, *, by_reading: bool) -> None:
        self.view = replace(self.view, secrets={"db-password": self.observation(by_reading=by_reading)})

    def observation(self, *, by_reading: bool) -> SecretMetadata | Missing:
        if not self.exists:
            return Missing(self.moment())
        known = by_reading and self.enabled
        return SecretMetadata(
            readable=self.enabled,
            updated=None if by_reading and not self.enabled else self.updated,
            expires=None,
            observed_at=self.moment(),
            version=str(self.version) if known else None,
        )

    def read(self) -> None:
        """Read it as an optional entry; the state of a disabled one stays as it was."""
        began, read_at = self.moment(), self.second(clock=CLOCK)
        reading: Reading | MissingReading
        if not self.exists:
            self.state = SecretState(REF, ("password",), None, None, None, read_at)
            reading = a_missing_reading(read_at=read_at)
        elif self.enabled:
            self.state = SecretState(REF, ("password",), str(self.version), self.updated, None, read_at)
            reading = Reading(
                SecretValue("x"), str(self.version), self.updated, None, began, read_at, self.second(clock=DATE)
            )
        else:
            return
        self.view.reads.put("db-password", last_read(self.view, "db-password", reading, began))

    def follow(self) -> bool:
        """Read it if it is due; return whether it was."""
        is_due = self.reason() is not None
        if is_due:
            self.read()
        return is_due

    def reason(self) -> str | None:
        return due(REF, self.state, self.view, now=self.second(clock=CLOCK), recheck=FAR)

    def is_up_to_date(self) -> bool:
        assert self.state is not None
        return self.state.version == (str(self.version) if self.exists else None)


DATE, CLOCK = "the vault's clock", "the operator's clock"
WRONG_CLOCKS = pytest.mark.parametrize("wrong_clock", [DATE, CLOCK])

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["write"] * 3 + ["read"] * 3 + ["toggle", "delete", "list", "get", "follow", "restart", "jump", "correct"]
        ),
        st.booleans(),
        st.sampled_from([0.0, 0.1, 0.1, 0.2, 0.9, 2.5, 60.0]),
    ),
    max_size=8,
)


def run(steps: list[tuple[str, bool, float]], wrong_clock: str) -> Simulation:
    simulation = Simulation(wrong_clock)
    for step, flag, pause in steps:
        match step:
            case "write":
                simulation.write(ahead=flag)
            case "toggle" if simulation.exists:
                simulation.toggle(ahead=flag)
            case "delete":
                simulation.delete()
            case "list" | "get":
                simulation.poll(by_reading=step == "get")
            case "read":
                simulation.read()
            case "follow":
                simulation.follow()
            case "restart":
                simulation.restart()
            case "jump" | "correct":
                simulation.error = 0.0 if step == "correct" else 3600.0 if flag else -3600.0
        simulation.time += pause
    return simulation


@pytest.mark.slow
@pytest.mark.parametrize("by_reading", [False, True], ids=["listing", "reading one by one"])
@WRONG_CLOCKS
@settings(max_examples=500)
@given(steps=STEPS)
@example(steps=[("write", False, 0.1), ("read", False, 0.1), ("write", False, 0.1)])
@example(steps=[("write", True, 0.9), ("read", False, 0.1), ("write", False, 0.1)])
@example(steps=[("jump", True, 0.0), ("write", False, 0.1), ("read", False, 0.1), ("write", False, 0.1)])
@example(steps=[("jump", True, 0.0), ("write", False, 0.1), ("read", False, 60.0), ("write", False, 0.1)])
def test_no_change_is_lost_whatever_one_of_the_clocks_does(
    wrong_clock: str, by_reading: bool, steps: list[tuple[str, bool, float]]
) -> None:
    simulation = run(steps, wrong_clock)
    simulation.enable()

    simulation.time += SETTLING.total_seconds() + 2
    simulation.poll(by_reading=by_reading)
    simulation.follow()

    assert simulation.is_up_to_date()


@pytest.mark.parametrize("by_reading", [False, True], ids=["listing", "reading one by one"])
@WRONG_CLOCKS
@given(steps=STEPS)
@example(steps=[("jump", False, 0.0), ("write", False, 0.1), ("read", False, 0.1)])
@example(steps=[("jump", True, 0.0), ("write", False, 0.1), ("read", False, 0.1), ("correct", False, 0.1)])
def test_nothing_is_due_two_polls_after_the_last_change_whatever_one_of_the_clocks_does(
    wrong_clock: str, by_reading: bool, steps: list[tuple[str, bool, float]]
) -> None:
    simulation = run(steps, wrong_clock)
    simulation.enable()

    for _ in range(2):
        simulation.time += SETTLING.total_seconds() + 2
        simulation.poll(by_reading=by_reading)
        simulation.follow()

    for _ in range(5):
        simulation.time += 60
        simulation.poll(by_reading=by_reading)
        assert simulation.reason() is None


def test_a_listing_that_lags_costs_one_read_for_each_poll() -> None:
    simulation = run([("write", False, 60.0), ("list", False, 0.0), ("read", False, 0.0)], DATE)
    stale = simulation.observation(by_reading=False)
    assert isinstance(stale, SecretMetadata)
    simulation.write(ahead=False)
    simulation.time += 60
    simulation.read()

    for _ in range(3):
        simulation.time += 60
        lagging = replace(stale, observed_at=simulation.moment())
        simulation.view = replace(simulation.view, secrets={"db-password": lagging})
        assert [simulation.follow() for _ in range(3)] == [True, False, False]

    simulation.poll(by_reading=False)
    assert not simulation.follow()


@given(steps=STEPS)
def test_a_secret_that_cannot_be_read_stays_due(steps: list[tuple[str, bool, float]]) -> None:
    simulation = run(steps, DATE)
    simulation.write(ahead=False)
    simulation.toggle(ahead=False)

    for _ in range(3):
        simulation.time += 10
        simulation.poll(by_reading=False)
        assert simulation.reason() is not None
        simulation.read()


@pytest.mark.parametrize("ahead", [timedelta(days=3000), HOUR, MAX_CLOCK_SKEW + SECONDS])
def test_a_reading_in_the_future_does_not_postpone_the_recheck(ahead: timedelta) -> None:
    forged = a_state(read_at=READ_AT + ahead)

    assert due(REF, forged, VaultView(), now=READ_AT, recheck=FAR) == "recheck interval is over"


def test_a_found_secret_is_due_when_the_last_listing_shows_a_change() -> None:
    view = VaultView(listing=a_listing(some_metadata(name="DB-Password", updated=LATER)))

    assert due(REF, a_state(), view, now=LATER, recheck=FAR) == "changed in the vault"
