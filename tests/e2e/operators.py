"""The operator as a process, `vaultsync run`: started, observed from outside, and stopped as Kubernetes would."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

import httpx

from tests.e2e.harness import PATIENCE, eventually

ROOT: Final = Path(__file__).parents[2]
_SETTINGS: Final = {
    # The operator of this checkout, whichever one the interpreter has installed.
    "PYTHONPATH": str(ROOT / "operator"),
    # The emulator's vaults, and a domain that never resolves: https://www.rfc-editor.org/rfc/rfc6761#section-6.4
    "VAULTSYNC_VAULT_HOSTS": "localhost:*",
    "VAULTSYNC_VAULT_DNS_SUFFIXES": ".invalid",
    "VAULTSYNC_LISTEN": "127.0.0.1:0",
    "VAULTSYNC_PROBES_LISTEN": "127.0.0.1:0",
    "VAULTSYNC_LOG_FORMAT": "json",
    "VAULTSYNC_LOG_LEVEL": "debug",
}


class RunningOperator:
    """A running operator."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path, log_begins: int) -> None:
        self.log = log
        self._process = process
        self._log_begins = log_begins
        self._ports: tuple[int, int] | None = None

    @classmethod
    @contextmanager
    def start(
        cls,
        environ: Mapping[str, str],
        log: Path,
        *,
        program: Sequence[str | Path] = (sys.executable, "-m", "vaultsync"),
        arguments: Sequence[str] = ("run",),
    ) -> Iterator[Self]:
        """Start it with the emulator's domains, a free port and a detailed log; `environ` adds to that and overrides.

        It appends to a log that exists. At the end of the block it is killed if it still runs.
        """
        begins = log.stat().st_size if log.exists() else 0
        with (
            log.open("ab") as output,
            subprocess.Popen(
                [*program, *arguments],
                cwd=ROOT,
                env={**_SETTINGS, **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            ) as process,
        ):
            try:
                yield cls(process, log, begins)
            finally:
                process.kill()

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def ports(self) -> tuple[int, int] | None:
        """Where metrics and where probes are served; None until the log names it."""
        if self._ports is None:
            named = (line for line in self.lines() if "port" in line)
            # A previous release serves probes where it serves metrics.
            self._ports = next(((line["port"], line.get("probes_port", line["port"])) for line in named), None)
        return self._ports

    @property
    def port(self) -> int:
        """Where metrics are served."""
        assert self.ports is not None
        return self.ports[0]

    def lines(self) -> list[dict[str, Any]]:
        """The lines that it has logged; one that is not JSON comes as `message` alone."""
        return [_parsed(line) for line in self.log.read_bytes()[self._log_begins :].decode().splitlines()]

    def get(self, path: str) -> httpx.Response:
        """Get `/metrics`, `/healthz` or `/readyz`."""
        assert self.ports is not None
        port = self.ports[0 if path == "/metrics" else 1]
        # Without TLS: with `verify`, httpx would load all certificates of authorities for each request.
        return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False, timeout=PATIENCE, verify=False)  # noqa: S501

    @property
    def is_ready(self) -> bool:
        """Whether its readiness probe succeeds."""
        return self.ports is not None and self.get("/readyz").is_success

    def await_ready(self) -> None:
        """Return when it is ready; fail with its log if it ends before."""

        def is_ready() -> bool:
            assert self.is_running, f"the operator ended:\n{self.log.read_text()}"
            return self.is_ready

        eventually(is_ready, "a ready operator")

    def await_line(self, **fields: object) -> dict[str, Any]:
        """Return the first line of the log that has these fields, as soon as it is there."""
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            found[:] = [line for line in self.lines() if fields.items() <= line.items()]
            return bool(found)

        eventually(is_there, f"a line with {fields} in the log")
        return found[0]

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have such labels."""
        wanted = [f'{label}="{text}"' for label, text in labels.items()]
        samples = [line for line in self.get("/metrics").text.splitlines() if line.split("{")[0].split(" ")[0] == name]
        return sum(float(line.rsplit(" ", 1)[1]) for line in samples if all(label in line for label in wanted))

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """The exit code of one that ends by itself."""
        return self._process.wait(PATIENCE)

    def stop(self) -> int:
        """Send SIGTERM, as Kubernetes does; returns the exit code.

        It releases its Leases: whoever is started next leads at once, and does not wait until they run out.
        """
        self.signal(signal.SIGTERM)
        return self.wait()


def _parsed(line: str) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(line)
    except ValueError:
        return {"message": line}
    return document
