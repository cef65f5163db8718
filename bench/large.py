"""The operator at its design load: ten thousand VaultSecrets, and its growth up to there."""

import asyncio
import os
import signal
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from bench.apiserver import Arrivals, events_of, writes_of
from bench.figures import HERE, Figure, Report, quantile
from bench.growth import Growth, Point
from bench.machine import peak_memory, usage_of
from bench.others import OTHER, Others, never_rotated
from bench.steps import Counts, Steps, last_of, now
from bench.subject import Program
from bench.testbed import LATENCY, kubernetes, pages_of, testbed
from bench.vaultsync import Vaultsync
from bench.watched import Stalls, stalls_in
from vaultsync.settings import Settings

_FOREIGN: Final = "bench-foreign"
"""The namespace of Secrets that are no VaultSecret's."""

_PLOT: Final = "![Cost against the number of VaultSecrets; dashed: in proportion to it](growth.svg)"
_BUDGET: Final = Settings.model_fields["vault_calls_per_10s"].default
"""Calls to a vault that the operator allows itself in ten seconds; as many are saved up at first."""

_STALL: Final = 0.25
_WARM: Final = 10.0
"""Seconds after which a ready replica that stands by has done all that belongs to its start."""

_PROGRAMS: Final = {
    "kube-apiserver": "the API server",
    "etcd": "etcd",
    "tests.emulator": "the vault",
    "bench": "the benchmark",
}
"""What the other programs of the testbed are called."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured; `refresh` and `minute` are in seconds."""

    numbers: Sequence[int] = (1000, 3000, 10_000)
    refresh: int = 30
    minute: int = 60
    rotations: int = 100
    samples: int = 100
    foreign: int = 20_000
    repeated: int = 3
    """How often each step is measured."""


QUICK: Final = Size(numbers=(50, 100, 200), refresh=10, minute=15, rotations=10, samples=5, foreign=500, repeated=2)


@dataclass(frozen=True, slots=True)
class Restarted:
    """The medians of the time and the CPU until the operator was ready, and of its memory after a minute."""

    ready: float
    cpu: float
    memory: float


class StepsFailed(ExceptionGroup[Exception]):
    """Some steps failed; the others were measured nonetheless."""


def run(*, quick: bool, write: bool) -> int:
    """Measure; returns the exit code, 1 if a figure does not have its required value.

    Raises:
        StepsFailed: Not all could be measured.
    """
    size = QUICK if quick else Size()
    conditions = (
        f"One vault, a secret each; {1000 * LATENCY:.0f} ms per call to the vault; `refreshInterval: {size.refresh}s`; "
        f"all together, with Kubernetes {kubernetes()}, on"
    )
    with Report.of_a_run("operator-large", conditions, quick=quick, write=write) as report:
        large = Large(size, report, HERE / "out" / "growth.svg" if quick or not write else HERE / "growth.svg")
        asyncio.run(large.measure())
    return 1 if report.failures else 0


@dataclass(slots=True)
class Large:
    """One run: first syncs of growing numbers, and all other steps with the largest."""

    size: Size
    report: Report
    plot: Path
    growth: Growth = field(default_factory=Growth)
    stalls: Path = field(init=False)
    """Where the operator writes its stalls, with the largest number."""

    anywhere: list[Stalls] = field(default_factory=list)
    """The stalls of each run with the largest number."""

    _bound: str = ""
    """What binds the first sync of the largest number."""

    _errors: list[Exception] = field(default_factory=list)

    async def measure(self) -> None:
        """Measure everything that can be measured.

        Raises:
            StepsFailed: That is not all.
        """
        *fewer, most = self.size.numbers
        for number in fewer:
            for _ in range(self.size.repeated):
                await self.attempt(partial(self._fewer, number))
        for left in reversed(range(self.size.repeated)):
            with suppress(StepsFailed):
                await self._design_load(most, goes_on=left == 0)
        if self.anywhere:
            self.report.section(f"Anywhere in the above, with {most:,} VaultSecrets")
            longest = max(each.longest for each in self.anywhere)
            self._add_stalls(Stalls(longest, own=max(each.own for each in self.anywhere)))
        if self._errors:
            raise StepsFailed("steps failed", self._errors)

    async def _fewer(self, number: int) -> None:
        async with testbed(Vaultsync(), secrets=number, refresh=self.size.refresh) as ready:
            await self._first_sync(Steps(ready))

    async def _design_load(self, number: int, *, goes_on: bool) -> None:
        """Measure a first sync of the largest number, and then, if it goes on, all other steps.

        Raises:
            StepsFailed: Those of these steps that failed.
        """
        before = len(self._errors)
        with tempfile.TemporaryDirectory() as folder:
            self.stalls = Path(folder) / "stalls"
            subject = Vaultsync(stalls=self.stalls)
            async with testbed(subject, secrets=number, refresh=self.size.refresh) as ready:
                steps = Steps(ready)
                for namespace in (OTHER, _FOREIGN):
                    ready.site.plane.kubectl("create", "namespace", namespace)
                with stalls_in(self.stalls) as stalls:
                    self.anywhere.append(stalls)
                    await self.attempt(partial(self._first_sync_beside_others, steps))
                    if goes_on:
                        await self.attempt(self._growth)
                        for step in (self._polls, self._rotations, self._at_rest, self._restarts, self._takeover):
                            await self.attempt(partial(step, steps))
                if failed := self._errors[before:]:  # so that the logs are kept
                    raise StepsFailed("steps failed", failed)

    async def attempt(self, step: Callable[[], Awaitable[None]]) -> None:
        """Do a step; if it fails, the table says so, and the next ones are done all the same."""
        try:
            await step()
        except Exception as error:  # noqa: BLE001  of whatever kind, the other figures are worth having
            self.report.fail(error)
            self._errors.append(error)

    async def _first_sync(self, steps: Steps, others: Others | None = None) -> None:
        """Post all to a running operator, maybe while others change objects, and add its costs to the report."""
        ready = steps.testbed
        number = len(ready.secrets)
        self.report.section(f"{number:,} VaultSecrets posted to a running operator")
        await steps.start()
        before = await steps.settled()
        self._add("memory before", before.usage.memory, "MB")
        targets = steps.targets(ready.secrets)
        before, started = await steps.counts(), now()
        with others.at_work(steps) if others else nullcontext():
            posting = asyncio.create_task(steps.post(ready.secrets))
            seconds = await last_of(targets, 120 + number / 10) - started
        there = (await steps.counts()).since(before)
        if others:
            await others.done()
        settled = (await steps.settled()).since(before)
        written = number + (len(others.news) + len(others.healed) if others else 0)
        critical = settled.requests.total() - events_of(settled.requests)
        is_large = number >= 10_000
        self._add("first post → all Secrets there", seconds, "s", goal=60 if is_large else None)
        self._add("of which the API server took for the posts", await posting, "s")
        self._add("CPU of the operator until it rests", settled.usage.cpu, "s")
        self._add("CPU of the operator until they are there", there.usage.cpu, "s")
        self._add("requests to the API server, per Secret written", round(settled.requests.total() / written, 2))
        self._add("of which on the critical path: all but events", round(critical / written, 2), goal=3)
        self._add("values read, per Secret written", settled.calls["get"] / written)
        self._add("memory afterwards", settled.usage.memory, "MB", goal=160 if is_large else None)
        self._add("most memory", peak_memory(ready.program.pid), "MB")
        self._bound = self._add_bounds(there)
        requests, calls = settled.requests.total(), settled.calls["get"]
        self.growth.add(number, Point(written, seconds, settled.usage.cpu, settled.usage.memory, requests, calls))

    def _add_bounds(self, used: Counts) -> str:
        """Add how much of what bounds a first sync was used; returns what it used most of."""
        self._add("cores that the operator used", used.usage.cpu / used.at)
        for program, what in _PROGRAMS.items():
            self._add(f"cores that {what} used", used.programs.get(program, 0.0) / used.at)
        cores = os.cpu_count() or 1
        bounds = {
            "the vault's budget": used.calls["get"] / (_BUDGET * (1 + used.at / 10)),
            "the one core that an event loop can use": used.usage.cpu / used.at,
            f"the machine's {cores} cores": sum(used.programs.values()) / used.at / cores,
        }
        self._add("values read from the vault, a second", used.calls["get"] / used.at)
        for what, share in bounds.items():
            self._add(f"share of {what}", round(100 * share), "%")
        binding = max(bounds, key=lambda what: bounds[what])
        return f"{binding}, of which it used {bounds[binding]:.0%}"

    async def _first_sync_beside_others(self, steps: Steps) -> None:
        """The same, while another team posts VaultSecrets and targets are changed."""
        api = steps.testbed.api
        async with Arrivals.watch(api, f"/api/v1/namespaces/{OTHER}/secrets") as arrivals:
            others = Others(arrivals)
            with stalls_in(self.stalls) as stalls:
                await self._first_sync(steps, others)
        self._add_quantiles("meanwhile: VaultSecret of another namespace → Secret", others.news, goal=1)
        self._add_quantiles("meanwhile: Secret changed → healed", others.healed, goal=1)
        self._add_stalls(stalls)
        if others.errors:
            raise StepsFailed("what others waited for did not happen", others.errors)

    async def _polls(self, steps: Steps) -> None:
        """Measure polls while nothing changes."""
        self.report.section("A poll, nothing has changed")
        pages = pages_of(len(steps.testbed.secrets))
        await steps.polls(1, "list", pages)
        for _ in range(self.size.repeated):
            before = await steps.counts()
            with stalls_in(self.stalls) as stalls:
                await steps.polls(1, "list", pages)
            used = (await steps.counts()).since(before)
            self._add("calls to list the vault", used.calls["list"], must_be=pages)
            self._add("values read", used.calls["get"], must_be=0)
            self._add("writes to the API server", writes_of(used.requests), must_be=0)
            self._add("CPU", used.usage.cpu, "s", goal=1)
            self._add("memory", used.usage.memory, "MB")
            self._add_stalls(stalls)

    async def _rotations(self, steps: Steps) -> None:
        """Rotate secrets, spread over an interval, and again others."""
        size = self.size
        self.report.section(f"{size.rotations} secrets rotated, spread over an interval of {size.refresh} s")
        step = len(steps.testbed.secrets) // size.rotations
        assert step % 2 == 0, "others use every second secret"
        for first in range(0, 2 * size.repeated, 2):
            await self._rotated(steps, steps.testbed.secrets[first::step][: size.rotations])

    async def _rotated(self, steps: Steps, chosen: Sequence[str]) -> None:
        """Rotate these secrets; what the next poll reads once more counts, too."""
        size = self.size
        before = await steps.counts()
        times = []
        with stalls_in(self.stalls) as stalls:
            for secret in chosen:
                times.append(asyncio.create_task(steps.rotated(secret)))
                await asyncio.sleep(size.refresh / size.rotations)
            seconds = await asyncio.gather(*times)
            await steps.polls(1, "list", pages_of(len(steps.testbed.secrets)))
        used = (await steps.settled()).since(before)
        self._add_quantiles("new version → Secret", seconds, goal=size.refresh + 2)
        self._add("values read", used.calls["get"], goal=size.rotations)
        self._add("Secrets applied", used.requests["APPLY secrets"], must_be=size.rotations)
        self._add_stalls(stalls)

    async def _at_rest(self, steps: Steps) -> None:
        """Change, delete and add single objects."""
        samples = self.size.samples
        self.report.section(f"{samples} single objects, one by one, at rest")
        for number in range(self.size.repeated):
            secrets = never_rotated(steps)[number * samples : (number + 1) * samples]
            self._add_quantiles("Secret changed → healed", [await steps.tampered(each) for each in secrets], goal=0.2)
            await steps.forgotten()
            self._add_quantiles("Secret deleted → back", [await steps.deleted(each) for each in secrets])
            news = [await steps.newcomer(each, f"new-{each}") for each in secrets]
            self._add_quantiles("VaultSecret posted → Secret", news)

    async def _restarts(self, steps: Steps) -> None:
        """Restart with everything in place, and again in a cluster that has many other Secrets."""
        synced = usage_of(steps.testbed.program.pid).memory
        alone = await self._restart(steps, "The operator restarts")
        self._add("memory, beside that before the first restart", alone.memory / synced, "times", goal=1)
        content = {"stringData": {"content": "x" * 500}}
        secrets = ({"metadata": {"name": f"foreign-{index:05}"}, **content} for index in range(self.size.foreign))
        await steps.testbed.api.create_all(f"/api/v1/namespaces/{_FOREIGN}/secrets", secrets)
        title = f"The operator restarts in a cluster with {self.size.foreign:,} Secrets of others"
        beside = await self._restart(steps, title)
        self._add("start → ready, beside that without them", beside.ready / alone.ready, "times", goal=1.1)
        self._add("CPU for it, beside that without them", beside.cpu / alone.cpu, "times", goal=1.1)
        self._add("memory, beside that without them", beside.memory / alone.memory, "times", goal=1.05)

    async def _restart(self, steps: Steps, title: str) -> Restarted:
        """Restart some times, and measure the first minute of each."""
        program, size = steps.testbed.program, self.size
        self.report.section(title)
        restarted: list[tuple[float, float, float]] = []
        for _ in range(size.repeated):
            before = await steps.settled()
            program.close()
            started = now()
            with stalls_in(self.stalls) as stalls:
                ready = await steps.start()
                cpu = usage_of(program.pid).cpu
                await steps.wait(started + size.minute - now())
            after = await steps.counts()
            used = after.since(before)
            self._add("start → ready", ready, "s", goal=10)
            self._add("CPU for it", cpu, "s")
            self._add("values read", used.calls["get"], must_be=0)
            self._add("writes to the API server", writes_of(used.requests), must_be=0)
            self._add("lists of VaultSecrets, page by page", used.requests["LIST vaultsecrets"])
            self._add(f"CPU in the first {size.minute} seconds", after.usage.cpu, "s", goal=12)
            self._add("memory before", before.usage.memory, "MB")
            self._add("memory", after.usage.memory, "MB")
            self._add("most memory", peak_memory(program.pid), "MB")
            self._add_stalls(stalls)
            restarted.append((ready, cpu, after.usage.memory))
        await steps.settled()
        return Restarted(*map(median, zip(*restarted, strict=True)))

    async def _takeover(self, steps: Steps) -> None:
        """Lose the leader, and measure until another one writes."""
        ready = steps.testbed
        assert isinstance(ready.subject, Vaultsync)
        self.report.section("A second replica stands by")
        target = never_rotated(steps)[0]
        leader, standby = ready.program, ready.subject.replica(ready.site, ready.program.launch.environ, "vaultsync-1")
        with closing(standby):
            for _ in range(self.size.repeated):
                standby.close()
                await self._start_standby(steps, standby)
                await self._standing_by(steps, standby)
            for end, what, goal in ((signal.SIGKILL, "killed", 20), (signal.SIGTERM, "terminated", 2)):
                for _ in range(self.size.repeated):
                    started = now()
                    await asyncio.to_thread(leader.close, end)
                    await steps.tampered(target)
                    self._add(f"leader {what} → the other writes", now() - started, "s", goal=goal)
                    await self._start_standby(steps, leader)
                    leader, standby = standby, leader

    async def _standing_by(self, steps: Steps, standby: Program) -> None:
        """Measure what a standby costs, some time after its start."""
        await steps.wait(self.size.refresh)
        before = usage_of(standby.pid)
        await steps.wait(self.size.refresh)
        usage = usage_of(standby.pid)
        self._add("its memory", usage.memory, "MB")
        self._add("its CPU, a minute", (usage.cpu - before.cpu) * 60 / self.size.refresh, "s")

    async def _start_standby(self, steps: Steps, program: Program) -> None:
        program.start()
        await asyncio.to_thread(program.wait_until_ready)
        await steps.wait(_WARM)

    async def _growth(self) -> None:
        """Compare the largest number with the smallest, and draw the curves."""
        first, last = min(self.size.numbers), max(self.size.numbers)
        self.report.section(f"Growth, {first:,} → {last:,}; a slope of 1 is in proportion")
        for figure in self.growth.slopes(first, last):
            self.report.add(figure)
        self.growth.draw(self.plot)
        self.report.remarks.append(f"The first sync of {last:,} is bound by {self._bound}.")
        self.report.remarks.append(_PLOT)

    def _add_stalls(self, stalls: Stalls) -> None:
        self._add("longest stall of the event loop", stalls.longest, "s", goal=_STALL)
        self._add("longest by its own work alone", stalls.own, "s")

    def _add_quantiles(self, what: str, seconds: Sequence[float], *, goal: float | None = None) -> None:
        self._add(f"{what}, median", quantile(seconds, 0.5), "s")
        self._add(f"{what}, p99", quantile(seconds, 0.99), "s", goal=goal)

    def _add(
        self, what: str, value: float, unit: str = "", *, goal: float | None = None, must_be: float | None = None
    ) -> None:
        self.report.add(Figure(what, [value], unit, goal, must_be))
