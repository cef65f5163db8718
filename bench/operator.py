"""`python -m bench operator`: the cost and latency of the operator, next to the figures of another operator."""

import argparse
import asyncio
import sys
from typing import Final

from bench import machine
from bench.figures import HERE, Report, rewrite
from bench.steps import Steps
from bench.testbed import LATENCY, Size, testbed

FULL: Final = Size("operator", objects=1000, refresh=60)
QUICK: Final = Size("operator-quick", objects=100, refresh=10, polls=2, samples=5)
LARGE: Final = Size("operator-large", objects=10_000, refresh=120, polls=2)

PEER: Final = "External Secrets Operator"


def run(arguments: list[str]) -> int:
    """Measure; returns the exit code, 1 if a figure does not have its required value."""
    parser = argparse.ArgumentParser(prog="python -m bench operator", description=__doc__)
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", dest="size", action="store_const", const=QUICK, help="100 VaultSecrets, 2 minutes")
    sizes.add_argument("--large", dest="size", action="store_const", const=LARGE, help="10,000 VaultSecrets")
    parser.add_argument("--write", action="store_true", help="put the figures into bench/README.md")
    options = parser.parse_args(arguments)
    size: Size = options.size or FULL
    report = asyncio.run(_measure(size))
    report.write_json(HERE / "out" / f"{size.name}.json")
    text = f"{report.conditions} {machine.description()}; {report.measured_at:%Y-%m-%d}.\n\n{report.table()}"
    print(f"\n{text}")
    if options.write and size is not QUICK:
        rewrite(size.name, text)
    for figure in report.failures:
        print(f"{figure.what}: {figure.text}, but must be {figure.must_be:,g}", file=sys.stderr)
    return 1 if report.failures else 0


async def _measure(size: Size) -> Report:
    report = Report(
        f"{size.objects:,} VaultSecrets over one vault, a secret each; {1000 * LATENCY:.0f} ms per call to the vault; "
        f"`refreshInterval: {size.refresh}s`; control plane, vault and operator together on",
        peer=PEER if size is FULL else "",
    )
    async with testbed(size) as ready:
        steps = Steps(ready, report)
        await steps.apply_to_running()
        await steps.first_sync()
        await steps.idle()
        await steps.rotate()
        await steps.rotate_over_time()
        await steps.tamper()
        await steps.restart()
    return report
