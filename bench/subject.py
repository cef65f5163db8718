"""The operator that is measured: a separate process, observed from outside."""

import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

_SOON = 60.0
_PROBE_SECONDS = 0.1


class OperatorFailed(Exception):
    """The operator ended, or did not become ready."""


class Operator:
    """`vaultsync run`, started and ended as often as needed.

    Args:
        environ: All that it finds in its environment.
        port: The port of its metrics.
        probes_port: The port of its probes.
        log: Where its output goes; each start adds to it.
    """

    def __init__(self, environ: Mapping[str, str], port: int, probes_port: int, log: Path) -> None:
        self._environ = environ
        self._port = port
        self._probes_port = probes_port
        self._log = log
        self._program: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        assert self._program is None, "it runs already"
        command = [sys.executable, "-m", "vaultsync", "run"]
        with self._log.open("ab") as log:
            self._program = subprocess.Popen(
                command, env=self._environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def close(self) -> None:
        """Stop it, and wait until it has ended."""
        if self._program is not None:
            self._program.terminate()
            self._program.wait()
            self._program = None

    @property
    def pid(self) -> int:
        """By which /proc knows it."""
        assert self._program is not None, "it does not run"
        return self._program.pid

    def wait_until_ready(self) -> None:
        """Wait until it says that it is ready.

        Raises:
            OperatorFailed: It ended, or took too long.
        """
        assert self._program is not None, "it does not run"
        deadline = time.monotonic() + _SOON
        while self._status("/readyz") != http.client.OK:
            if self._program.poll() is not None or time.monotonic() > deadline:
                raise OperatorFailed(f"the operator is not ready; its log is {self._log}")
            time.sleep(0.02)

    def scrape(self) -> int:
        """Request its metrics, as Prometheus does; returns their bytes."""
        with closing(_connection(self._port)) as connection:
            connection.request("GET", "/metrics")
            return len(connection.getresponse().read())

    @contextmanager
    def probed(self) -> Iterator[list[float]]:
        """Request its health ten times a second, and record the seconds of each response, which show stalls."""
        waits: list[float] = [0.0]
        over = threading.Event()

        def probe() -> None:
            while not over.wait(_PROBE_SECONDS):
                asked = time.monotonic()
                if self._status("/healthz") == http.client.OK:
                    waits.append(time.monotonic() - asked)

        thread = threading.Thread(target=probe)
        thread.start()
        try:
            yield waits
        finally:
            over.set()
            thread.join()

    def _status(self, path: str) -> int:
        with closing(_connection(self._probes_port)) as connection:
            try:
                connection.request("GET", path)
                return connection.getresponse().status
            except OSError:
                return 0


def _connection(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=_SOON)
