"""Measures kvsecrets against the vendor's azure-keyvault-secrets, side by side: one emulator, one run, in turns.

Each library is in a separate environment, with its requirements and nothing else; each measurement is a separate
process (`client_worker`), so that import and memory are of one library alone. Both are used as their documents show
it; nothing is tuned for either.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import azure.identity

from bench import machine
from bench.environments import Environment
from bench.figures import HERE, rewrite, text_of
from tests.emulator.client import Emulator

OURS, THEIRS = "kvsecrets", "azure-keyvault-secrets"
PACKAGES = {OURS: ["./operator/kvsecrets[asyncio]"], THEIRS: ["azure-keyvault-secrets", "aiohttp"]}
"""The packages of each; the vendor's client for asyncio requires aiohttp."""
TWINS = ("threads", "asyncio")
"""The parts of the table."""
SUBJECTS = tuple((name, twin) for twin in TWINS for name in (OURS, THEIRS))
SCOPE = "https://localhost/.default"
OUT = HERE / "out" / "clients.json"

Sample = dict[str, Any]
Samples = dict[tuple[str, str], list[Sample]]
"""By installation and twin, one for each round."""


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a measurement."""

    gets: int = 2000
    at_once: int = 50
    secrets: int = 1000
    rounds: int = 5


QUICK = Size(gets=300, secrets=200, rounds=1)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: which figure, in which unit, and where it is in a sample."""

    what: str
    unit: str
    path: Sequence[str]

    def of(self, samples: Sequence[Sample]) -> list[float]:
        """Return the figure of each round."""
        return [self._read(sample) for sample in samples]

    def _read(self, sample: Sample) -> float:
        figure: Any = sample
        for key in self.path:
            figure = figure[key]
        return float(figure)


def rows(size: Size) -> list[Row]:
    """Return the lines of the table, in order."""
    return [
        Row("a get, one by one", "ms", ("one_by_one", "wall")),
        Row("… of which processor time of the client", "ms", ("one_by_one", "cpu")),
        Row(f"a get, {size.at_once} at once", "ms", ("at_once", "wall")),
        Row("… of which processor time of the client", "ms", ("at_once", "cpu")),
        Row(f"listing {size.secrets:,} secrets", "ms", ("listing", "wall")),
        Row("… of which processor time of the client", "ms", ("listing", "cpu")),
        Row("import and make a client", "ms", ("start", "wall")),
        Row("… of which processor time", "ms", ("start", "cpu")),
        Row("the first get: connection, challenge, login", "ms", ("first", "wall")),
        Row("… of which processor time of the client", "ms", ("first", "cpu")),
        Row("memory with one client", "MB", ("memory",)),
        Row("memory at most, until here", "MB", ("peak",)),
        Row("memory with 100 clients more, each used", "MB", ("many",)),
    ]


def run(arguments: list[str]) -> int:
    """Measure and print; the exit code is always 0, since no figure here has a threshold."""
    parser = argparse.ArgumentParser(prog="python -m bench clients", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of everything: to try it, not to cite it")
    parser.add_argument("--write", action="store_true", help="put the figures into bench/README.md")
    options = parser.parse_args(arguments)
    size = QUICK if options.quick else Size()
    with tempfile.TemporaryDirectory() as folder:
        environments = {name: Environment.make(Path(folder) / name, wanted) for name, wanted in PACKAGES.items()}
        installed = {name: environment.installed() for name, environment in environments.items()}
        samples: Samples = {subject: [] for subject in SUBJECTS}
        text = ""
        for subject, sample in _measure(size, environments, Path(folder)):
            samples[subject].append(sample)
            print(f"  {', '.join(subject)}: {sample['one_by_one']['wall']:.2f} ms a get", flush=True)
            if len({len(rounds) for rounds in samples.values()}) == 1:  # a whole round, so that none is lost
                text = f"{_table(size, samples)}\n\n{_conditions(installed, len(samples[subject]))}"
                _write_json(size, samples, installed)
                if options.write and not options.quick:
                    rewrite("clients", text)
    print(f"\n{text}")
    return 0


def _measure(
    size: Size, environments: dict[str, Environment], folder: Path
) -> Iterator[tuple[tuple[str, str], Sample]]:
    names = [f"secret-{number:04}" for number in range(size.secrets)]
    with Emulator.start(folder) as emulator:
        emulator.vault("shop").set_many({"name": name, "value": "correct horse battery staple"} for name in names)
        task = {
            "url": emulator.vault_url("shop"),
            "names": names,
            "gets": size.gets,
            "at_once": size.at_once,
            **_token(emulator),
        }
        # The first round only warms the disk's cache and the compiled files.
        for round_ in range(size.rounds + 1):
            for subject in SUBJECTS if round_ % 2 else SUBJECTS[::-1]:
                sample = _sample(emulator, environments[subject[0]], {**task, "twin": subject[1]})
                if round_ > 0:
                    yield subject, sample


def _token(emulator: Emulator) -> dict[str, object]:
    with azure.identity.ClientSecretCredential(
        emulator.tenant_id,
        emulator.client_id,
        emulator.client_secret,
        authority=emulator.login_url,
        connection_verify=str(emulator.ca_file),
        disable_instance_discovery=True,
    ) as credential:
        token = credential.get_token(SCOPE)
    return {"token": token.token, "expires_on": token.expires_on}


def _sample(emulator: Emulator, environment: Environment, task: dict[str, object]) -> Sample:
    done = subprocess.run(
        [environment.python, "-P", HERE / "client_worker.py"],
        env=emulator.environment(),
        input=json.dumps(task),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    sample: Sample = json.loads(done.stdout)
    return sample


def _table(size: Size, samples: Samples) -> str:
    lines = [f"| | {OURS} | {THEIRS} | ratio |", "|---|---|---|---|"]
    for twin in TWINS:
        lines.append(f"| **{twin}** | | | |")
        for row in rows(size):
            ours, theirs = (row.of(samples[name, twin]) for name in (OURS, THEIRS))
            ratio = statistics.median(theirs) / statistics.median(ours)
            cells = [row.what, text_of(ours, row.unit), text_of(theirs, row.unit), f"{ratio:.2f}"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _conditions(installed: dict[str, list[str]], rounds: int) -> str:
    when = f"Measured on {datetime.now(UTC):%Y-%m-%d}, in {rounds} rounds, on {machine.description()}"
    lines = [f"{when}. Installed were:", ""]
    return "\n".join([*lines, *(f"- {name}: {', '.join(pins)}" for name, pins in installed.items())])


def _write_json(size: Size, samples: Samples, installed: dict[str, list[str]]) -> None:
    OUT.parent.mkdir(exist_ok=True)
    document = {
        "measuredAt": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.description(),
        "gets": size.gets,
        "at_once": size.at_once,
        "secrets": size.secrets,
        "installed": installed,
        "samples": [{"installation": name, "twin": twin, "rounds": rounds} for (name, twin), rounds in samples.items()],
    }
    OUT.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
