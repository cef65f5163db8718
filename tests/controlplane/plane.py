"""Starts and stops the control plane, its parts in order and with their flags; builds none of them."""

import json
import secrets
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.controlplane.audit import POLICY
from tests.controlplane.cluster import Cluster, verifying, write_kubeconfig, write_private
from tests.controlplane.parts import Part, free_ports

_CONTROLLERS: Final = (
    "clusterrole-aggregation-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "validatingadmissionpolicy-status-controller",
)

_ESTABLISHED_SECONDS: Final = 300.0
"""A guard against CustomResourceDefinitions that are never served."""


class ApiServerPlane(Cluster):
    """etcd and kube-apiserver in one folder; a context manager that starts and stops them.

    Its parts can be stopped one by one: `plane.apiserver.stop()`, `plane.etcd.restart()`.

    Args:
        tools: Where the programs are, as `build.ensure_tools` returns it.
        folder: Data, certificates, kubeconfigs and logs; data that is found there is used.
        audited: Whether the API server writes the requests of service accounts to `audit_log`.
        flags: More flags of the programs, by the program's name.
        authority: The authority of the API server's certificate, if the flags name one; otherwise it makes its own.
    """

    etcd: Part
    apiserver: Part

    def __init__(
        self,
        tools: Mapping[str, Path],
        folder: Path,
        *,
        audited: bool = False,
        flags: Mapping[str, Mapping[str, object]] | None = None,
        authority: Path | None = None,
    ) -> None:
        super().__init__(tools["kubectl"], folder / "kubeconfig")
        self.logs = folder / "logs"
        self.audit_log = self.logs / "audit.log"
        self._audited = audited
        self._flags = flags or {}
        self._folder = folder
        self._certificates = folder / "certificates"
        self.authority = authority or self._certificates / "apiserver.crt"
        self._token = secrets.token_urlsafe()
        self._etcd_port, self._peer_port, self._port = free_ports(3)
        self.url = f"https://127.0.0.1:{self._port}"
        self.etcd_data = folder / "etcd"
        self.etcd_url = f"http://127.0.0.1:{self._etcd_port}"
        self.etcd = self._etcd(tools["etcd"])
        self.apiserver = self._apiserver(tools["kube-apiserver"])

    @property
    def parts(self) -> tuple[Part, ...]:
        """The programs, in the order in which they start."""
        return self.etcd, self.apiserver

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports on which the parts listen."""
        return self._etcd_port, self._peer_port, self._port

    def start(self) -> None:
        """Starts all parts and returns when they are ready.

        Raises:
            PartFailed: One of them is not; none is left running.
        """
        self.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self._folder / "tokens.csv", f'{self._token},admin,admin,"system:masters"\n')
        write_kubeconfig(self.kubeconfig, url=self.url, ca=self.authority, token=self._token)
        self._audit_policy.write_text(json.dumps(POLICY))
        if not self._signing_key.exists():
            write_private(self._signing_key, _new_key())
        try:
            for part in self.parts:
                part.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends all parts; the data stays."""
        for part in reversed(self.parts):
            part.stop()

    def install(self, crds: Path) -> None:
        """Applies CustomResourceDefinitions (a file or a folder); returns when they are in use."""
        self.kubectl("apply", "-f", crds)
        # Not by `kubectl wait`, which fails on what has no conditions yet.
        deadline = time.monotonic() + _ESTABLISHED_SECONDS
        while not _are_established(json.loads(self.kubectl("get", "-o", "json", "-f", crds))):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{crds} is not in use after {_ESTABLISHED_SECONDS:g} s")
            time.sleep(0.2)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _audit_policy(self) -> Path:
        return self._folder / "audit-policy.json"

    @property
    def _signing_key(self) -> Path:
        return self._folder / "service-accounts.key"

    def _etcd(self, program: Path) -> Part:
        client, peer = self.etcd_url, f"http://127.0.0.1:{self._peer_port}"
        flags = {
            "data-dir": self.etcd_data,
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
            # A power cut may lose this data; it is not needed afterwards.
            "unsafe-no-fsync": "true",
            # The only member elects itself soon; shorter intervals cost etcd a percent of a processor at rest.
            "heartbeat-interval": 50,
            "election-timeout": 500,
        }
        return self._part("etcd", program, flags, ready=lambda: _answers(f"{client}/health", verify=False))

    def _apiserver(self, program: Path) -> Part:
        flags = {
            "etcd-servers": self.etcd_url,
            "bind-address": "127.0.0.1",
            "advertise-address": "127.0.0.1",
            "secure-port": self._port,
            "cert-dir": self._certificates,
            "authorization-mode": "RBAC",
            "token-auth-file": self._folder / "tokens.csv",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": self._signing_key,
            "service-account-signing-key-file": self._signing_key,
            "service-cluster-ip-range": "10.0.0.0/24",
            # There is no network behind the `kubernetes` service, so its endpoints are not reconciled.
            "endpoint-reconciler-type": "none",
        }
        if self._audited:
            flags |= {"audit-policy-file": self._audit_policy, "audit-log-path": self.audit_log}
        return self._part("kube-apiserver", program, flags, ready=self._apiserver_answers)

    def _part(self, name: str, program: Path, flags: Mapping[str, object], *, ready: Callable[[], bool]) -> Part:
        flags = {**flags, **self._flags.get(name, {})}
        arguments = [f"--{flag}={value}" for flag, value in flags.items()]
        return Part(name, [program, *arguments], log=self.logs / f"{name}.log", ready=ready)

    def _apiserver_answers(self) -> bool:
        # On the first start the API server makes its own certificate.
        if not self.authority.exists():
            return False
        return _answers(f"{self.url}/readyz", verify=verifying(self.authority))


class ControlPlane(ApiServerPlane):
    """The same with kube-controller-manager: garbage collection, the end of namespaces, service accounts."""

    controllers: Part

    def __init__(
        self,
        tools: Mapping[str, Path],
        folder: Path,
        *,
        audited: bool = False,
        flags: Mapping[str, Mapping[str, object]] | None = None,
        authority: Path | None = None,
    ) -> None:
        super().__init__(tools, folder, audited=audited, flags=flags, authority=authority)
        (self._controllers_port,) = free_ports(1)
        self.controllers = self._controllers(tools["kube-controller-manager"])

    @property
    def parts(self) -> tuple[Part, ...]:
        """The programs, in the order in which they start."""
        return *super().parts, self.controllers

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports on which the parts listen."""
        return *super().ports, self._controllers_port

    def install(self, crds: Path) -> None:
        """Applies CustomResourceDefinitions (a file or a folder); returns when they are in use."""
        super().install(crds)
        # The garbage collector discovers new kinds every 30 seconds, and when it starts.
        self.controllers.restart()

    def _controllers(self, program: Path) -> Part:
        flags = {
            "kubeconfig": self.kubeconfig,
            "authentication-kubeconfig": self.kubeconfig,
            "authorization-kubeconfig": self.kubeconfig,
            "controllers": ",".join(_CONTROLLERS),
            "leader-elect": "false",
            "bind-address": "127.0.0.1",
            "secure-port": self._controllers_port,
        }
        # Its certificate is kept in memory only; /healthz says that it is up.
        ready = f"https://127.0.0.1:{self._controllers_port}/healthz"
        return self._part("kube-controller-manager", program, flags, ready=lambda: _answers(ready, verify=False))


def _answers(url: str, *, verify: ssl.SSLContext | bool) -> bool:
    try:
        return httpx.get(url, verify=verify, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _new_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def _are_established(found: Mapping[str, Any]) -> bool:
    """Whether all of them are served: one CustomResourceDefinition, or a list of them."""
    return all(
        any(
            (condition["type"], condition["status"]) == ("Established", "True")
            for condition in crd.get("status", {}).get("conditions") or ()
        )
        for crd in found.get("items", [found])
    )
