"""The metrics endpoint of the installed chart with TLS and with authorization of scrapers by the cluster's roles."""

import os
import ssl
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
import trustme

from tests.controlplane.build import ensure_tools
from tests.controlplane.helm import Helm
from tests.controlplane.plane import ControlPlane
from tests.e2e.harness import PATIENCE, eventually
from tests.e2e.installation import Installation, settings_here
from tests.e2e.operators import RunningOperator
from tests.emulator.client import Emulator

_RELEASE: Final = "vaultsync-guarded"
_ENVIRON: Final = os.environ  # noqa: TID251 - where the built programs are kept is the caller's choice

Get = Callable[..., httpx.Response]


@pytest.fixture
def guarded(
    controlplane: ControlPlane, emulator: Emulator, namespace: str, tmp_path: Path
) -> Iterator[tuple[RunningOperator, Get]]:
    """An operator, and what sends a GET to its port of metrics, with a token if one is given."""
    authority = trustme.CA()
    issued, theirs = authority.issue_cert("127.0.0.1"), ssl.create_default_context()
    authority.configure_trust(theirs)
    issued.cert_chain_pems[0].write_to_path(tmp_path / "tls.crt")
    issued.private_key_pem.write_to_path(tmp_path / "tls.key")
    files = {"tlsCertFile": str(tmp_path / "tls.crt"), "tlsKeyFile": str(tmp_path / "tls.key")}
    settings = settings_here(watchNamespaces=[namespace], metricsAuthorization=True, **files)
    helm = Helm(ensure_tools(_ENVIRON, sys.stderr)["helm"], tmp_path / "helm", controlplane.environ())
    installation = Installation(helm, controlplane, namespace, _RELEASE)
    installation.install({"settings": settings, "crds": {"enabled": False}})
    environ = installation.environ() | emulator.environment()
    with (
        RunningOperator.start(environ, tmp_path / "operator.log", arguments=installation.arguments()) as running,
        httpx.Client(
            verify=theirs, timeout=PATIENCE, base_url=f"https://{settings['listen']}", trust_env=False
        ) as client,
    ):
        eventually(lambda: running.ports is not None, "the ports")
        yield (
            running,
            lambda path, token="": client.get(path, headers={"Authorization": f"Bearer {token}"} if token else {}),
        )
    installation.uninstall()


def test_metrics_need_the_charts_role_and_probes_need_nothing(
    controlplane: ControlPlane, namespace: str, guarded: tuple[RunningOperator, Get]
) -> None:
    operator, get = guarded
    tokens = {}
    for account in ("prometheus", "shop"):
        controlplane.kubectl("create", "serviceaccount", account, "-n", namespace)
        tokens[account] = controlplane.kubectl("create", "token", account, "-n", namespace).strip()
    role, user = f"--clusterrole={_RELEASE}.{namespace}.metrics-reader", f"--serviceaccount={namespace}:prometheus"
    controlplane.kubectl("create", "clusterrolebinding", namespace, role, user)

    eventually(lambda: get("/metrics", tokens["prometheus"]).is_success, "an authorized scrape")
    assert "vaultsync_build_info" in get("/metrics", tokens["prometheus"]).text
    assert [get("/metrics", token).status_code for token in (tokens["shop"], "junk", "")] == [403, 401, 401]
    assert operator.get("/healthz").is_success
    operator.await_ready()
