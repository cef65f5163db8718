"""`python -m bench searches`: what a vault of 25,000 secrets costs, of which three are used, or by many searches."""

import argparse
import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.figures import Figure, Report
from bench.machine import peak_memory
from bench.site import Site
from bench.steps import Counts, Steps, last_of, now
from bench.testbed import LATENCY, NAMESPACE, kubernetes, pages_of, testbed, value_of
from bench.vaultsync import Vaultsync
from bench.watched import Stalls, stalls_in

_STALL: Final = 0.25


@dataclass(frozen=True, slots=True)
class Size:
    """The number of secrets in the vault, and of searches; `refresh` is in seconds."""

    secrets: int = 25_000
    searches: int = 100
    found: int = 50
    """What each search finds."""

    refresh: int = 60
    repeated: int = 3
    """How often all is measured, each time from the beginning."""


QUICK: Final = Size(secrets=500, searches=10, found=20, refresh=10, repeated=2)


def run(arguments: list[str]) -> int:
    """Measure; returns the exit code, 1 if a figure does not have its required value."""
    parser = argparse.ArgumentParser(prog="python -m bench searches", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small vault: to try it, not to cite it")
    parser.add_argument("--write", action="store_true", help="put the figures into bench/README.md")
    options = parser.parse_args(arguments)
    size = QUICK if options.quick else Size()
    conditions = (
        f"A vault of {size.secrets:,} secrets, {1000 * LATENCY:.0f} ms per call; `refreshInterval: {size.refresh}s`; "
        f"control plane, vault and operator together, with Kubernetes {kubernetes()}, on"
    )
    with (
        Report.of_a_run("searches", conditions, quick=options.quick, write=options.write) as report,
        tempfile.TemporaryDirectory() as folder,
    ):
        for _ in range(size.repeated):
            asyncio.run(_measure(size, report, Path(folder) / "stalls"))
    return 1 if report.failures else 0


async def _measure(size: Size, report: Report, file: Path) -> None:
    async with testbed(Vaultsync(stalls=file), secrets=size.secrets, refresh=size.refresh) as ready:
        steps = Steps(ready)
        await steps.start()
        report.section("Three VaultSecrets, a secret each")
        with stalls_in(file) as stalls:
            await steps.sync(ready.secrets[:3], 120)
            used = await _poll(steps, "get", 3)
        _add_poll(report, used)
        report.add(Figure("values read, per poll", [used.calls["get"]], must_be=3))
        _add_stalls(report, stalls)
        report.section(f"{size.searches} VaultSecrets that search for {size.found} secrets each")
        with stalls_in(file) as stalls:
            started = now()
            searches = [_search(ready.site, size, index) for index in range(size.searches)]
            targets = [ready.arrivals.of(name, data) for name, data, _ in searches]
            await ready.api.create_all(ready.subject.path(NAMESPACE), [manifest for *_, manifest in searches])
            last = await last_of(targets, 600)
            used = await _poll(steps, "list", pages_of(size.secrets))
        report.add(Figure("first post → all Secrets there", [last - started], "s"))
        _add_poll(report, used)
        report.add(Figure("values read, per poll", [used.calls["get"]], must_be=0))
        report.add(Figure("memory", [used.usage.memory], "MB"))
        report.add(Figure("most memory", [peak_memory(ready.program.pid)], "MB"))
        _add_stalls(report, stalls)


async def _poll(steps: Steps, kind: str, calls: int) -> Counts:
    """Return the costs of a poll in which nothing changes."""
    await steps.polls(1, kind, calls)
    before = await steps.counts()
    await steps.polls(1, kind, calls)
    return (await steps.counts()).since(before)


def _add_stalls(report: Report, stalls: Stalls) -> None:
    report.add(Figure("longest stall of the event loop", [stalls.longest], "s", goal=_STALL))
    report.add(Figure("longest by its own work alone", [stalls.own], "s"))


def _add_poll(report: Report, used: Counts) -> None:
    report.add(Figure("calls to list the vault, per poll", [used.calls["list"]]))
    report.add(Figure("CPU, per poll", [used.usage.cpu], "s"))


def _search(site: Site, size: Size, index: int) -> tuple[str, Mapping[str, str], Mapping[str, Any]]:
    """Return the name of a VaultSecret, the data of its Secret, and its manifest."""
    # `secret-0012?` finds ten, so `found` of them need some searches in one VaultSecret.
    tens = [(index * size.found // 10 + each) % (size.secrets // 10) for each in range(size.found // 10)]
    patterns = [f"secret-{ten:04}?" for ten in tens]
    data = {secret: value_of(secret) for ten in tens for secret in (f"secret-{ten * 10 + one:05}" for one in range(10))}
    name = f"search-{index}"
    manifest = {
        "apiVersion": "vaultsync.dev/v1alpha1",
        "kind": "VaultSecret",
        "metadata": {"name": name},
        "spec": {
            "vaultUrl": site.vault.url,
            "refreshInterval": f"{site.refresh}s",
            "dataFrom": [{"find": {"names": pattern}} for pattern in patterns],
        },
    }
    return name, data, manifest
