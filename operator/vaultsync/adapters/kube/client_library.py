"""The asynchronous half of the Kubernetes client library, without the other half; adds nothing to it.

The library's package itself imports both. The other half, which is for threads, would take 4 MB with OAuth and
WebSockets. kopf imports the package too, if it finds it, for its types: this module has to be imported before kopf.
"""

import sys
from importlib.util import find_spec, module_from_spec


def _skip_package_imports(name: str) -> None:
    """Have submodules of a package imported without what the package imports itself."""
    spec = find_spec(name)
    if name not in sys.modules and spec is not None:
        sys.modules[name] = module_from_spec(spec)


_skip_package_imports("kubernetes")

from kubernetes.aio.client import Configuration  # noqa: E402  only now
from kubernetes.aio.client.rest import RESTClientObject  # noqa: E402  the same
from kubernetes.aio.config import ConfigException, load_kube_config  # noqa: E402  the same
from kubernetes.aio.config.incluster_config import (  # noqa: E402  the same
    SERVICE_CERT_FILENAME,
    SERVICE_HOST_ENV_NAME,
    SERVICE_TOKEN_FILENAME,
    InClusterConfigLoader,
)

__all__ = [
    "SERVICE_CERT_FILENAME",
    "SERVICE_HOST_ENV_NAME",
    "SERVICE_TOKEN_FILENAME",
    "ConfigException",
    "Configuration",
    "InClusterConfigLoader",
    "RESTClientObject",
    "load_kube_config",
]
