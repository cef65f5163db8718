"""External Secrets Operator as a subject: a program and its CustomResourceDefinitions, both given by path.

It runs as its users tune it for thousands of objects: many reconciles at once, a Kubernetes client that is not
throttled, and Secrets from its caches. Its SecretStore logs in with a client secret at the public login, the default.
"""

import http.client
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from bench.site import Site
from bench.subject import Launch, Program
from bench.testbed import NAMESPACE
from tests.controlplane.cluster import KubectlFailed
from tests.controlplane.parts import free_ports
from tests.emulator.client import ROOT

FLAGS: Final = (
    "--concurrent=50",
    "--client-qps=1000",
    "--client-burst=2000",
    "--enable-secrets-caching=true",
    "--loglevel=error",
)
_API: Final = "external-secrets.io/v1"
_STORE: Final = "bench"
_EVERYTHING: Final = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
_SECONDS: Final = 60.0

Result = TypeVar("Result")


class ExternalSecrets:
    """The controller, without its webhook and its certificate controller.

    Args:
        program: The built program, with its provider for Azure Key Vault.
        crds: Where its CustomResourceDefinitions are: a folder, or a file.
        title: The head of its column.
    """

    def __init__(self, program: Path, crds: Path, title: str = "External Secrets") -> None:
        self.title = title
        self._program = program.resolve()
        self._crds = crds

    @asynccontextmanager
    async def installed(self, site: Site) -> AsyncIterator[Program]:
        """Install its CustomResourceDefinitions, a store and the store's credentials."""
        # On the server, since an annotation is too small for a copy of each.
        site.plane.kubectl("apply", "--server-side", "-f", self._crds)
        site.plane.controllers.restart()
        _retried(lambda: site.plane.apply(*_store(site)))
        kubeconfig = site.plane.user("external-secrets", [_EVERYTHING])
        with _login(site) as (proxy, authorities):
            metrics, live = free_ports(2)
            flags = (f"--metrics-addr=127.0.0.1:{metrics}", f"--live-addr=127.0.0.1:{live}")
            environ = {
                "KUBECONFIG": str(kubeconfig),
                "HTTPS_PROXY": f"http://127.0.0.1:{proxy}",
                "SSL_CERT_FILE": str(authorities),
            }
            log = site.folder / "external-secrets.log"
            command: list[str | Path] = [self._program, *FLAGS, *flags]
            launch = Launch(command, site.environ(environ), (live, "/healthz"), metrics, log, partial(_logins, proxy))
            yield Program(launch)

    def path(self, namespace: str) -> str:
        """Return the URL path of ExternalSecrets."""
        return f"/apis/{_API}/namespaces/{namespace}/externalsecrets"

    def manifest(self, site: Site, secret: str, name: str, namespace: str) -> Mapping[str, Any]:
        """Return an ExternalSecret."""
        return {
            "apiVersion": _API,
            "kind": "ExternalSecret",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "refreshInterval": f"{site.refresh}s",
                "secretStoreRef": {"kind": "SecretStore", "name": _STORE},
                "data": [{"secretKey": "password", "remoteRef": {"key": secret}}],
            },
        }


def _store(site: Site) -> Iterator[Mapping[str, Any]]:
    """A store for the namespace of the benchmark, and its client secret."""
    credentials = {"id": site.emulator.client_id, "secret": site.emulator.client_secret}
    metadata = {"name": _STORE, "namespace": NAMESPACE}
    yield {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": credentials}
    keys = {"clientId": {"name": _STORE, "key": "id"}, "clientSecret": {"name": _STORE, "key": "secret"}}
    vault = {"vaultUrl": site.vault.url, "tenantId": site.emulator.tenant_id, "authSecretRef": keys}
    yield {
        "apiVersion": _API,
        "kind": "SecretStore",
        "metadata": metadata,
        "spec": {"provider": {"azurekv": vault}},
    }


@contextmanager
def _login(site: Site) -> Iterator[tuple[int, Path]]:
    """Run the login; returns the port of the proxy that leads to it, and a file of all authorities."""
    folder = site.folder / "login"
    folder.mkdir()
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "bench.entra",
        site.emulator.login_url,
        site.emulator.ca_file,
        folder,
    ]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as process:
        try:
            port = int(_retried((folder / "port").read_text))
            authorities = folder / "authorities.pem"
            authorities.write_text(site.emulator.ca_file.read_text() + (folder / "ca.pem").read_text())
            yield port, authorities
        finally:
            assert process.stdin is not None
            process.stdin.close()


def _logins(proxy: int) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", proxy, timeout=_SECONDS)) as connection:
        connection.request("GET", "/count")
        return int(connection.getresponse().read())


def _retried(action: Callable[[], Result]) -> Result:
    """Return what an action returns once it does not fail any more."""
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            return action()
        except (KubectlFailed, FileNotFoundError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
