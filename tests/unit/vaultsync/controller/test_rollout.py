"""A VaultSecret's workloads over time: what is asked of the cluster, what the status keeps, what people are told."""

import asyncio
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import START, a_vault_secret
from tests.clocks import Clock
from tests.fakes.workloads import FakeWorkloads
from vaultsync.api import ObjectKey
from vaultsync.api.restarts import Restart, WorkloadKind
from vaultsync.api.v1alpha1 import StatusRestart, VaultSecret, VaultSecretMeta, VaultSecretStatus
from vaultsync.controller.rollout import Followed, Restarter
from vaultsync.errors import ObjectGone, Reason, SyncError
from vaultsync.policy.rollout import SETTLING, Workload
from vaultsync.status.events import Event

DEPLOYMENT: Final = WorkloadKind.DEPLOYMENT
WEB: Final = ObjectKey("shop", "web")
INTERVAL: Final = timedelta(minutes=1)
SETTLED: Final = SETTLING.total_seconds()
MISSING: Final = "Deployment shop/web is to be restarted and does not exist."
DENIED: Final = "Deployment shop/web: the operator's service account may not get deployments."


def restart_of(name: str = "web", kind: WorkloadKind = DEPLOYMENT) -> Restart:
    return Restart(kind=kind, name=name, min_interval=INTERVAL)


@dataclass
class Story:
    """One VaultSecret, and what is kept of it from one reconcile to the next."""

    clock: Clock = field(default_factory=Clock)
    workloads: FakeWorkloads = field(init=False)
    restarts: tuple[Restart, ...] = (restart_of(),)
    status: VaultSecretStatus = field(default_factory=VaultSecretStatus)
    events: list[Event] = field(default_factory=list)
    counted: list[StatusRestart] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.workloads = FakeWorkloads(now=self.clock)

    def restarted(self, vault_secret: VaultSecretMeta, entry: StatusRestart) -> None:
        self.counted.append(entry)

    def vault_secret(self) -> VaultSecret:
        return a_vault_secret(status=self.status, restart=self.restarts)

    async def reconcile(self, *, changes: bool = False) -> Followed:
        """What a reconcile does of it, one that changes the content or one that does not."""
        changed = self.clock() if changes else self.status.content_change_time
        restarter = Restarter(workloads=self.workloads, record=self, now=self.clock)
        followed = await restarter.follow(self.vault_secret(), changed=changed)
        self.status = VaultSecretStatus(content_change_time=changed, restarts=followed.restarts)
        self.events += followed.events
        return followed

    async def changed(self, *names: str) -> Followed:
        """The content changes while these workloads are an hour old; returns when that has settled."""
        for name in names:
            self.workloads.make(DEPLOYMENT, ObjectKey("shop", name))
        await self.reconcile()
        self.clock.turn(3600)
        await self.reconcile(changes=True)
        self.clock.turn(SETTLED)
        return await self.reconcile()


@pytest.fixture
def story() -> Story:
    return Story()


async def test_a_change_restarts_a_workload_and_tells_it(story: Story) -> None:
    followed = await story.changed("web")

    now = story.clock()
    assert story.workloads.restarts == [(DEPLOYMENT, WEB, now)]
    assert followed == Followed(
        restarts=(StatusRestart(kind=DEPLOYMENT, name="web", at=now),),
        events=(Event("Normal", "Restarted", "Restarted Deployment web, since what Secret db holds has changed."),),
        seconds=None,
    )
    assert story.counted == list(followed.restarts)


async def test_a_restart_waits_until_the_change_has_settled(story: Story) -> None:
    story.workloads.make(DEPLOYMENT, WEB)
    await story.reconcile()
    story.clock.turn(3600)

    followed = await story.reconcile(changes=True)

    assert (followed.seconds, story.workloads.calls) == (SETTLED, 0)


async def test_nothing_is_asked_while_nothing_changes(story: Story) -> None:
    await story.changed("web")
    calls = story.workloads.calls
    story.clock.turn(86400)

    followed = await story.reconcile()

    assert (followed.seconds, story.workloads.calls) == (None, calls)


async def test_a_restart_that_the_status_never_told_of_is_not_made_again(story: Story) -> None:
    story.workloads.make(DEPLOYMENT, WEB)
    await story.reconcile()
    story.clock.turn(3600)
    await story.reconcile(changes=True)
    story.clock.turn(SETTLED)
    told = story.status
    await story.reconcile()
    restarted_at, story.status = story.clock(), told
    story.clock.turn(3600)

    followed = await story.reconcile()

    assert len(story.workloads.restarts) == 1
    assert followed == Followed((StatusRestart(kind=DEPLOYMENT, name="web", at=restarted_at),), (), None)


async def test_the_creation_of_the_secret_restarts_nothing(story: Story) -> None:
    story.workloads.make(DEPLOYMENT, WEB)
    story.clock.turn(3600)

    followed = await story.reconcile()

    assert (followed.seconds, story.workloads.calls) == (None, 0)
    assert followed.restarts == (StatusRestart(kind=DEPLOYMENT, name="web", at=story.clock()),)


async def test_a_second_change_waits_for_its_time(story: Story) -> None:
    await story.changed("web")
    first = story.clock()
    story.clock.turn(5)
    await story.reconcile(changes=True)
    story.clock.turn(SETTLED)

    followed = await story.reconcile()

    assert followed.seconds == 45.0
    story.clock.turn(45.0)
    await story.reconcile()
    assert story.workloads.restarts == [(DEPLOYMENT, WEB, first), (DEPLOYMENT, WEB, first + INTERVAL)]


async def test_each_workload_has_its_own_kind(story: Story) -> None:
    story.restarts = tuple(restart_of("same", kind) for kind in WorkloadKind)
    for kind in WorkloadKind:
        story.workloads.make(kind, ObjectKey("shop", "same"))

    await story.changed()

    assert [kind for kind, _, _ in story.workloads.restarts] == list(WorkloadKind)


async def test_a_workload_that_is_named_no_more_is_forgotten(story: Story) -> None:
    await story.changed("web")
    story.restarts = ()

    followed = await story.reconcile()

    assert followed == Followed((), (), None)


async def test_a_workload_that_is_missing_is_told_once_and_looked_for_again(story: Story) -> None:
    first = await story.changed()
    story.clock.turn(120)
    second = await story.reconcile()

    assert [entry.problem for entry in first.restarts] == [MISSING]
    assert first.events == (Event("Warning", "RestartFailed", MISSING),)
    assert (second.restarts, second.events, second.seconds) == (first.restarts, (), 120.0)
    assert story.counted == [*first.restarts, *second.restarts]


async def test_whatever_the_refresh_interval_a_problem_is_looked_into_within_minutes(story: Story) -> None:
    await story.changed()
    vault_secret = a_vault_secret(status=story.status, restart=story.restarts, refresh_interval=timedelta(days=1))
    restarter = Restarter(workloads=story.workloads, record=story, now=story.clock)

    followed = await restarter.follow(vault_secret, changed=story.status.content_change_time)

    assert followed.seconds == 300.0


async def test_a_missing_workload_that_comes_after_the_change_is_up_to_date(story: Story) -> None:
    await story.changed()
    story.clock.turn(60)
    story.workloads.make(DEPLOYMENT, WEB)

    followed = await story.reconcile()

    assert story.workloads.restarts == []
    assert followed == Followed((StatusRestart(kind=DEPLOYMENT, name="web", at=story.clock()),), (), None)


async def test_a_problem_of_one_workload_is_no_problem_of_the_others(story: Story) -> None:
    story.restarts = restart_of("gone"), restart_of("web")

    followed = await story.changed("web")

    assert [entry.problem is None for entry in followed.restarts] == [False, True]
    assert [event.reason for event in followed.events] == ["RestartFailed", "Restarted"]


async def test_a_refusal_is_a_problem_and_the_restart_is_made_up_for(story: Story) -> None:
    story.workloads.refusal = SyncError(Reason.CLUSTER_UNAVAILABLE, DENIED)
    denied = await story.changed("web")
    story.workloads.refusal = None

    made_up = await story.reconcile()

    assert [entry.problem for entry in denied.restarts] == [DENIED]
    assert [entry.problem for entry in made_up.restarts] == [None]
    assert len(story.workloads.restarts) == 1


async def test_a_problem_is_not_told_again_for_another_change(story: Story) -> None:
    first = await story.changed()
    settling = await story.reconcile(changes=True)
    story.clock.turn(SETTLED)
    second = await story.reconcile()

    assert settling.restarts == second.restarts == first.restarts
    assert [event.reason for event in story.events] == ["RestartFailed"]


async def test_there_is_nothing_to_be_told_of_a_vault_secret_that_goes(story: Story) -> None:
    story.workloads.refusal = ObjectGone(Reason.CLUSTER_UNAVAILABLE, "Deployment shop/web: its namespace is gone.")

    with pytest.raises(ObjectGone):
        await story.changed("web")


class Elsewhere(FakeWorkloads):
    """Workloads in which somebody has a hand between our look and our restart."""

    async def restart(self, kind: WorkloadKind, key: ObjectKey, workload: Workload, *, at: datetime) -> bool:
        self.touch(kind, key)
        return await super().restart(kind, key, workload, at=at)


async def test_a_workload_that_changes_under_our_hands_is_looked_at_again_in_a_moment(story: Story) -> None:
    story.workloads = Elsewhere(now=story.clock)

    followed = await story.changed("web")

    assert (followed.seconds, followed.events, story.counted) == (5.0, (), [])
    assert [entry.problem for entry in followed.restarts] == [None]


async def test_vault_secrets_that_rotate_together_share_a_restart() -> None:
    clock = Clock()
    first, second = Story(clock), Story(clock)
    second.workloads = first.workloads
    first.workloads.make(DEPLOYMENT, WEB)
    for story in (first, second):
        await story.reconcile()
    clock.turn(3600)
    await first.reconcile(changes=True)
    clock.turn(3)
    await second.reconcile(changes=True)
    clock.turn(SETTLED)

    told = [event.reason for story in (first, second) for event in (await story.reconcile()).events]

    assert told == ["Restarted"]
    assert len(first.workloads.restarts) == 1
    assert second.status.restarts == first.status.restarts


async def lived(changes: Iterable[tuple[float, int]]) -> tuple[list[datetime], list[datetime], int]:
    """Let two VaultSecrets change the content for one workload, after so many seconds each; and let time go by.

    Gives the moments of the changes, those of the restarts, and how many calls the last hour took.
    """
    clock = Clock()
    stories = [Story(clock), Story(clock)]
    stories[1].workloads = stories[0].workloads
    workloads = stories[0].workloads
    workloads.make(DEPLOYMENT, WEB)
    clock.turn(60)
    for story in stories:
        await story.reconcile()
    timers: dict[int, datetime] = {}

    async def reconcile(number: int, *, changes: bool = False) -> None:
        seconds = (await stories[number].reconcile(changes=changes)).seconds
        timers.pop(number, None)
        if seconds is not None:
            timers[number] = clock() + timedelta(seconds=seconds)

    async def let_pass(seconds: float) -> None:
        until = clock() + timedelta(seconds=seconds)
        while timers and min(timers.values()) <= until:
            number = min(timers, key=timers.__getitem__)
            clock.now = max(clock(), timers[number])
            await reconcile(number)
        clock.now = until

    changed: list[datetime] = []
    for seconds, number in changes:
        await let_pass(seconds)
        changed.append(clock().replace(microsecond=0))
        await reconcile(number, changes=True)
    await let_pass(3600)
    calls = workloads.calls
    for number in range(2):
        await reconcile(number)
    return changed, [moment for _, _, moment in workloads.restarts], workloads.calls - calls


@given(st.lists(st.tuples(st.floats(0, 200), st.integers(0, 1)), max_size=12))
def test_every_change_is_followed_by_a_restart_and_none_comes_without_one_or_too_soon(
    changes: list[tuple[float, int]],
) -> None:
    changed, restarts, calls_at_rest = asyncio.run(lived(changes))

    assert all(any(restart > change for restart in restarts) for change in changed)
    for earlier, restart in itertools.pairwise([START, *restarts]):
        assert any(earlier <= change <= restart - SETTLING for change in changed), "nothing had changed since"
    assert all(later - earlier >= INTERVAL for earlier, later in itertools.pairwise(restarts))
    assert calls_at_rest == 0
