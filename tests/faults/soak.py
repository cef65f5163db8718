"""`python -m tests.faults.soak`: faults, rotations and kills for minutes, by a seed; the checker reads every write.

Some worlds, each with a vault, a login and an operator of its own, go through episodes: something breaks, users act and
the operator is killed meanwhile, it is mended, and all targets must be right within a minute. One world has two
operators, and what breaks there is the one that leads: no other may write, by the API server's audit log. The schedule
comes from the seed alone. The report has no value of a secret. The exit code is 1 after a violation.
"""

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple

from tests.controlplane.build import TOOLS, ensure_tools
from tests.e2e.operators import RunningOperator
from tests.emulator.client import ROOT, Emulator
from tests.faults.checker import shows_a_value
from tests.faults.fault import Fault, all_faults
from tests.faults.harness import BROKEN_SECONDS, JournaledCluster, World
from tests.faults.instance import Instance
from tests.faults.report import Figures, Resources, table
from tests.faults.resource_limits import open_files
from tests.faults.users import WEIGHTS, Users

BUILD: Final = ROOT / "build" / "soak"
_WORLDS: Final = 3
"""Those with one operator; another world has two."""

_ACTIONS: Final = 20
_KILLS: Final = (0, 4, 8)
"""In one episode; without kills an operator must also do well with what it remembers."""

_RIGHT_SECONDS: Final = 60.0
"""All targets must be right so soon after the mending."""

_QUIET_EVERY: Final = 5
"""The episodes after which it must become quiet."""

_QUIET_SECONDS: Final = 22.0
"""Without a write: two polls."""

_BOUNDS: Final = Resources(mebibytes=256.0, files=256, threads=64)
"""An operator that goes beyond them leaks: it is killed often, but not always."""

_LONGEST_VIOLATION: Final = 20_000
_ADDING: Final = threading.Lock()
_MEBIBYTE: Final = 1024.0


class Moment(NamedTuple):
    """Something that happens in an episode: an action of users, or `kill`."""

    after: float
    what: str
    choice: float


@dataclass(frozen=True, slots=True)
class Episode:
    """What breaks, and what happens meanwhile, in the order of time."""

    number: int
    fault: Fault
    moments: Sequence[Moment]

    def __str__(self) -> str:
        happens = " ".join(f"{moment.what}@{moment.after:.1f}" for moment in self.moments)
        return f"episode {self.number}, {self.fault}: {happens}"


def episodes(seed: str, faults: Sequence[Fault]) -> Iterator[Episode]:
    """The schedule of one world, without end: each fault comes once before one comes again."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    order: list[Fault] = []
    for number in count(1):
        order = order or chance.sample(faults, len(faults))
        fault = order.pop()
        happening = chance.choices(list(WEIGHTS), weights=list(WEIGHTS.values()), k=_ACTIONS)
        # What befalls one process ends with it.
        happening += ["kill"] * (0 if fault.layer in {"process", "leader"} else chance.choice(_KILLS))
        moments = [Moment(chance.uniform(0, BROKEN_SECONDS), what, chance.random()) for what in happening]
        yield Episode(number, fault, sorted(moments))


class Soak:
    """The episodes of one world."""

    def __init__(self, world: World, instances: Sequence[Instance], figures: Figures) -> None:
        self._world = world
        self._instances = instances
        self._figures = figures
        self._users = Users(world)
        self._log_read: Counter[Path] = Counter()

    def attempt(self, episode: Episode) -> None:
        """Go through an episode; what is not as it must be is a violation."""
        try:
            self._go_through(episode)
        except AssertionError as error:
            self._figures.violations.append(f"{episode}\n{error}"[:_LONGEST_VIOLATION])

    def _go_through(self, episode: Episode) -> None:
        """Break, act, mend, and check."""
        with episode.fault.during(self._world):
            began = time.monotonic()
            for moment in episode.moments:
                time.sleep(max(0.0, began + moment.after - time.monotonic()))
                self._happen(moment)
        mended = time.monotonic()
        self._figures.episodes += 1
        for instance in self._instances:
            if not instance.running.is_running:
                self._figures.violations.append(f"{episode}\nthe operator ended by itself")
                instance.kill()
                instance.start(wait=False)
        recovery = self._world.await_right(since=mended)
        self._figures.recoveries.setdefault(str(episode.fault), []).append(recovery)
        if recovery > _RIGHT_SECONDS:
            self._figures.violations.append(f"{episode}\nall was right after {recovery:.0f} s")
        self._check(episode)

    def _happen(self, moment: Moment) -> None:
        if moment.what == "kill":
            (instance,) = self._instances
            instance.kill()
            instance.start(wait=False)
            self._figures.kills += 1
        else:
            what = moment.what if self._users.act(moment.what, moment.choice) else "refused by the cluster"
            self._figures.events[what] = self._figures.events.get(what, 0) + 1

    def _check(self, episode: Episode) -> None:
        for instance in self._instances:
            self._check_instance(episode, instance)
        if episode.number % _QUIET_EVERY == 0:
            self._world.await_no_write(_QUIET_SECONDS)
        self._world.check()

    def _check_instance(self, episode: Episode, instance: Instance) -> None:
        running = instance.running
        running.await_ready()
        used = resources_of(running)
        self._figures.resources.take(used)
        if not used.within(_BOUNDS):
            self._figures.violations.append(f"{episode}\nthe operator uses too much: {used}")
        shown = shows_a_value(running.get("/metrics").text) or shows_a_value(self._new_lines(instance.log))
        if shown:
            self._figures.violations.append(f"{episode}\na value is in a metric or in the log")

    def _new_lines(self, log: Path) -> str:
        with log.open(errors="replace") as lines:
            lines.seek(self._log_read[log])
            text = lines.read()
            self._log_read[log] = lines.tell()
        return text


def resources_of(operator: RunningOperator) -> Resources:
    """What an operator uses."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{operator.pid}/status").read_text().splitlines())
    return Resources(int(status["VmRSS"].split()[0]) / _MEBIBYTE, open_files(operator), int(status["Threads"]))


class _Kind(NamedTuple):
    """A kind of world: how its operators are started, and what befalls them."""

    instances: Callable[[World], AbstractContextManager[Sequence[Instance]]]
    faults: Sequence[Fault]


@contextmanager
def _one(world: World) -> Iterator[Sequence[Instance]]:
    with world.instance() as instance:
        yield [instance]


_ALL: Final = [fault for fault in all_faults() if fault.soak]
_SINGLE: Final = _Kind(_one, [fault for fault in _ALL if fault.layer != "leader"])
_PAIR: Final = _Kind(World.pair, [fault for fault in _ALL if fault.layer == "leader"])


def soak(seed: int, minutes: float) -> Figures:
    """Run all worlds until the time is over, or until something is wrong in one of them."""
    figures = Figures(seed, minutes)
    over = threading.Event()
    clock = threading.Timer(minutes * 60, over.set)
    clock.start()
    tools = ensure_tools(os.environ, sys.stderr, TOOLS)  # noqa: TID251 - where programs are kept is the caller's choice
    with (
        tempfile.TemporaryDirectory(prefix="vaultsync-soak-") as folder,
        JournaledCluster.start(tools, Path(folder)) as cluster,
        ThreadPoolExecutor(_WORLDS + 1) as pool,
    ):
        worlds = {**{f"{seed}/{number}": _SINGLE for number in range(_WORLDS)}, f"{seed}/pair": _PAIR}
        run = partial(_soak_world, cluster, over, figures)
        runs = [pool.submit(run, name, kind) for name, kind in worlds.items()]
        for each in runs:
            each.result()
    clock.cancel()
    return figures


def _soak_world(cluster: JournaledCluster, over: threading.Event, total: Figures, seed: str, kind: _Kind) -> None:
    figures = Figures(total.seed, total.minutes)
    with Emulator.start(cluster.folder / seed.replace("/", "-")) as emulator:
        world = World.in_cluster(cluster, emulator)
        try:
            with kind.instances(world) as instances:
                world.settle(pages=2)
                run = Soak(world, instances, figures)
                for episode in episodes(seed, kind.faults):
                    if over.is_set():
                        break
                    _say(f"world {seed}: {episode}")
                    run.attempt(episode)
                    if figures.violations:
                        over.set()
        finally:
            # What breaks the soak itself ends it, too.
            over.set()
            figures.writes_checked = world.checker.checked
            with _ADDING:
                total.add(figures)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Read the command line, run, and write the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    arguments = parser.parse_args()
    _say(f"seed {arguments.seed}; the same again: make soak SEED={arguments.seed}")
    figures = soak(arguments.seed, arguments.minutes)
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "report.json").write_text(figures.to_json())
    _say(table(figures))
    for violation in figures.violations:
        _say(f"\nVIOLATION in {violation}")
    return 1 if figures.violations else 0


if __name__ == "__main__":
    sys.exit(main())
