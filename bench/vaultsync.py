"""vaultsync as a subject: this checkout, or the wheel of a release, with the rights and the settings of the chart."""

import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from bench.environments import Environment
from bench.site import Site
from bench.subject import Launch, Program
from tests.controlplane.helm import Helm
from tests.controlplane.parts import free_ports
from tests.e2e.installation import Installation
from tests.manifests import grant

_HOME: Final = "vaultsync"
"""The operator's own namespace."""

_MOST: Final = 100_000
"""VaultSecrets that the grant allows in a namespace."""

_LEADS: Final = "vaultsync_leader 1.0"
_SETTINGS: Final = """
from vaultsync.settings import Settings
print(*(f"VAULTSYNC_{name.upper()}" for name in Settings.model_fields))
"""
_CRDS: Final = Path(__file__).parents[1] / "crds"


class Vaultsync:
    """An operator for the whole cluster.

    Args:
        title: The head of its column.
        python: The interpreter that has it.
        stalls: A file into which it writes the stalls of its event loop, if they are measured.
        memray: A file into which memray writes what is on the heap at its peak, if that is recorded.
    """

    def __init__(
        self,
        title: str = "vaultsync",
        python: Path = Path(sys.executable),
        *,
        stalls: Path | None = None,
        memray: Path | None = None,
    ) -> None:
        self.title = title
        self._python = python
        self._stalls = stalls
        self._memray = memray

    @asynccontextmanager
    async def installed(self, site: Site) -> AsyncIterator[Program]:
        """Install this checkout's chart and a grant."""
        site.plane.install(_CRDS)
        site.plane.kubectl("create", "namespace", _HOME)
        site.plane.apply(grant("bench", site.vault.url, quota={"vaultSecrets": _MOST}))
        installation = Installation(
            Helm(site.tools["helm"], site.folder / "helm", site.plane.environ()), site.plane, _HOME
        )
        installation.install({"settings": {"vaultHosts": ["localhost:*"]}, "crds": {"enabled": False}})
        yield self.replica(site, site.environ({**installation.environ(), **site.emulator.environment()}))

    def replica(self, site: Site, environ: Mapping[str, str], name: str = "vaultsync-0") -> Program:
        """Return one replica, which does not run yet."""
        metrics, probes = free_ports(2)
        own = {
            "POD_NAME": name,
            "VAULTSYNC_LISTEN": f"127.0.0.1:{metrics}",
            "VAULTSYNC_PROBES_LISTEN": f"127.0.0.1:{probes}",
        }

        def logins() -> int:
            return site.emulator.logins()["token"]

        command: list[str | Path] = [self._python, "-P", "-m", "vaultsync", "run"]
        if self._stalls is not None:
            command = [self._python, "-m", "bench.watched", self._stalls]
        if self._memray is not None:
            options = ("--quiet", "--aggregate", "--force", "--trace-python-allocators")
            recorder = ("memray", "run", *options, "--output", self._memray)
            command = [self._python, "-m", *recorder, "-m", "vaultsync", "run"]
        log = site.folder / f"{name}.log"
        return Program(
            Launch(command, {**environ, **own}, (probes, "/readyz"), metrics, log, logins, self._leads(environ))
        )

    def path(self, namespace: str) -> str:
        """Return the URL path of VaultSecrets."""
        return f"/apis/vaultsync.dev/v1alpha1/namespaces/{namespace}/vaultsecrets"

    def _leads(self, environ: Mapping[str, str]) -> str | None:
        """Return the line of the metrics of a leader; a release without elections has no such setting."""
        return _LEADS if "VAULTSYNC_INSTALLATION" in environ else None

    def manifest(self, site: Site, secret: str, name: str, namespace: str) -> Mapping[str, Any]:
        """Return a VaultSecret."""
        return {
            "apiVersion": "vaultsync.dev/v1alpha1",
            "kind": "VaultSecret",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "vaultUrl": site.vault.url,
                "refreshInterval": f"{site.refresh}s",
                "data": [{"key": "password", "secretName": secret}],
            },
        }


class Release(Vaultsync):
    """The operator of a wheel, in an environment of its own in a folder."""

    def __init__(self, wheel: Path, folder: Path, *, memray: Path | None = None) -> None:
        packages = [f"{wheel.resolve()}[operator,tracing]", *([] if memray is None else ["memray"])]
        environment = Environment.make(folder, packages)
        super().__init__("previous release", environment.python, memray=memray)
        printed = subprocess.run(
            [environment.python, "-I", "-c", _SETTINGS], check=True, capture_output=True, text=True
        )
        self._settings = frozenset(printed.stdout.split())

    def replica(self, site: Site, environ: Mapping[str, str], name: str = "vaultsync-0") -> Program:
        """Return one replica, without this checkout on its path, and without settings that it does not have."""
        known = {
            variable: text
            for variable, text in environ.items()
            if variable != "PYTHONPATH" and (not variable.startswith("VAULTSYNC_") or variable in self._settings)
        }
        return super().replica(site, known, name)
