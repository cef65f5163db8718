"""`python -m bench grants`: what the decisions of grants add to the CPU time of a first sync and of a poll.

It compares an operator that decides by many grants with one that has all of its decisions at no cost, in turns.
"""

import argparse
import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from unittest.mock import patch

from bench.figures import Figure, Report
from tests.builders import EVERYTHING, VAULT, a_grant, a_granted
from tests.clocks import freeze
from tests.harness import MemoryHarness, entry

GRANTS: Final = 200
"""Grants of the cluster: most of them for other vaults, some for the same one."""

SAME_VAULT: Final = 20


def run(arguments: list[str]) -> int:
    """Measure; there are no thresholds: in memory, a first sync costs a fifth of what it costs with HTTP and TLS."""
    parser = argparse.ArgumentParser(prog="python -m bench grants", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few VaultSecrets: to try it, not to cite it")
    parser.add_argument("--write", action="store_true", help="put the figures into bench/README.md")
    options = parser.parse_args(arguments)
    number, rounds = (100, 3) if options.quick else (1000, 9)
    conditions = f"{number} VaultSecrets, {GRANTS} grants, {SAME_VAULT} of them for their vault, in memory; on"
    with Report.of_a_run("grants", conditions, quick=options.quick, write=options.write) as report:
        shares = asyncio.run(_measure(report, number=number, rounds=rounds))
    print(f"Decisions add {shares[0]:.1%} to a first sync and {shares[1]:.1%} to a poll.")
    return 0


async def _measure(report: Report, *, number: int, rounds: int) -> tuple[float, float]:
    syncs: dict[bool, list[float]] = {True: [], False: []}
    polls: dict[bool, list[float]] = {True: [], False: []}
    await freeze()
    for _ in range(rounds):
        for decides in (False, True):
            with _deciding(decides=decides):
                sync, poll = await _once(number)
            syncs[decides].append(sync)
            polls[decides].append(poll)
    for what, taken in (("first sync", syncs), ("poll", polls)):
        report.section(f"CPU time of a {what}")
        report.add(Figure("with decisions that cost nothing", taken[False], "s"))
        report.add(Figure("with decisions by grants", taken[True], "s"))
    return _share(syncs), _share(polls)


def _share(taken: dict[bool, list[float]]) -> float:
    """Compare the least of each, which other work on the machine has disturbed least."""
    return min(taken[True]) / min(taken[False]) - 1


@contextmanager
def _deciding(*, decides: bool) -> Iterator[None]:
    if decides:
        yield
        return
    granted = a_granted(VAULT)
    places = ("controller.reconcile", "sources.vaultsecrets")
    with (
        patch(f"vaultsync.{places[0]}.decide", lambda *_: granted),
        patch(f"vaultsync.{places[1]}.decide", lambda *_: granted),
    ):
        yield


async def _once(number: int) -> tuple[float, float]:
    """Return the CPU seconds of a first sync, and of a poll after it."""
    harness = MemoryHarness()
    await harness.start([])
    others = [
        a_grant(f"z-{index}", vaultUrl=VAULT if index < SAME_VAULT else f"https://v{index}.vault.azure.net")
        for index in range(GRANTS - 1)
    ]
    await harness.set_grants(a_grant("shop", **{**EVERYTHING, "namespaces": {"names": ["shop"]}}), *others)
    for index in range(number):
        harness.vault.set(f"secret-{index}", "x")
    await harness.pass_time()
    gc.collect()  # of what the round before has left
    begun = time.process_time()
    for index in range(number):
        harness.apply(entry(name=f"secret-{index}"), name=f"db-{index}")
    await harness.drain()
    synced = time.process_time()
    await harness.poll()
    ended = time.process_time()
    assert harness.values(f"db-{number - 1}") == {"password": "x"}
    await harness.aclose()
    return synced - begun, ended - synced
