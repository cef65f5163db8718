"""How the operator finds its cluster in a pod: by what Kubernetes puts into its environment and its file system.

The other stories give it a kubeconfig. Here it sees the files where every pod has them, in its own mount namespace.
https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
"""

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.life.scenes import LifeScene
from tests.e2e.operators import RunningOperator
from tests.e2e.together import story

AS_ROOT: Final = ("unshare", "--map-root-user", "--mount")
PLACE: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
SHOW: Final = f'mount -t tmpfs tmpfs /var/run && mkdir -p {PLACE} && cp "$0"/* {PLACE} && exec "$@"'
"""Shows the files of the first argument where a pod has them, and becomes the program that follows."""


def may_mount() -> bool:
    """Tell whether this machine lets its users have mount namespaces; some that are containers themselves do not."""
    command = [*AS_ROOT, "mount", "-t", "tmpfs", "tmpfs", "/var/run"]
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def write_account(kubeconfig: Path, folder: Path) -> dict[str, str]:
    """Write the files of a service account as a pod has them; gives the variables that go with them."""
    config = json.loads(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    folder.mkdir()
    folder.joinpath("token").write_text(user["token"])
    if "certificate-authority" in cluster:
        shutil.copy(cluster["certificate-authority"], folder / "ca.crt")
    else:
        folder.joinpath("ca.crt").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    host, _, port = cluster["server"].removeprefix("https://").rpartition(":")
    return {"KUBECONFIG": "", "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}


@pytest.mark.skipif(not may_mount(), reason="needs mount namespaces, which this machine does not allow")
@story
def test_in_a_pod_the_operator_goes_by_its_service_account(scene: LifeScene) -> None:
    account = scene.folder / f"{scene.namespace}.account"
    environ = write_account(scene.user(), account)
    program = (*AS_ROOT, "sh", "-c", SHOW, account, sys.executable, "-m", "vaultsync")
    value = scene.put()

    with RunningOperator.start(
        {**environ, **scene.emulator.environment(), "VAULTSYNC_WATCH_NAMESPACES": scene.namespace},
        scene.log,
        program=program,
    ) as running:
        running.await_ready()
        scene.apply()

        scene.await_content(password=value)
        scene.tamper(stringData={"password": "guessed"})
        scene.await_content(password=value)
