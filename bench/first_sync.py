"""Records a first sync with py-spy: a flame graph, and the functions that took most of the CPU time."""

import asyncio
import sys
from datetime import UTC, datetime

from bench import machine
from bench.figures import HERE, rewrite
from bench.flames import NoProfiler, Profile, profiler, recorded
from bench.steps import Steps
from bench.testbed import testbed
from bench.vaultsync import Vaultsync


def run(py_spy: str | None, *, quick: bool, write: bool) -> int:
    """Record; returns the exit code, 1 if there is no py-spy."""
    objects = 100 if quick else 1000
    try:
        profile = asyncio.run(_recorded(objects, profiler(py_spy)))
    except NoProfiler as error:
        print(error, file=sys.stderr)
        return 1
    title = f"{objects:,} VaultSecrets posted to a running operator"
    (HERE / "out").mkdir(exist_ok=True)
    profile.draw(title, HERE / ("out/first-sync.svg" if quick else "first-sync.svg"))
    graph = "[the flame graph](first-sync.svg)"
    text = f"{title}, on {machine.description()}; {datetime.now(UTC):%Y-%m-%d}: {graph}.\n\n{_table(profile)}"
    print(f"\n{text}")
    if write and not quick:
        rewrite("first-sync", text)
    return 0


async def _recorded(objects: int, program: str) -> Profile:
    async with testbed(Vaultsync(), secrets=objects, refresh=600) as ready:
        steps = Steps(ready)
        await steps.start()
        await steps.settled()
        with recorded(ready.program.pid, program) as profile:
            await steps.sync(ready.secrets, 60 + objects / 10)
        return profile


def _table(profile: Profile) -> str:
    lines = ["| CPU time | with all that it calls | package |", "| --- | --- | --- |"]
    for package, own, whole in profile.by_package():
        lines.append(f"| {own:.1%} | {whole:.1%} | `{package}` |")
    lines += ["", "| CPU time | with all that it calls | function |", "| --- | --- | --- |"]
    for frame, own, whole in profile.top(15):
        lines.append(f"| {own:.1%} | {whole:.1%} | `{frame}` |")
    return "\n".join(lines)
