"""The processes of the demo: control plane, Key Vault emulator and operator; each can outlive the demo."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Final

import httpx

from demo.terminal import StepFailed, search_path
from tests.controlplane import detached
from tests.controlplane.installed import find_tools
from tests.emulator.client import EmulatedVault, Emulator

ROOT: Final = Path(__file__).parents[1]
VAULT: Final = "shop"
_GUARD_SECONDS: Final = 300.0
"""Seconds after which a start or a stop counts as hanging."""


class DemoProcesses:
    """The three processes, in one folder that also holds their logs and process ids.

    Args:
        folder: Where everything of this demo is kept.
        environ: The environment that the demo was started in.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self._environ = environ
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._control: httpx.Client | None = None

    @cached_property
    def tools(self) -> Mapping[str, Path]:
        """Where the programs are, after building those that are missing."""
        return find_tools(self._environ, sys.stderr)

    @property
    def environ(self) -> dict[str, str]:
        """The environment of the demo with `variables`, and without other settings of Azure and vaultsync."""
        others = {name: text for name, text in self._environ.items() if not name.startswith(("AZURE_", "VAULTSYNC_"))}
        return {**others, **self.variables}

    @property
    def variables(self) -> dict[str, str]:
        """The variables with which kubectl, azure-identity and the operator use these processes."""
        ours = os.pathsep.join([str(self.tools["kubectl"].parent), str(Path(sys.executable).parent)])
        return {
            "PATH": f"{ours}{os.pathsep}{search_path(self._environ)}",
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(self.folder / "kubectl-cache"),
            **self.emulator().environment(),
            "VAULT_URL": self.vault().url,
            "VAULTSYNC_VAULT_HOSTS": "localhost:*",
        }

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "controlplane" / "kubeconfig"

    def start(self) -> None:
        """Start control plane and emulator.

        Raises:
            NotStarted: The control plane did not start.
            StepFailed: The emulator did not start.
        """
        self.down()
        self.folder.mkdir(parents=True)
        detached.up(self.folder / "controlplane", controllers=False)
        arguments = ("-m", "tests.emulator", "--dir", str(self.folder / "emulator"), "--vault", VAULT)
        self._spawn("emulator", *arguments, environ=self._environ)
        _await((self.folder / "emulator" / "urls.json").exists, f"the emulator (log: {self.log('emulator')})")

    def emulator(self) -> Emulator:
        """The running emulator's controls."""
        urls = json.loads((self.folder / "emulator" / "urls.json").read_text())
        if self._control is None:
            self._control = httpx.Client(base_url=urls["control"], trust_env=False)
        return Emulator(urls, self._control)

    def vault(self) -> EmulatedVault:
        """The vault of the demo."""
        return self.emulator().vault(VAULT)

    def start_operator(self, settings: Mapping[str, str]) -> None:
        """Start `vaultsync run` with these settings."""
        self._spawn("operator", "-m", "vaultsync", "run", environ={**self.environ, **settings})

    def stop_operator(self) -> float:
        """Stop the operator, and return how many seconds that took.

        Raises:
            StepFailed: It does not stop.
        """
        started = time.monotonic()
        self._end("operator")
        return time.monotonic() - started

    def log(self, part: str) -> Path:
        """The log file of a process."""
        return self.folder / f"{part}.log"

    def stop(self) -> None:
        """Stop all processes; data and logs stay."""
        for part in ("operator", "emulator"):
            self._end(part)
        detached.down(self.folder / "controlplane")

    def down(self) -> bool:
        """Stop all processes and remove the folder; False if there was none."""
        found = self.folder.exists()
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        return found

    def _spawn(self, part: str, *arguments: str, environ: Mapping[str, str]) -> None:
        with self.log(part).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._pid(part).write_text(str(process.pid))
        self._children[part] = process

    def _end(self, part: str) -> None:
        if not self._pid(part).exists():
            return
        pid = int(self._pid(part).read_text())
        self._pid(part).unlink()
        child = self._children.pop(part, None)
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            return
        has_ended = (lambda: not _is_running(pid)) if child is None else (lambda: child.poll() is not None)
        _await(has_ended, f"the end of the {part}")

    def _pid(self, part: str) -> Path:
        return self.folder / f"{part}.pid"


def _await(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _GUARD_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise StepFailed(f"{what}: not after {_GUARD_SECONDS:g} s")
        time.sleep(0.02)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
