"""The operator as a process, `vaultsync run`: started, watched from outside, and stopped as Kubernetes would."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

import httpx

ROOT: Final = Path(__file__).parents[2]
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 10.0
"""What the operator promises; Kubernetes waits for 30 before it kills."""

_SETTINGS: Final = {
    # The emulator's vaults, and a domain that never resolves: https://www.rfc-editor.org/rfc/rfc6761#section-6.4
    "VAULTSYNC_VAULT_DNS_SUFFIXES": "localhost,.invalid",
    "VAULTSYNC_LISTEN": "127.0.0.1:0",
    "VAULTSYNC_LOG_FORMAT": "json",
    "VAULTSYNC_LOG_LEVEL": "debug",
}


class RunningOperator:
    """A running operator."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path, log_begins: int) -> None:
        self.log = log
        self._process = process
        self._log_begins = log_begins

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

        The log goes on where that of an operator before it ended. At the end of the block it is gone in any case.
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
        """Whether the process is there."""
        return self._process.poll() is None

    @property
    def port(self) -> int | None:
        """Where metrics and probes are; None as long as the log does not say so."""
        ports = [line["port"] for line in self.lines() if line["message"] == "serving metrics and probes"]
        return int(ports[-1]) if ports else None

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged itself; a line that is no JSON comes as a message alone."""
        return [_parsed(line) for line in self.log.read_bytes()[self._log_begins :].decode().splitlines()]

    def says(self, path: str) -> httpx.Response:
        """Ask for `/metrics`, `/healthz` or `/readyz`."""
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", trust_env=False)

    @property
    def is_ready(self) -> bool:
        """Whether it says so itself."""
        return self.port is not None and self.says("/readyz").is_success

    def await_ready(self) -> None:
        """Return when it is ready; fail with its log if it is not in time."""
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready:
            assert self.is_running, f"the operator ended:\n{self.log.read_text()}"
            assert time.monotonic() < deadline, f"the operator is not ready:\n{self.log.read_text()}"
            time.sleep(0.05)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have such labels."""
        wanted = [f'{label}="{text}"' for label, text in labels.items()]
        samples = [line for line in self.says("/metrics").text.splitlines() if line.split("{")[0].split(" ")[0] == name]
        return sum(float(line.rsplit(" ", 1)[1]) for line in samples if all(label in line for label in wanted))

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """The exit code of one that ends by itself."""
        return self._process.wait(START_SECONDS)

    def stop(self) -> int:
        """Ask it to stop, as Kubernetes does; gives the exit code, which must come in the time that it promises."""
        self.signal(signal.SIGTERM)
        return self._process.wait(STOP_SECONDS)


def _parsed(line: str) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(line)
    except ValueError:
        return {"message": line}
    return document
