"""Which part of the Kubernetes client library the operator has in memory."""

import subprocess
import sys
from typing import Final

LEFT_OUT: Final = {
    "kubernetes.aio.dynamic",
    "kubernetes.aio.watch",
    "kubernetes.config",
    "kubernetes.dynamic",
    "kubernetes.stream",
    "oauthlib",
    "websocket",
}
"""Modules that the library's package imports, and nothing else does."""


def loaded_by(statements: str) -> set[str]:
    """Return the modules that a program has loaded at its end."""
    program = f"import sys\n{statements}\nprint(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(printed.stdout.split())


def test_the_operator_has_only_the_configuration_of_the_librarys_asynchronous_half_in_memory() -> None:
    loaded = loaded_by("from vaultsync import manager")

    assert loaded & {*LEFT_OUT, "kopf", "kubernetes.aio.config"} == {"kopf", "kubernetes.aio.config"}


def test_the_package_itself_has_the_other_half() -> None:
    assert loaded_by("import kubernetes, kubernetes.aio") >= LEFT_OUT


def test_a_package_that_was_imported_before_is_kept() -> None:
    statements = (
        "import kubernetes\nfrom vaultsync.adapters.kube import client_library\nkubernetes.config, kubernetes.aio"
    )

    assert loaded_by(statements) >= {"kubernetes.config", "kubernetes.aio.config"}
