"""`python -m bench operator`: the cost and latency of the operator, in one run beside others that are named by path."""

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench import first_sync, large
from bench.comparison import Comparison, Size
from bench.external_secrets import ExternalSecrets
from bench.figures import HERE, rewrite, write_json
from bench.subject import Subject
from bench.vaultsync import Release, Vaultsync

FULL: Final = Size(objects=1000, rounds=3)
QUICK: Final = Size(objects=100, rounds=1, refresh=20, minute=20, samples=3)


def run(arguments: list[str]) -> int:
    """Measure; returns the exit code, 1 if something could not be measured: the table says which goals are reached."""
    parser = argparse.ArgumentParser(prog="python -m bench operator", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100 objects, once: to try it, not to cite it")
    parser.add_argument("--large", action="store_true", help="10,000 objects, this checkout alone")
    parser.add_argument("--flamegraph", action="store_true", help="record a first sync of this checkout with py-spy")
    parser.add_argument("--py-spy", metavar="PROGRAM", help="py-spy, if it is not on the path")
    parser.add_argument("--write", action="store_true", help="put the figures into bench/README.md")
    parser.add_argument("--rounds", type=int, default=FULL.rounds, help="how often each is measured")
    parser.add_argument("--previous", type=Path, metavar="WHEEL", help="the wheel of the previous release")
    parser.add_argument("--external-secrets", type=Path, metavar="PROGRAM", help="External Secrets Operator, built")
    parser.add_argument("--external-secrets-crds", type=Path, metavar="FOLDER", help="its CustomResourceDefinitions")
    parser.add_argument("--external-secrets-version", default="", metavar="VERSION", help="its version, for the table")
    options = parser.parse_args(arguments)
    if (options.external_secrets is None) != (options.external_secrets_crds is None):
        parser.error("--external-secrets and --external-secrets-crds belong together")
    if options.flamegraph:
        return first_sync.run(options.py_spy, quick=options.quick, write=options.write)
    if options.large:
        return large.run(quick=options.quick, write=options.write)
    size = QUICK if options.quick else Size(FULL.objects, options.rounds)
    with tempfile.TemporaryDirectory(prefix="vaultsync-release-") as folder:
        peer = options.external_secrets and ExternalSecrets(
            options.external_secrets,
            options.external_secrets_crds,
            f"External Secrets {options.external_secrets_version}".strip(),
        )
        previous = options.previous and Release(options.previous, Path(folder) / "venv")
        subjects: Sequence[Subject] = [each for each in (peer, previous, Vaultsync("this checkout")) if each]
        comparison = Comparison(size, subjects, peer)
        comparison.save = lambda: _save(comparison, quick=options.quick, write=options.write)
        asyncio.run(comparison.run())
    print(f"\n{comparison.text()}")
    return 1 if comparison.failed else 0


def _save(comparison: Comparison, *, quick: bool, write: bool) -> None:
    content = {
        "objects": comparison.size.objects,
        "requests": comparison.requests,
        "figures": comparison.figures,
        "failed": comparison.failed,
    }
    name = "operator-quick" if quick else "operator"
    write_json(HERE / "out" / f"{name}.json", comparison.measured_at, content)
    if write and not quick:
        rewrite("operator", comparison.text())
