"""The workloads of a VaultSecret over time: when they are restarted, what the status keeps, which events there are."""

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
from tests.fakes import FakeKube
from tests.harness import RecordedEvents
from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import Restart, StatusRestart, VaultSecret, VaultSecretMeta, VaultSecretStatus, WorkloadKind
from vaultsync.controller.rollout import CONFLICT_RETRY, Rollouts, restart_workloads
from vaultsync.errors import ObjectGone, Reason, SyncError
from vaultsync.policy.requeue import MAX_RETRY
from vaultsync.policy.rollout import SETTLING, Workload
from vaultsync.status.events import Event

DEPLOYMENT: Final = WorkloadKind.DEPLOYMENT
WEB: Final = ObjectKey("shop", "web")
INTERVAL: Final = timedelta(minutes=1)
SETTLED: Final = SETTLING.total_seconds()
MISSING: Final = "Deployment shop/web cannot be restarted: it does not exist."
DENIED: Final = "Deployment shop/web: the operator's service account may not get deployments."


def restart_of(name: str = "web", kind: WorkloadKind = DEPLOYMENT) -> Restart:
    return Restart(kind=kind, name=name, min_interval=INTERVAL)


class RecordedRestarts(RecordedEvents):
    """What would be counted and logged."""

    def __init__(self) -> None:
        super().__init__()
        self.restarts: list[StatusRestart] = []

    def workload_restarted(self, vault_secret: VaultSecretMeta, entry: StatusRestart) -> None:
        self.restarts.append(entry)


@dataclass
class Reconciles:
    """The reconciles of one VaultSecret, and what is kept from one to the next."""

    clock: Clock = field(default_factory=Clock)
    kube: FakeKube = field(init=False)
    restarts: tuple[Restart, ...] = (restart_of(),)
    status: VaultSecretStatus = field(default_factory=VaultSecretStatus)
    events: list[Event] = field(default_factory=list)
    recorder: RecordedRestarts = field(default_factory=RecordedRestarts)

    def __post_init__(self) -> None:
        self.kube = FakeKube(now=self.clock)

    def vault_secret(self, interval: timedelta) -> VaultSecret:
        return a_vault_secret(status=self.status, restart=self.restarts, refresh_interval=interval)

    async def reconcile(self, *, changes: bool = False, interval: timedelta = timedelta(minutes=2)) -> Rollouts:
        """Reconcile once, with or without a change of the content."""
        now = self.clock()
        changed = now if changes else self.status.content_change_time
        rollouts = await restart_workloads(
            self.kube, self.recorder, self.vault_secret(interval), changed=changed, now=now
        )
        self.status = VaultSecretStatus(content_change_time=changed, restarts=rollouts.restarts)
        self.events += rollouts.events
        return rollouts

    async def change(self, *names: str) -> Rollouts:
        """Change the content while these workloads are an hour old; return what follows once that has settled."""
        for name in names:
            self.kube.make_workload(DEPLOYMENT, ObjectKey("shop", name))
        await self.reconcile()
        self.clock.turn(3600)
        await self.reconcile(changes=True)
        self.clock.turn(SETTLED)
        return await self.reconcile()


@pytest.fixture
def vsec() -> Reconciles:
    return Reconciles()


async def test_a_change_restarts_a_workload_and_reports_it(vsec: Reconciles) -> None:
    rollouts = await vsec.change("web")

    now = vsec.clock()
    assert vsec.kube.restarts == [(DEPLOYMENT, WEB, now)]
    assert rollouts == Rollouts(
        restarts=(StatusRestart(kind=DEPLOYMENT, name="web", at=now),),
        events=(Event("Normal", "Restarted", "Restarted Deployment web, since the content of Secret db has changed."),),
        requeue_after=None,
    )
    assert vsec.recorder.restarts == list(rollouts.restarts)


async def test_a_restart_waits_until_the_change_has_settled(vsec: Reconciles) -> None:
    vsec.kube.make_workload(DEPLOYMENT, WEB)
    await vsec.reconcile()
    vsec.clock.turn(3600)

    rollouts = await vsec.reconcile(changes=True)

    assert (rollouts.requeue_after, vsec.kube.calls.total()) == (SETTLED, 0)


async def test_the_api_server_is_not_called_while_nothing_changes(vsec: Reconciles) -> None:
    await vsec.change("web")
    calls = vsec.kube.calls.total()
    vsec.clock.turn(86400)

    rollouts = await vsec.reconcile()

    assert (rollouts.requeue_after, vsec.kube.calls.total()) == (None, calls)


async def test_a_restart_that_is_missing_in_the_status_is_not_repeated(vsec: Reconciles) -> None:
    vsec.kube.make_workload(DEPLOYMENT, WEB)
    await vsec.reconcile()
    vsec.clock.turn(3600)
    await vsec.reconcile(changes=True)
    vsec.clock.turn(SETTLED)
    before = vsec.status
    await vsec.reconcile()
    restarted_at, vsec.status = vsec.clock(), before
    vsec.clock.turn(3600)

    rollouts = await vsec.reconcile()

    assert len(vsec.kube.restarts) == 1
    assert rollouts == Rollouts((StatusRestart(kind=DEPLOYMENT, name="web", at=restarted_at),), (), None)


async def test_the_creation_of_the_secret_restarts_nothing(vsec: Reconciles) -> None:
    vsec.kube.make_workload(DEPLOYMENT, WEB)
    vsec.clock.turn(3600)

    rollouts = await vsec.reconcile()

    assert (rollouts.requeue_after, vsec.kube.calls.total()) == (None, 0)
    assert rollouts.restarts == (StatusRestart(kind=DEPLOYMENT, name="web", at=vsec.clock()),)


async def test_a_second_change_waits_for_the_minimum_interval(vsec: Reconciles) -> None:
    await vsec.change("web")
    first = vsec.clock()
    vsec.clock.turn(5)
    await vsec.reconcile(changes=True)
    vsec.clock.turn(SETTLED)

    rollouts = await vsec.reconcile()

    assert rollouts.requeue_after == 45.0
    vsec.clock.turn(45.0)
    await vsec.reconcile()
    assert vsec.kube.restarts == [(DEPLOYMENT, WEB, first), (DEPLOYMENT, WEB, first + INTERVAL)]


async def test_each_workload_has_its_own_kind(vsec: Reconciles) -> None:
    vsec.restarts = tuple(restart_of("same", kind) for kind in WorkloadKind)
    for kind in WorkloadKind:
        vsec.kube.make_workload(kind, ObjectKey("shop", "same"))

    await vsec.change()

    assert [kind for kind, _, _ in vsec.kube.restarts] == list(WorkloadKind)


async def test_a_workload_that_is_not_named_any_more_is_forgotten(vsec: Reconciles) -> None:
    await vsec.change("web")
    vsec.restarts = ()

    rollouts = await vsec.reconcile()

    assert rollouts == Rollouts((), (), None)


async def test_a_missing_workload_is_reported_once_and_read_again(vsec: Reconciles) -> None:
    first = await vsec.change()
    vsec.clock.turn(120)
    second = await vsec.reconcile()

    assert [entry.problem for entry in first.restarts] == [MISSING]
    assert first.events == (Event("Warning", "RestartFailed", MISSING),)
    assert (second.restarts, second.events, second.requeue_after) == (first.restarts, (), 120.0)
    assert vsec.recorder.restarts == [*first.restarts, *second.restarts]


async def test_a_workload_that_failed_is_read_again_within_minutes_however_long_the_refresh_interval_is(
    vsec: Reconciles,
) -> None:
    await vsec.change()

    rollouts = await vsec.reconcile(interval=timedelta(days=1))

    assert rollouts.requeue_after == MAX_RETRY


async def test_a_missing_workload_that_is_created_after_the_change_is_up_to_date(vsec: Reconciles) -> None:
    await vsec.change()
    vsec.clock.turn(60)
    vsec.kube.make_workload(DEPLOYMENT, WEB)

    rollouts = await vsec.reconcile()

    assert vsec.kube.restarts == []
    assert rollouts == Rollouts((StatusRestart(kind=DEPLOYMENT, name="web", at=vsec.clock()),), (), None)


async def test_a_failure_of_one_workload_does_not_affect_the_others(vsec: Reconciles) -> None:
    vsec.restarts = restart_of("gone"), restart_of("web")

    rollouts = await vsec.change("web")

    assert [entry.problem is None for entry in rollouts.restarts] == [False, True]
    assert [event.reason for event in rollouts.events] == ["RestartFailed", "Restarted"]


async def test_a_denied_restart_is_reported_and_made_later(vsec: Reconciles) -> None:
    vsec.kube.fail(SyncError(Reason.CLUSTER_UNAVAILABLE, DENIED))
    denied = await vsec.change("web")
    vsec.kube.fail(None)

    later = await vsec.reconcile()

    assert [entry.problem for entry in denied.restarts] == [DENIED]
    assert [entry.problem for entry in later.restarts] == [None]
    assert len(vsec.kube.restarts) == 1


async def test_the_same_failure_is_not_reported_again_for_another_change(vsec: Reconciles) -> None:
    first = await vsec.change()
    settling = await vsec.reconcile(changes=True)
    vsec.clock.turn(SETTLED)
    second = await vsec.reconcile()

    assert settling.restarts == second.restarts == first.restarts
    assert [event.reason for event in vsec.events] == ["RestartFailed"]


async def test_nothing_is_reported_of_a_vaultsecret_whose_namespace_is_being_deleted(vsec: Reconciles) -> None:
    vsec.kube.fail(ObjectGone(Reason.CLUSTER_UNAVAILABLE, "Deployment shop/web: its namespace is gone."))

    with pytest.raises(ObjectGone):
        await vsec.change("web")


class Busy(FakeKube):
    """An API server where another controller changes a workload between our read and our restart."""

    async def restart_workload(self, kind: WorkloadKind, key: ObjectKey, workload: Workload, *, at: datetime) -> bool:
        self.touch_workload(kind, key)
        return await super().restart_workload(kind, key, workload, at=at)


async def test_a_workload_that_is_changed_at_the_same_time_is_read_again_in_a_moment(vsec: Reconciles) -> None:
    vsec.kube = Busy(now=vsec.clock)

    rollouts = await vsec.change("web")

    assert (rollouts.requeue_after, rollouts.events, vsec.recorder.restarts) == (CONFLICT_RETRY, (), [])
    assert [entry.problem for entry in rollouts.restarts] == [None]


def two_on_one_cluster() -> tuple[Reconciles, Reconciles]:
    """Return two VaultSecrets that name the same workload."""
    clock = Clock()
    first, second = Reconciles(clock), Reconciles(clock)
    second.kube = first.kube
    first.kube.make_workload(DEPLOYMENT, WEB)
    return first, second


async def test_vaultsecrets_that_rotate_together_share_a_restart() -> None:
    first, second = two_on_one_cluster()
    for vsec in (first, second):
        await vsec.reconcile()
    first.clock.turn(3600)
    await first.reconcile(changes=True)
    first.clock.turn(3)
    await second.reconcile(changes=True)
    first.clock.turn(SETTLED)

    events = [event.reason for vsec in (first, second) for event in (await vsec.reconcile()).events]

    assert events == ["Restarted"]
    assert len(first.kube.restarts) == 1
    assert second.status.restarts == first.status.restarts


async def run_changes(changes: Iterable[tuple[float, int]]) -> tuple[list[datetime], list[datetime], int]:
    """Let two VaultSecrets change the content of one workload, each after so many seconds, and then let an hour pass.

    Returns the times of the changes and of the restarts, and how many calls the reconciles after that hour took.
    """
    both = two_on_one_cluster()
    clock, kube = both[0].clock, both[0].kube
    clock.turn(60)
    for vsec in both:
        await vsec.reconcile()
    timers: dict[int, datetime] = {}

    async def reconcile(number: int, *, changes: bool = False) -> None:
        requeue_after = (await both[number].reconcile(changes=changes)).requeue_after
        timers.pop(number, None)
        if requeue_after is not None:
            timers[number] = clock() + timedelta(seconds=requeue_after)

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
    calls = kube.calls.total()
    for number in range(2):
        await reconcile(number)
    return changed, [restart.at for restart in kube.restarts], kube.calls.total() - calls


@given(st.lists(st.tuples(st.floats(0, 200), st.integers(0, 1)), max_size=12))
def test_every_change_is_rollouts_by_a_restart_and_none_comes_without_one_or_too_soon(
    changes: list[tuple[float, int]],
) -> None:
    changed, restarts, calls_at_rest = asyncio.run(run_changes(changes))

    assert all(any(restart > change for restart in restarts) for change in changed)
    for earlier, restart in itertools.pairwise([START, *restarts]):
        assert any(earlier <= change <= restart - SETTLING for change in changed), "nothing had changed since"
    assert all(later - earlier >= INTERVAL for earlier, later in itertools.pairwise(restarts))
    assert calls_at_rest == 0
