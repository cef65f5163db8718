"""The machine that makes up stories, step by step; what may happen is told by `story`, and how it ends by `peace`."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.convergence.peace import find_peace
from tests.convergence.story import TAMPERINGS, Story
from tests.convergence.wish import ASPECTS, NAMES, TARGETS
from tests.stage import Stage
from tests.unit.vaultsync.world import World

names = st.sampled_from(["db-password", *NAMES])
starts = st.sampled_from([None, timedelta(minutes=5), timedelta(minutes=50)])
lasts = st.sampled_from([None, timedelta(days=5), timedelta(days=14, hours=9, seconds=17), timedelta(days=99)])
changes = st.sampled_from([(aspect, value) for aspect, values in ASPECTS.items() for value in values])


def event(**strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """A rule after which, most of the time, the operator polls the vault and acts: what nobody sees proves little."""

    def decorate(happen: Callable[..., None]) -> Any:  # noqa: ANN401 - Hypothesis makes of it what it likes
        def step(self: "Convergence", then: int | None, **drawn: object) -> None:
            happen(self, **drawn)
            if then is not None:
                self.live(self.story.operator(self.story.world.poll(then)))

        step.__name__ = happen.__name__
        return rule(then=st.sampled_from([None, 1, 70, 700]), **strategies)(step)  # type: ignore[call-overload]  # none of them is called target

    return decorate


class Convergence(RuleBasedStateMachine):
    """Whatever happens, targets hold what was right at some moment; and a healthy world finds its peace."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.failed = False
        self.story = Story(self.live(self.make_world()))

    @abstractmethod
    async def make_world(self) -> Stage:
        """Make the world of a story; its vault is empty, and the operator runs and has heard of nothing."""

    def live(self, deed: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - what comes of it is the caller's business
        """Run a piece of the story; after a failure there is no peace to be found."""
        try:
            return self.runner.run(deed)
        except BaseException:
            self.failed = True
            raise

    def teardown(self) -> None:
        try:
            if not self.failed:
                self.live(find_peace(self.story))
        finally:
            self.runner.run(self.story.world.aclose())
            self.runner.close()

    @initialize()
    def begin(self) -> None:
        self.live(self.story.begin())

    # the vault

    @event(name=names, starts=starts, lasts=lasts)
    def a_secret_is_rotated(self, name: str, starts: timedelta | None, lasts: timedelta | None) -> None:
        self.story.rotate(name, starts=starts, lasts=lasts)

    @event(name=names, enabled=st.booleans())
    def a_secret_is_disabled_or_enabled(self, name: str, enabled: bool) -> None:
        self.story.safe.enable(name, enabled=enabled)

    @event(name=names)
    def a_secret_is_deleted(self, name: str) -> None:
        self.story.delete(name)

    @event(name=names, for_good=st.booleans())
    def a_deleted_secret_is_recovered_or_purged(self, name: str, for_good: bool) -> None:
        (self.story.safe.purge if for_good else self.story.safe.recover)(name)

    @event()
    def most_secrets_vanish(self) -> None:
        self.story.most_vanish()

    @event()
    def most_secrets_return(self) -> None:
        self.story.most_return()

    @event()
    def a_person_releases_the_brake(self) -> None:
        self.story.release()

    @event(permission=st.sampled_from(["list", "get"]), given=st.booleans())
    def a_permission_is_taken_or_given_back(self, permission: str, given: bool) -> None:
        vault = self.story.world.vault
        (vault.allow if given else vault.deny)(permission)

    @event(door=st.booleans(), firewall=st.booleans())
    def the_vault_goes_away_or_comes_back(self, door: bool, firewall: bool) -> None:
        vault = self.story.world.vault
        (vault.open_door if door else vault.close_door)()
        (vault.open_firewall if firewall else vault.close_firewall)()

    @event(calls=st.integers(1, 3), throttled=st.booleans())
    def the_vault_fails_or_throttles(self, calls: int, throttled: bool) -> None:
        self.story.failures_to_come += calls
        if throttled:
            self.story.world.vault.throttle(calls, retry_after=20)
        else:
            self.story.world.vault.fail(calls)

    # the cluster

    @event(how=st.sampled_from(sorted(TAMPERINGS)))
    def the_target_is_tampered_with(self, how: str) -> None:
        self.story.tamper(how)

    @event()
    def the_target_is_deleted(self) -> None:
        self.story.delete_target()

    @event()
    def a_strangers_secret_takes_the_targets_place(self) -> None:
        self.story.put_a_strangers()

    @event(away=st.booleans())
    def the_cluster_goes_away_or_comes_back(self, away: bool) -> None:
        self.story.world.cut_off(away=away)

    @event()
    def the_answer_to_a_write_gets_lost(self) -> None:
        self.story.world.lose_answer()

    # the VaultSecret

    @event(change=changes)
    def the_manifest_is_changed(self, change: tuple[str, object]) -> None:
        self.story.ask(**dict([change]))

    @event(name=st.sampled_from(TARGETS))
    def the_target_is_renamed(self, name: str) -> None:
        self.story.ask(target=name)

    @event(heard=st.booleans())
    def the_vaultsecret_is_deleted_and_made_anew(self, heard: bool) -> None:
        self.live(self.story.make_anew(heard=heard))

    # the operator

    @rule(seconds=st.sampled_from([0, 1, 11, 70, 700, 2000, 90000]))
    def time_goes_by_and_the_vault_is_polled(self, seconds: int) -> None:
        self.live(self.story.operator(self.story.world.poll(seconds)))

    @rule(seconds=st.sampled_from([0, 1, 70, 2000]))
    def time_goes_by_without_a_poll(self, seconds: int) -> None:
        self.live(self.story.operator(self.story.pass_by(seconds)))

    @rule()
    def the_operator_restarts(self) -> None:
        self.live(self.story.operator(self.story.world.restart()))


class ConvergenceInMemory(Convergence):
    """The cluster is in memory, and its watches end whenever the story wants it."""

    world: World

    async def make_world(self) -> World:
        self.world = World()
        # What every such world's vault holds is in no book.
        self.world.vault.delete("db-password")
        self.world.vault.purge("db-password")
        await self.world.start([])
        return self.world

    @event(forgetful=st.booleans())
    def the_watches_end(self, forgetful: bool) -> None:
        (self.world.cluster.forget_history if forgetful else self.world.cluster.end_watches)()
