"""What the demo plays on: control plane, Key Vault emulator and operator, each a process that can outlive the demo."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import httpx

from demo.terminal import StepFailed, search_path
from tests.controlplane import detached
from tests.controlplane.build import ensure_tools
from tests.emulator.client import EmulatedVault, Emulator

ROOT: Final = Path(__file__).parents[1]
VAULT: Final = "shop"
_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 10.0


class Stage:
    """The three parts, in one folder that also holds their logs and process ids.

    Args:
        folder: Where everything of this demo is kept.
        environ: The environment that the demo was started in.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self._environ = environ
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._control: httpx.Client | None = None

    @property
    def environ(self) -> dict[str, str]:
        """The demo's own environment, with what makes every program talk to this stage."""
        others = {name: text for name, text in self._environ.items() if not name.startswith(("AZURE_", "VAULTSYNC_"))}
        return {**others, **self.variables}

    @property
    def variables(self) -> dict[str, str]:
        """What makes kubectl, azure-identity and the operator talk to this stage."""
        tools = ensure_tools(self._environ, sys.stderr)
        ours = os.pathsep.join([str(tools["kubectl"].parent), str(Path(sys.executable).parent)])
        return {
            "PATH": f"{ours}{os.pathsep}{search_path(self._environ)}",
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(self.folder / "kubectl-cache"),
            **self.emulator().environment(),
            "VAULT_URL": self.vault().url,
        }

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "controlplane" / "kubeconfig"

    def start(self) -> None:
        """Start control plane and emulator.

        Raises:
            NotStarted: The control plane did not come up.
            StepFailed: The emulator did not.
        """
        self.down()
        self.folder.mkdir(parents=True)
        detached.up(self.folder / "controlplane")
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
        """The vault that the demo uses."""
        return self.emulator().vault(VAULT)

    def start_operator(self, settings: Mapping[str, str]) -> None:
        """Start `vaultsync run` with these settings."""
        self._spawn("operator", "-m", "vaultsync", "run", environ={**self.environ, **settings})

    def stop_operator(self) -> float:
        """Ask the operator to stop, and tell how many seconds it took.

        Raises:
            StepFailed: It did not within ten seconds.
        """
        started = time.monotonic()
        self._end("operator")
        return time.monotonic() - started

    def log(self, part: str) -> Path:
        """Where a part's output goes."""
        return self.folder / f"{part}.log"

    def stop(self) -> None:
        """End everything; data and logs stay."""
        for part in ("operator", "emulator"):
            self._end(part)
        detached.down(self.folder / "controlplane")

    def down(self) -> bool:
        """End everything and remove the folder; False if there was nothing."""
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
        gone = (lambda: not _lives(pid)) if child is None else (lambda: child.poll() is not None)
        _await(gone, f"the end of the {part}", within=_STOP_SECONDS)

    def _pid(self, part: str) -> Path:
        return self.folder / f"{part}.pid"


def _await(holds: Callable[[], bool], what: str, *, within: float = _START_SECONDS) -> None:
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            raise StepFailed(f"waited {within:g} s in vain for {what}")
        time.sleep(0.02)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
