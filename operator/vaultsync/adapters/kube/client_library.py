"""The asynchronous half of the Kubernetes client library, of which the operator uses the configuration; adds nothing.

The library's package itself imports both halves, with OAuth, WebSockets and a client for any resource, some 5 MB. kopf
imports the package too, if it finds it, for its types: this module has to be imported before kopf.
"""

from vaultsync.partial_imports import skip_package_imports

skip_package_imports("kubernetes")
skip_package_imports("kubernetes.aio")

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
