"""What is measured: a program in a process of its own, observed from outside, and how it is installed and used."""

import http.client
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bench.site import Site

_SOON = 300.0


class ProgramFailed(Exception):
    """The program ended, or did not become ready."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How a program is started.

    `ready` is the port and the path that answer 200 once it is ready; `metrics` is the port of its metrics; `logins`
    counts its requests for tokens so far; `leads` is the line of its metrics by which it leads, if it elects a leader.
    """

    command: Sequence[str | Path]
    environ: Mapping[str, str]
    ready: tuple[int, str]
    metrics: int
    log: Path
    logins: Callable[[], int]
    leads: str | None = None


class Program:
    """A program, started and ended as often as needed; each start adds to its log."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        assert self._process is None, "it runs already"
        with self.launch.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.launch.command, env=self.launch.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def close(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop it, and wait until it has ended."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    @property
    def pid(self) -> int:
        """By which /proc knows it."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Wait until it says that it is ready.

        Raises:
            ProgramFailed: It ended, or took too long.
        """
        assert self._process is not None, "it does not run"
        deadline = time.monotonic() + _SOON
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ProgramFailed(f"{self.launch.log.stem} is not ready")
            time.sleep(0.02)

    def wait_until_leading(self) -> None:
        """Wait until its metrics say that it serves; returns at once if it elects no leader.

        Raises:
            ProgramFailed: Another one leads for too long.
        """
        deadline = time.monotonic() + _SOON
        while (line := self.launch.leads) is not None and line not in self.scrape().splitlines():
            if time.monotonic() > deadline:
                raise ProgramFailed(f"{self.launch.log.stem} does not lead")
            time.sleep(0.1)

    def scrape(self) -> str:
        """Request its metrics, as Prometheus does."""
        with closing(_connection(self.launch.metrics)) as connection:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()

    def _is_ready(self) -> bool:
        port, path = self.launch.ready
        with closing(_connection(port)) as connection:
            try:
                connection.request("GET", path)
                return connection.getresponse().status == http.client.OK
            except OSError:
                return False


class Subject(Protocol):
    """One of the programs that are compared."""

    @property
    def title(self) -> str:
        """The head of its column."""
        ...

    def path(self, namespace: str) -> str:
        """Return the URL path of its objects in a namespace."""
        ...

    def installed(self, site: Site) -> AbstractAsyncContextManager[Program]:
        """Install it while the context lasts; the program does not run yet."""
        ...

    def manifest(self, site: Site, secret: str, name: str, namespace: str) -> Mapping[str, Any]:
        """Return its object for one secret of the vault: a Secret of that name with the key `password`."""
        ...


def _connection(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=_SOON)
