"""The operator in a pod, where it finds its cluster by the environment and the files of its service account.

The other scenarios give it a kubeconfig. Here it sees the files where every pod has them, in its own mount namespace.
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

from tests.e2e.concurrency import scenario
from tests.e2e.lifecycle.harness import OperatorHarness
from tests.e2e.operators import RunningOperator

AS_ROOT: Final = ("unshare", "--map-root-user", "--mount")
PLACE: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
SHOW: Final = f'mount -t tmpfs tmpfs /var/run && mkdir -p {PLACE} && cp "$0"/* {PLACE} && exec "$@"'
"""Copies the files of the first argument to where a pod has them, and executes the program that follows."""


def may_mount() -> bool:
    """Whether this machine allows mount namespaces; some that are containers themselves do not."""
    command = [*AS_ROOT, "mount", "-t", "tmpfs", "tmpfs", "/var/run"]
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def write_account(kubeconfig: Path, folder: Path) -> dict[str, str]:
    """Write the files of a service account as a pod has them; returns the variables of such a pod."""
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
@scenario
def test_in_a_pod_the_operator_uses_its_service_account(harness: OperatorHarness) -> None:
    account = harness.folder / f"{harness.namespace}.account"
    environ = write_account(harness.user(), account)
    program = (*AS_ROOT, "sh", "-c", SHOW, account, sys.executable, "-m", "vaultsync")
    value = harness.put()

    with RunningOperator.start(
        {**environ, **harness.emulator.environment(), **harness.scope()},
        harness.log,
        program=program,
    ) as running:
        running.await_ready()
        harness.apply()

        harness.await_content(password=value)
        harness.tamper(stringData={"password": "guessed"})
        harness.await_content(password=value)
