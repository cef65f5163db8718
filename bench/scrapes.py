"""`python -m bench scrapes`: the duration of a scrape of `/metrics`, and how long it blocks the event loop."""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from prometheus_client import CollectorRegistry

from bench.figures import Figure, Report
from vaultsync.adapters.http_server import serve_metrics
from vaultsync.adapters.metrics import Recorder, Scrapes, Snapshot, VaultSnapshot, measure_lag
from vaultsync.api.v1alpha1 import VaultSecret

VAULT: Final = "https://shop.vault.azure.net"
FORMATS: Final = {
    "OpenMetrics, which Prometheus requests": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
    "Prometheus' text": "text/plain",
}
_PROBE_SECONDS: Final = 0.005
_REPEATED: Final = 3


def run(arguments: list[str]) -> int:
    """Measure; there are no thresholds."""
    parser = argparse.ArgumentParser(prog="python -m bench scrapes", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few scrapes: to try it, not to cite it")
    parser.add_argument("--write", action="store_true", help="put the figures into bench/README.md")
    options = parser.parse_args(arguments)
    conditions = "A scrape by another program, compressed; scraper and operator together on"
    with Report.of_a_run("scrapes", conditions, quick=options.quick, write=options.write) as report:
        for objects in (1000, 10_000):
            for _ in range(1 if options.quick else _REPEATED):
                asyncio.run(_measure(objects, report, times=3 if options.quick else 20))
    return 0


async def _measure(objects: int, report: Report, *, times: int) -> None:
    now = datetime.now(UTC)
    vault_secrets = tuple(_vault_secret(number, now) for number in range(objects))
    state = Snapshot(vault_secrets, {VAULT: VaultSnapshot(up=True, polled_at=now, listed=objects)})
    recorder = Recorder(CollectorRegistry(), version="0")
    scrapes = Scrapes(recorder, state=lambda: state, per_vault_secret=True)
    async with serve_metrics("127.0.0.1", 0, scrapes.render) as port:
        for name, accept in FORMATS.items():
            report.section(f"{objects:,} VaultSecrets, a key with an expiry date each; {name}")
            scraped, lags = await _scraped(port, times, accept)
            report.add(Figure("a scrape", scraped["seconds"], "s"))
            report.add(Figure("longest stall of the event loop meanwhile", [max(lags)], "s"))
            report.add(Figure("size", [scraped["size"] / 1e6], "MB"))
            report.add(Figure("of which is transferred", [scraped["sent"] / 1e6], "MB"))


async def _scraped(port: int, times: int, accept: str) -> tuple[Mapping[str, Any], list[float]]:
    """Scrape from another process; returns what it measured, and how late the event loop was meanwhile."""
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "bench.scraper", str(port), str(times), accept)
    scraper = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    lags: list[float] = []
    probe = asyncio.create_task(measure_lag(lags.append, every=_PROBE_SECONDS))
    printed, _ = await scraper.communicate(b"")
    probe.cancel()
    return json.loads(printed), lags


def _vault_secret(number: int, now: datetime) -> VaultSecret:
    """A VaultSecret as the API server returns it: nine of ten are in sync."""
    synced = number % 10 > 0
    moment, expiry = now.isoformat(), (now + timedelta(days=90)).isoformat()
    ready = {"type": "Ready", "status": str(synced), "reason": "Synced" if synced else "SecretNotFound"}
    metadata = {"name": f"secret-{number:05}", "namespace": f"team-{number % 100:02}", "uid": f"uid-{number}"}
    entry = {"key": "password", "secretName": f"secret-{number:05}", "version": "0" * 32}
    return VaultSecret.parse(
        {
            "metadata": metadata | {"generation": 1, "resourceVersion": "1", "creationTimestamp": moment},
            "spec": {"vaultUrl": VAULT, "data": [{"key": "password", "secretName": f"secret-{number:05}"}]},
            "status": {
                "conditions": [ready | {"message": "In sync.", "lastTransitionTime": moment}],
                "entries": [entry | {"expiryTime": expiry, "readTime": moment}],
            },
        }
    )
