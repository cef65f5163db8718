"""helm, kept apart from what its user has set up on this machine; knows no chart."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_NO_CLUSTER: Final = {"KUBECONFIG": os.devnull}


class HelmFailed(Exception):
    """helm ended with an error; the message is what it printed."""


class Helm:
    """The program.

    Args:
        program: Where it is.
        home: A separate folder for its caches.
        cluster: The variables of the cluster that it uses, as `Cluster.environ` has them; none for work that
            needs no cluster, such as rendering.
    """

    def __init__(self, program: Path, home: Path, cluster: Mapping[str, str] = _NO_CLUSTER) -> None:
        self._program = program
        self._environ = {**cluster, **{f"HELM_{kind}_HOME": str(home / kind) for kind in ("CACHE", "CONFIG", "DATA")}}

    def __call__(self, *arguments: str | Path, stdin: str = "") -> str:
        """What `helm ARGUMENTS` prints.

        Raises:
            HelmFailed: It ended with an error.
        """
        done = subprocess.run(
            [self._program, *arguments], input=stdin, env=self._environ, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise HelmFailed(f"{done.stdout}{done.stderr}".strip())
        return done.stdout
