"""The operator at its design load: ten thousand VaultSecrets, and its growth up to there."""

import asyncio
import random
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.apiserver import Arrivals, writes_of
from bench.figures import HERE, Figure, Report, quantile, rewrite
from bench.machine import peak_memory, usage_of
from bench.plots import Panel, draw
from bench.steps import Steps, last_of, now
from bench.testbed import LATENCY, Testbed, data_of, kubernetes, pages_of, testbed
from bench.vaultsync import Vaultsync
from bench.watched import Stalls, stalls_in
from tests.controlplane.cluster import KubectlFailed
from vaultsync.settings import Settings

_OTHER: Final = "bench-other"
"""The namespace of another team."""

_FOREIGN: Final = "bench-foreign"
"""The namespace of Secrets that are no VaultSecret's."""

_PLOT: Final = "![Cost against the number of VaultSecrets; dashed: in proportion to it](growth.svg)"
_BUDGET: Final = Settings.model_fields["vault_calls_per_10s"].default / 10
"""Calls to a vault that the operator allows itself in a second; a burst of ten seconds' worth comes first."""

_STALL: Final = 0.25
_WARM: Final = 5.0
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
    polls: int = 3
    rotations: int = 100
    samples: int = 100
    foreign: int = 20_000


QUICK: Final = Size(numbers=(50, 100, 200), refresh=10, minute=15, polls=2, rotations=10, samples=5, foreign=500)


@dataclass(frozen=True, slots=True)
class Point:
    """What a first sync of so many has cost."""

    seconds: float
    cpu: float
    memory: float
    requests: float


def run(*, quick: bool, write: bool) -> int:
    """Measure; returns the exit code, 1 if a figure does not have its required value."""
    size = QUICK if quick else Size()
    large = Large(size)
    asyncio.run(large.measure())
    name = "operator-large-quick" if quick else "operator-large"
    large.report.write_json(HERE / "out" / f"{name}.json")
    (HERE / "out").mkdir(exist_ok=True)
    large.plot(HERE / ("out/growth.svg" if quick else "growth.svg"))
    print(f"\n{large.report.text()}")
    if write and not quick:
        rewrite("operator-large", f"{_PLOT}\n\n{large.report.text()}")
    return 1 if large.report.failures else 0


@dataclass(slots=True)
class Large:
    """One run: first syncs of growing numbers, and all other steps with the largest."""

    size: Size
    points: dict[int, Point] = field(default_factory=dict)
    report: Report = field(init=False)
    stalls: Path = field(init=False)
    """Where the operator writes its stalls, with the largest number."""

    def __post_init__(self) -> None:
        self.report = Report(
            f"One vault, a secret each; {1000 * LATENCY:.0f} ms per call to the vault; `refreshInterval: "
            f"{self.size.refresh}s`; all together, with Kubernetes {kubernetes()}, on"
        )

    async def measure(self) -> None:
        """Measure everything."""
        *fewer, most = self.size.numbers
        for number in fewer:
            async with testbed(Vaultsync(), secrets=number, refresh=self.size.refresh) as ready:
                await self._first_sync(Steps(ready))
        with tempfile.TemporaryDirectory() as folder:
            self.stalls = Path(folder) / "stalls"
            subject = Vaultsync(stalls=self.stalls)
            async with testbed(subject, secrets=most, refresh=self.size.refresh) as ready:
                await self._design_load(Steps(ready))
        self._growth()

    async def _design_load(self, steps: Steps) -> None:
        for namespace in (_OTHER, _FOREIGN):
            steps.testbed.site.plane.kubectl("create", "namespace", namespace)
        await self._first_sync_beside_others(steps)
        await self._polls(steps)
        await self._rotations(steps)
        await self._at_rest(steps)
        before = await self._restart(steps, "The operator restarts")
        await self._foreign(steps, before)
        await self._takeover(steps)

    def plot(self, file: Path) -> None:
        """Draw the growth."""
        panels = [
            Panel("first post → all there, s", {number: point.seconds for number, point in self.points.items()}),
            Panel("CPU of the operator, s", {number: point.cpu for number, point in self.points.items()}),
            Panel("memory, MB", {number: point.memory for number, point in self.points.items()}),
            Panel("API requests", {number: point.requests for number, point in self.points.items()}),
        ]
        draw(panels, "VaultSecrets posted to a running operator", file)

    async def _first_sync(self, steps: Steps, others: "Others | None" = None) -> None:
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
        synced = number + (len(others.news) if others else 0)
        is_large = number >= 10_000
        self._add("first post → all Secrets there", seconds, "s", goal=60 if is_large else None)
        self._add("of which the API server took for the posts", await posting, "s")
        self._add("CPU of the operator until it rests", settled.usage.cpu, "s")
        self._add("requests to the API server, per VaultSecret", round(settled.requests.total() / synced, 1), goal=3)
        self._add("values read, per VaultSecret", settled.calls["get"] / synced)
        self._add("memory afterwards", settled.usage.memory, "MB", goal=160 if is_large else None)
        self._add("most memory", peak_memory(ready.program.pid), "MB")
        self._add("cores that the operator used", there.usage.cpu / there.at)
        for program, what in _PROGRAMS.items():
            self._add(f"cores that {what} used", there.programs.get(program, 0.0) / there.at)
        self._add("values read from the vault, a second", there.calls["get"] / there.at)
        self._add("of which its budget allows", _BUDGET)
        self.points[number] = Point(seconds, settled.usage.cpu, settled.usage.memory, settled.requests.total())

    async def _first_sync_beside_others(self, steps: Steps) -> None:
        """The same, while another team posts VaultSecrets and targets are changed."""
        api = steps.testbed.api
        async with Arrivals.watch(api, f"/api/v1/namespaces/{_OTHER}/secrets") as arrivals:
            others = Others(arrivals)
            with stalls_in(self.stalls) as stalls:
                await self._first_sync(steps, others)
        self._add_quantiles("meanwhile: VaultSecret of another namespace → Secret", others.news, goal=1)
        self._add_quantiles("meanwhile: Secret changed → healed", others.healed, goal=1)
        self._add_stalls(stalls)

    async def _polls(self, steps: Steps) -> None:
        """Measure polls while nothing changes."""
        self.report.section(f"{self.size.polls} polls, nothing has changed")
        pages = pages_of(len(steps.testbed.secrets))
        await steps.polls(1, "list", pages)
        before = await steps.counts()
        with stalls_in(self.stalls) as stalls:
            await steps.polls(self.size.polls, "list", pages)
        used = (await steps.counts()).since(before)
        self._add("calls to list the vault, per poll", used.calls["list"] / self.size.polls, must_be=pages)
        self._add("values read", used.calls["get"], must_be=0)
        self._add("writes to the API server", writes_of(used.requests), must_be=0)
        self._add("CPU, per poll", used.usage.cpu / self.size.polls, "s", goal=1)
        self._add("CPU, per minute", used.usage.cpu / used.at * 60, "s")
        self._add("memory", used.usage.memory, "MB")
        self._add_stalls(stalls)

    async def _rotations(self, steps: Steps) -> None:
        """Rotate secrets, spread over an interval."""
        size = self.size
        self.report.section(f"{size.rotations} secrets rotated, spread over an interval of {size.refresh} s")
        before = await steps.counts()
        step = len(steps.testbed.secrets) // size.rotations
        assert step % 2 == 0, "others use every second secret"
        chosen = steps.testbed.secrets[::step][: size.rotations]
        times = []
        with stalls_in(self.stalls) as stalls:
            for secret in chosen:
                times.append(asyncio.create_task(steps.rotated(secret)))
                await asyncio.sleep(size.refresh / size.rotations)
            seconds = await asyncio.gather(*times)
        used = (await steps.settled()).since(before)
        self._add_quantiles("new version → Secret", seconds, goal=size.refresh + 2)
        self._add("values read", used.calls["get"], goal=size.rotations)
        self._add("Secrets applied", used.requests["APPLY secrets"], must_be=size.rotations)
        self._add_stalls(stalls)

    async def _at_rest(self, steps: Steps) -> None:
        """Change, delete and add single objects."""
        self.report.section("Single objects, at rest")
        secrets = _never_rotated(steps)[-self.size.samples :]
        self._add_quantiles("Secret changed → healed", [await steps.tampered(each) for each in secrets], goal=0.2)
        await steps.forgotten()
        self._add_quantiles("Secret deleted → back", [await steps.deleted(each) for each in secrets])
        news = [await steps.newcomer(each, f"new-{index}") for index, each in enumerate(secrets)]
        self._add_quantiles("VaultSecret posted → Secret", news)

    async def _restart(self, steps: Steps, title: str) -> tuple[float, float]:
        """Restart with everything in place; returns the seconds until it was ready, and its memory."""
        program = steps.testbed.program
        self.report.section(title)
        before = await steps.settled()
        program.close()
        started = now()
        with stalls_in(self.stalls) as stalls:
            ready = await steps.start()
            await steps.wait(started + self.size.minute - now())
        after = await steps.counts()
        used = after.since(before)
        self._add("start → ready", ready, "s", goal=10)
        self._add("values read", used.calls["get"], must_be=0)
        self._add("writes to the API server", writes_of(used.requests), must_be=0)
        self._add("lists of VaultSecrets, page by page", used.requests["LIST vaultsecrets"])
        self._add(f"CPU in the first {self.size.minute} seconds", after.usage.cpu, "s", goal=12)
        self._add("memory", after.usage.memory, "MB", goal=before.usage.memory)
        self._add("most memory", peak_memory(program.pid), "MB")
        self._add_stalls(stalls)
        return ready, after.usage.memory

    async def _foreign(self, steps: Steps, before: tuple[float, float]) -> None:
        """Restart in a cluster that has many other Secrets."""
        content = {"stringData": {"content": "x" * 500}}
        secrets = ({"metadata": {"name": f"foreign-{index:05}"}, **content} for index in range(self.size.foreign))
        await steps.testbed.api.create_all(f"/api/v1/namespaces/{_FOREIGN}/secrets", secrets)
        title = f"The operator restarts in a cluster with {self.size.foreign:,} Secrets of others"
        ready, memory = await self._restart(steps, title)
        self._add("start → ready, beside that without them", ready / before[0], "times", goal=1.1)
        self._add("memory, beside that without them", memory / before[1], "times", goal=1.05)

    async def _takeover(self, steps: Steps) -> None:
        """Lose the leader, and measure until another one writes."""
        ready = steps.testbed
        assert isinstance(ready.subject, Vaultsync)
        self.report.section("A second replica stands by")
        target = _never_rotated(steps)[0]
        second = ready.subject.replica(ready.site, ready.program.launch.environ, "vaultsync-1")
        with closing(second):
            second.start()
            await asyncio.to_thread(second.wait_until_ready)
            await steps.wait(self.size.refresh)
            before = usage_of(second.pid)
            await steps.wait(self.size.refresh)
            self._add("its memory", usage_of(second.pid).memory, "MB")
            self._add("its CPU, a minute", (usage_of(second.pid).cpu - before.cpu) * 60 / self.size.refresh, "s")
            ready.program.close(signal.SIGKILL)
            started = now()
            await steps.tampered(target)
            self._add("leader killed → the other writes", now() - started, "s", goal=20)
            ready.program.start()
            await asyncio.to_thread(ready.program.wait_until_ready)
            await steps.wait(_WARM)
            second.close()
            started = now()
            await steps.tampered(target)
            self._add("leader terminated → the other writes", now() - started, "s", goal=2)

    def _growth(self) -> None:
        """Compare the largest number with the smallest."""
        first, last = min(self.points), max(self.points)
        few, many = self.points[first], self.points[last]
        self.report.section(f"Growth, {first:,} → {last:,}")
        for what, values in {
            "first post → all Secrets there": (few.seconds, many.seconds),
            "CPU": (few.cpu, many.cpu),
            "memory": (few.memory, many.memory),
            "requests to the API server": (few.requests, many.requests),
        }.items():
            self._add(what, values[1] / values[0], "times", goal=last / first)

    def _add_stalls(self, stalls: Stalls) -> None:
        self._add("longest stall of the event loop", stalls.longest, "s", goal=_STALL)
        self._add("longest by its own work alone", stalls.own, "s")

    def _add_quantiles(self, what: str, seconds: Sequence[float], *, goal: float | None = None) -> None:
        self._add(f"{what}, median", quantile(seconds, 0.5), "s")
        self._add(f"{what}, p99 of {len(seconds):,}", quantile(seconds, 0.99), "s", goal=goal)

    def _add(
        self, what: str, value: float, unit: str = "", *, goal: float | None = None, must_be: float | None = None
    ) -> None:
        self.report.add(Figure(what, [value], unit, goal, must_be))


@dataclass(slots=True)
class Others:
    """What happens during a first sync: new VaultSecrets of another namespace, and changed targets; in seconds."""

    arrivals: Arrivals
    news: list[float] = field(default_factory=list)
    healed: list[float] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @contextmanager
    def at_work(self, steps: Steps) -> Iterator[None]:
        """Begin something now and then while the block lasts."""
        beginning = asyncio.create_task(self._begin(steps))
        try:
            yield
        finally:
            beginning.cancel()

    async def done(self) -> None:
        """Wait until all has ended that has begun."""
        await asyncio.gather(*self._tasks)

    async def _begin(self, steps: Steps) -> None:
        chooser, changed = random.Random(1), set[str]()  # noqa: S311  no secret is made of it
        for index, secret in enumerate(_never_rotated(steps)):
            self._tasks.add(asyncio.create_task(self._newcomer(steps.testbed, f"new-{index}", secret)))
            there = sorted({*steps.testbed.arrivals.arrived} - changed)
            if index % 2 and there:
                changed.add(target := chooser.choice(there))
                self._tasks.add(asyncio.create_task(self._tampered(steps, target)))
            await asyncio.sleep(0.5)

    async def _newcomer(self, ready: Testbed, name: str, secret: str) -> None:
        arrival, started = self.arrivals.of(name, data_of(secret)), now()
        await ready.api.request("POST", ready.subject.path(_OTHER), ready.manifest(secret, name, _OTHER))
        self.news.append(await arrival - started)

    async def _tampered(self, steps: Steps, secret: str) -> None:
        with suppress(KubectlFailed):  # the operator wrote it at the same time
            self.healed.append(await steps.tampered(secret))


def _never_rotated(steps: Steps) -> Sequence[str]:
    """Every second secret."""
    return steps.testbed.secrets[1::2]
