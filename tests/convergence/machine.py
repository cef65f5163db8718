"""The state machine that generates scenarios, step by step; the actions are in `scenario`."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.clocks import FrozenLoop
from tests.convergence.converged import check_converges
from tests.convergence.desired_spec import ASPECTS, BULK, NAMES, TARGETS
from tests.convergence.memory_harness import NONE, GatedHarness, Order
from tests.convergence.scenario import TAMPERINGS, TRIGGERS, Scenario
from tests.harness import Harness
from tests.vault_faults import READS, Kind

names = st.sampled_from(["db-password", *NAMES])
starts = st.sampled_from([None, timedelta(minutes=5), timedelta(minutes=50)])
lasts = st.sampled_from([None, timedelta(days=5), timedelta(days=14, hours=9, seconds=17), timedelta(days=99)])
data, sources = st.sampled_from(ASPECTS["data"]), st.sampled_from(ASPECTS["sources"])
triggers = st.sampled_from([None, *TRIGGERS])
secrets = st.sampled_from([[*NAMES, *BULK], *([name] for name in NAMES)])
kinds = st.sampled_from([frozenset({Kind.LIST}), READS, frozenset(Kind)])
changes = st.sampled_from([(aspect, value) for aspect, values in ASPECTS.items() for value in values])


def orders_until(*untils: str | None, least: int = 0, most: int = 40) -> st.SearchStrategy[Order]:
    """Orders that end early before one of these calls, or do not."""
    calls, seeds = st.integers(least, most), st.integers(0, 999)
    return st.builds(Order, calls=calls, seed=seeds, until=st.sampled_from(untils))


orders = orders_until(None, "ensure_current", "apply_target", "patch_status")


def event(**strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """Make a rule after which, in most cases, time passes and the operator runs."""

    def decorate(happen: Callable[..., None]) -> Any:  # noqa: ANN401 - Hypothesis decides what it returns
        def step(self: "Convergence", then: int | None, order: Order, **drawn: object) -> None:
            happen(self, **drawn)
            if then is not None:
                self.advance(then, order)

        step.__name__ = happen.__name__
        return rule(then=st.sampled_from([None, 1, 70, 700]), order=orders, **strategies)(step)  # type: ignore[call-overload]  # none of them is called target

    return decorate


def fault(**strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """Make a rule of a fault of reads, with something before or after it that makes the operator read."""

    def decorate(happen: Callable[..., None]) -> Any:  # noqa: ANN401 - Hypothesis decides what it returns
        def step(self: "Convergence", before: str | None, after: str | None, **drawn: object) -> None:
            if before is not None:
                self.scenario.trigger(before)
            happen(self, **drawn)
            if after is not None:
                self.advance(1)
                self.scenario.trigger(after)

        step.__name__ = happen.__name__
        return event(before=triggers, after=triggers, **strategies)(step)

    return decorate


class Convergence(RuleBasedStateMachine):
    """Targets always hold contents that were correct at some moment; once all is healthy, they converge."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = self.make_runner()
        self.failed = False
        self.scenario = Scenario(self.live(self.make_harness()))

    def make_runner(self) -> asyncio.Runner:
        return asyncio.Runner()

    @abstractmethod
    async def make_harness(self) -> Harness:
        """Return a harness whose vault is empty; the operator runs and has observed nothing."""

    def live(self, action: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - what it returns is the caller's business
        """Run a part of the scenario; after a failure convergence is not checked."""
        try:
            return self.runner.run(action)
        except BaseException:
            self.failed = True
            raise

    def advance(self, seconds: int, order: Order = NONE) -> None:
        """Let that time pass; the vault is polled, and the operator acts."""
        self.live(self.scenario.run(self.scenario.harness.poll(seconds)))

    def teardown(self) -> None:
        try:
            if not self.failed:
                self.live(check_converges(self.scenario))
        finally:
            self.runner.run(self.scenario.harness.aclose())
            self.runner.close()

    @initialize(data=data, sources=sources, deletes=st.booleans())
    def begin(self, data: str, sources: str, deletes: bool) -> None:
        self.live(self.scenario.begin(data=data, sources=sources, deletes=deletes))

    # the vault

    @event(name=names, starts=starts, lasts=lasts)
    def a_secret_is_rotated(self, name: str, starts: timedelta | None, lasts: timedelta | None) -> None:
        self.scenario.rotate(name, starts=starts, lasts=lasts)

    @event(name=names, enabled=st.booleans())
    def a_secret_is_disabled_or_enabled(self, name: str, enabled: bool) -> None:
        self.scenario.vault.enable(name, self.scenario.harness.vault_time(), enabled=enabled)

    @event(name=names)
    def a_secret_is_deleted(self, name: str) -> None:
        self.scenario.delete(name)

    @event(name=names, purged=st.booleans())
    def a_deleted_secret_is_recovered_or_purged(self, name: str, purged: bool) -> None:
        vault = self.scenario.vault
        (vault.purge if purged else vault.recover)(name, self.scenario.harness.vault_time())

    @event(count=st.sampled_from([len(BULK), 1, 5]))
    def many_secrets_vanish(self, count: int) -> None:
        self.scenario.bulk_vanish(count)

    @event()
    def missing_secrets_return(self) -> None:
        self.scenario.bulk_return()

    @event()
    def a_user_releases_deletions(self) -> None:
        self.scenario.release_bulk()

    @event(permission=st.sampled_from(["list", "get"]), given=st.booleans())
    def a_permission_is_removed_or_restored(self, permission: str, given: bool) -> None:
        vault = self.scenario.harness.vault
        (vault.allow if given else vault.deny)(permission)

    @event(door=st.booleans(), firewall=st.booleans())
    def the_vault_becomes_unreachable_or_reachable(self, door: bool, firewall: bool) -> None:
        vault = self.scenario.harness.vault
        (vault.open_door if door else vault.close_door)()
        (vault.open_firewall if firewall else vault.close_firewall)()

    @event(calls=st.integers(1, 3), throttled=st.booleans())
    def the_vault_fails_or_throttles(self, calls: int, throttled: bool) -> None:
        self.scenario.failures_to_come += calls
        if throttled:
            self.scenario.harness.vault.throttle(calls, retry_after=20)
        else:
            self.scenario.harness.vault.fail(calls)

    # the cluster

    @event(how=st.sampled_from(sorted(TAMPERINGS)))
    def the_target_is_tampered_with(self, how: str) -> None:
        self.scenario.tamper(how)

    @event()
    def the_target_is_deleted(self) -> None:
        self.scenario.delete_target()

    @event(consents=st.booleans())
    def a_foreign_secret_takes_the_targets_name(self, consents: bool) -> None:
        self.scenario.put_foreign_secret(consents=consents)

    @event(away=st.booleans())
    def the_cluster_becomes_unreachable_or_reachable(self, away: bool) -> None:
        self.scenario.harness.cut_off(away=away)

    @event()
    def the_answer_to_a_write_is_lost(self) -> None:
        self.scenario.harness.lose_answer()

    # the VaultSecret

    @event(change=changes)
    def the_manifest_is_changed(self, change: tuple[str, object]) -> None:
        self.scenario.apply(**dict([change]))

    @event(name=st.sampled_from(TARGETS))
    def the_target_is_renamed(self, name: str) -> None:
        self.scenario.apply(target=name)

    @event(observed=st.booleans())
    def the_vaultsecret_is_deleted_and_created_again(self, observed: bool) -> None:
        self.live(self.scenario.recreate(observed=observed))

    # the operator

    @rule(seconds=st.sampled_from([0, 1, 11, 70, 700, 2000, 90000]), order=orders)
    def time_passes_and_the_vault_is_polled(self, seconds: int, order: Order) -> None:
        self.advance(seconds, order)

    @rule(seconds=st.sampled_from([0, 1, 70, 2000]))
    def time_passes_without_a_poll(self, seconds: int) -> None:
        self.live(self.scenario.run(self._pass_time(seconds)))

    async def _pass_time(self, seconds: float) -> None:
        await self.scenario.harness.pass_time(seconds)
        await self.scenario.harness.drain()

    @rule()
    def the_operator_restarts(self) -> None:
        self.live(self.scenario.run(self.scenario.harness.restart()))


class MemoryConvergence(Convergence):
    """With an API server in memory, whose watches end at any time."""

    harness: GatedHarness

    def make_runner(self) -> asyncio.Runner:
        return asyncio.Runner(loop_factory=FrozenLoop)

    async def make_harness(self) -> GatedHarness:
        self.harness = GatedHarness()
        self.harness.vault.delete("db-password")
        self.harness.vault.purge("db-password")
        await self.harness.start([])
        return self.harness

    @initialize(data=data, sources=sources, deletes=st.booleans())
    def begin(self, data: str, sources: str, deletes: bool) -> None:
        super().begin(data, sources, deletes)
        self.harness.kube.before_write = self.scenario.invariants.check_write

    @event(expired=st.booleans())
    def the_watch_of_targets_ends(self, expired: bool) -> None:
        (self.harness.kube.forget_history if expired else self.harness.kube.end_watches)()

    @event(how=st.sampled_from([None, "label", *sorted(TAMPERINGS)]), resends=st.booleans())
    def an_answer_is_lost_while_somebody_else_writes(self, how: str | None, resends: bool) -> None:
        self.harness.lose_answer_and(partial(self.scenario.write_meanwhile, how), resends=resends)

    @event()
    def another_controller_labels_the_target(self) -> None:
        self.scenario.label_target()

    @event(seconds=st.sampled_from([0, 120, -120, 7200, -7200]))
    def the_operators_clock_jumps(self, seconds: int) -> None:
        self.harness.clock.error = timedelta(seconds=seconds)

    # what the vault answers

    @fault(some=secrets, lag=st.sampled_from([30, 300]), lasts=st.sampled_from([30, 240]), kinds=kinds)
    def a_replica_lags(self, some: list[str], lag: int, lasts: int, kinds: frozenset[Kind]) -> None:
        self.scenario.lag(some, lag=timedelta(seconds=lag), lasts=timedelta(seconds=lasts), kinds=kinds)

    @fault(ahead=st.sampled_from([600, -600, 3000, 9000, -9000]), responses=st.sampled_from([1, 3, 9]))
    def responses_are_misdated(self, ahead: int, responses: int) -> None:
        self.harness.faults.skew(timedelta(seconds=ahead), responses=responses)

    @fault(some=secrets, listings=st.integers(1, 3))
    def listings_skip_secrets(self, some: list[str], listings: int) -> None:
        self.harness.faults.skip(some, listings=listings)

    @fault(name=names, kind=st.sampled_from([Kind.GET, Kind.GET_VERSION]), reads=st.integers(1, 2))
    def a_secret_is_not_found(self, name: str, kind: Kind, reads: int) -> None:
        self.harness.faults.not_found(name, kind=kind, reads=reads)

    @fault(name=names)
    def a_list_of_versions_is_incomplete(self, name: str) -> None:
        self.harness.faults.skip_versions(name, listings=1)

    @event()
    def the_watch_of_vaultsecrets_lists_again(self) -> None:
        self.live(self._list_again())

    async def _list_again(self) -> None:
        self.harness.watch.list_again()


class InterleavedConvergence(MemoryConvergence):
    """Calls, responses and events are held, and released in any order, while other actions happen."""

    @initialize(data=data, sources=sources, deletes=st.booleans())
    def begin(self, data: str, sources: str, deletes: bool) -> None:
        super().begin(data, sources, deletes)
        self.harness.gate.close()

    def advance(self, seconds: int, order: Order = NONE) -> None:
        self.live(self.scenario.run(self._advance(seconds, order)))

    async def _advance(self, seconds: int, order: Order) -> None:
        await self.harness.poll(seconds)
        await self.harness.release(order)

    @rule(order=orders)
    def calls_are_answered(self, order: Order) -> None:
        self.live(self.scenario.run(self.harness.release(order)))

    @rule(
        first=st.integers(1, 5),
        order=orders_until("ensure_current", "ensure_current", "apply_target", None, least=20, most=60),
        then=orders,
    )
    def more_secrets_vanish_while_the_first_are_read(self, first: int, order: Order, then: Order) -> None:
        self.scenario.make_healthy()
        self.scenario.bulk_return()
        self.all_calls_are_answered()
        self.scenario.bulk_vanish(first)
        self.advance(2, order)
        self.scenario.bulk_vanish()
        self.advance(2, then)

    @rule()
    def all_calls_are_answered(self) -> None:
        self.live(self.scenario.run(self._answer_all()))

    async def _answer_all(self) -> None:
        await self.harness.open_gate()
        await self.harness.poll()
        self.harness.gate.close()

    def teardown(self) -> None:
        try:
            if not self.failed:
                self.live(self.scenario.run(self.harness.open_gate()))
        finally:
            super().teardown()
