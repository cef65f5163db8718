"""Finds the cluster of a user as kubectl does: by flags, `KUBECONFIG`, the home directory, or the pod; sends nothing.

https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vaultsync.adapters.kube.client_library import (
    SERVICE_HOST_ENV_NAME,
    ConfigException,
    Configuration,
    load_kube_config,
)
from vaultsync.adapters.kube.connection import NoCluster, configuration_from
from vaultsync.texts import one_line

DEFAULT_FILE: Final = "~/.kube/config"

_NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class UserConfiguration:
    """How a user reaches a cluster, and the namespace of commands that name none."""

    configuration: Configuration
    namespace: str


async def user_configuration(
    environ: Mapping[str, str], *, kubeconfig: str | None = None, context: str | None = None
) -> UserConfiguration:
    """Load the configuration of a user.

    Args:
        environ: `KUBECONFIG` names files, separated as in `PATH`.
        kubeconfig: A file in their place.
        context: A context in place of the current one.

    Raises:
        NoCluster: There is none, or it cannot be used.
    """
    files = kubeconfig or environ.get("KUBECONFIG") or DEFAULT_FILE
    if _exists(files):
        return await _from_files(files, context)
    if files != DEFAULT_FILE or context is not None or not environ.get(SERVICE_HOST_ENV_NAME):
        text = f"There is no kubeconfig {one_line(files)}: set KUBECONFIG, or --kubeconfig."
        raise NoCluster(text)
    configuration = await configuration_from({name: text for name, text in environ.items() if name != "KUBECONFIG"})
    return UserConfiguration(configuration, _namespace_of_pod(environ))


async def _from_files(files: str, context: str | None) -> UserConfiguration:
    configuration = Configuration()
    try:
        loader = await load_kube_config(
            config_file=files, context=context, client_configuration=configuration, persist_config=False
        )
        namespace = loader.current_context["context"].get("namespace") or "default"
    except ConfigException as error:
        text = f"The kubeconfig cannot be used: {one_line(str(error))}"
    except Exception as error:  # noqa: BLE001  a file that is no kubeconfig can raise anything
        text = f"The kubeconfig {one_line(files)} cannot be read ({type(error).__name__}): try kubectl config view."
    else:
        return UserConfiguration(configuration, str(namespace))
    raise NoCluster(text)


def _exists(files: str) -> bool:
    return any(Path(name).expanduser().is_file() for name in files.split(os.pathsep) if name)


def _namespace_of_pod(environ: Mapping[str, str]) -> str:
    if named := environ.get("POD_NAMESPACE"):
        return named
    try:
        return _NAMESPACE_FILE.read_text().strip() or "default"
    except OSError:
        return "default"
