"""`python -m bench certificates`: what a process for certificates costs: its start, its memory, and each request."""

import argparse
import asyncio
import time
from typing import Final

from bench import machine
from bench.figures import Figure, Report
from tests.unit.vaultsync.render.authorities import a_line, in_pkcs12
from vaultsync.adapters.certificates.workers import CertificateWorkers
from vaultsync.render.certificate_files import certificate_files
from vaultsync.render.certificate_requests import CertificateRequest

LINE: Final = a_line("ec", between=1)
REQUEST: Final = [CertificateRequest("x", in_pkcs12(LINE[0].key, [one.certificate for one in LINE]))]
"""An EC key, whose check is quick, an intermediate and a root."""


def run(arguments: list[str]) -> int:
    """Measure; there are no thresholds."""
    parser = argparse.ArgumentParser(prog="python -m bench certificates", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few requests: to try it, not to cite it")
    parser.add_argument("--write", action="store_true", help="put the figures into bench/README.md")
    options = parser.parse_args(arguments)
    conditions = "A PKCS#12 file with an EC key and three certificates; on"
    with Report.of_a_run("certificates", conditions, quick=options.quick, write=options.write) as report:
        asyncio.run(_measure(report, starts=2 if options.quick else 10, requests=20 if options.quick else 500))
    return 0


async def _measure(report: Report, *, starts: int, requests: int) -> None:
    report.section("The first certificate")
    firsts, usages = zip(*[await _first() for _ in range(starts)], strict=True)
    report.add(Figure("request → files, with the start of a process", firsts, "s"))
    report.add(Figure("processor time of the process", [usage.cpu for usage in usages], "s"))
    report.add(Figure("memory of the process", [usage.memory for usage in usages], "MB"))
    report.section("Each further certificate")
    workers = CertificateWorkers()
    await workers.convert("shop", REQUEST)
    report.add(Figure("request → files", [await _seconds(workers) for _ in range(requests)], "s"))
    (process,) = workers.processes
    report.add(Figure(f"memory of the process after {requests} of them", [machine.usage_of(process).memory], "MB"))
    await workers.aclose()
    report.add(Figure("the same within the operator's process", [_direct_seconds() for _ in range(requests)], "s"))


async def _first() -> tuple[float, machine.Usage]:
    workers = CertificateWorkers()
    seconds = await _seconds(workers)
    (process,) = workers.processes
    usage = machine.usage_of(process)
    await workers.aclose()
    return seconds, usage


async def _seconds(workers: CertificateWorkers) -> float:
    start = time.perf_counter()
    await workers.convert("shop", REQUEST)
    return time.perf_counter() - start


def _direct_seconds() -> float:
    start = time.perf_counter()
    certificate_files(REQUEST)
    return time.perf_counter() - start
