"""Builds every part of the operator in dependency order, by its settings; starts none of them."""

import random
import secrets
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
)

from vaultsync import __version__
from vaultsync.adapters.certificates.workers import CertificateWorkers
from vaultsync.adapters.identities import Authorities, Credentials, WrongEnvironment, check_environment
from vaultsync.adapters.keyvault import Budget, VaultClients
from vaultsync.adapters.kube import KubeApi
from vaultsync.adapters.kube.leases import LeaseKind
from vaultsync.adapters.metrics import Recorder, Scrapes
from vaultsync.adapters.server_certificate import ServerCertificate
from vaultsync.adapters.tracing import start_tracing
from vaultsync.followed_files import FollowedFiles
from vaultsync.manager.clock import Clock, utc_now
from vaultsync.manager.controller import Controller, build_controller
from vaultsync.manager.snapshot import snapshot
from vaultsync.policy.leases import Installation, replica_identity, unnamed_installation
from vaultsync.settings import PREFIX, Settings
from vaultsync.sources.election import Election, boot_time
from vaultsync.sources.restores import RestoreCheck
from vaultsync.sources.watch import VaultSecretWatch
from vaultsync.state.shards import Shards
from vaultsync.trust import FollowedTrust, client_tls

API_CONNECTIONS = 16
"""Connections to the API server: each takes memory for TLS, and more of them are not faster."""


@dataclass(frozen=True, slots=True)
class Operator:
    """The controller, and the parts that serve it or report about it."""

    controller: Controller
    watch: VaultSecretWatch
    restores: RestoreCheck
    election: Election
    kube: KubeApi
    vaults: VaultClients
    recorder: Recorder
    scrapes: Scrapes
    certificate: ServerCertificate | None
    followed: Mapping[str, FollowedFiles]
    """Files with certificates, by what they are."""


async def build(settings: Settings, environ: Mapping[str, str], stack: AsyncExitStack) -> Operator:
    """Build every part; `stack` closes those that must be closed.

    Raises:
        CannotTrace: Tracing is requested and not possible.
        NoCluster: No Kubernetes API is configured.
        WrongEnvironment: The variables of the operator's own identity, or a file of certificates, cannot be used.
    """
    check_environment(environ)
    clock = Clock(now=utc_now, monotonic=time.monotonic, jitter=random.uniform)
    metrics = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=metrics)
    followed: dict[str, FollowedFiles] = {}
    tls = _client_tls(settings.ca_file, followed)
    tracing = await stack.enter_async_context(start_tracing(environ, version=__version__, ca_file=settings.ca_file))
    recorder = Recorder(metrics, version=__version__, note=tracing.note)
    shards = Shards(settings.shards, clock=boot_time)
    # Another process of the same name, such as the one before a restart, holds nothing for this one.
    identity = replica_identity(environ.get("POD_NAME") or socket.gethostname(), secrets.token_hex(4))
    kube = await stack.enter_async_context(
        await KubeApi.connect(environ, connections=API_CONNECTIONS, identity=identity, shards=shards)
    )
    authorities = Authorities(
        dict(settings.vault_authorities),
        dict(settings.vault_resources),
        of_environment=environ.get("AZURE_AUTHORITY_HOST", ""),
    )
    credentials = Credentials(
        kube.client_credentials,
        authorities=authorities,
        namespace=environ.get("POD_NAMESPACE", ""),
        tls=tls,
        count=recorder.login,
    )
    stack.push_async_callback(credentials.aclose)
    vaults = VaultClients(
        credentials,
        tls=tls,
        budget=Budget(calls=settings.vault_calls_per_10s),
        count_call=recorder.vault_call,
        now=clock.now,
        clock=clock.monotonic,
    )
    stack.push_async_callback(vaults.aclose)
    certificates = CertificateWorkers()
    stack.push_async_callback(certificates.aclose)
    controller = build_controller(
        settings,
        kube=kube,
        vaults=vaults,
        certificates=certificates,
        recorder=recorder,
        clock=clock,
        tracing=tracing,
        shards=shards,
    )
    election = _election(settings, environ, kube, controller, clock, identity=identity)
    scrapes = Scrapes(
        recorder,
        state=partial(snapshot, controller, vaults, election),
        per_vault_secret=settings.metrics_per_vaultsecret,
    )
    certificate = _server_certificate(settings, followed)
    watch = VaultSecretWatch(controller.source, kube, namespaces=settings.watch_namespaces, jitter=clock.jitter)
    restores = RestoreCheck(
        kube, controller.state, namespaces=settings.watch_namespaces, restart=watch.restart, jitter=clock.jitter
    )
    return Operator(controller, watch, restores, election, kube, vaults, recorder, scrapes, certificate, followed)


def _election(
    settings: Settings,
    environ: Mapping[str, str],
    kube: KubeApi,
    controller: Controller,
    clock: Clock,
    *,
    identity: str,
) -> Election:
    """Return the election of the leaders of all shards."""
    name = settings.installation or unnamed_installation(environ.get("USER", ""), socket.gethostname())
    ours = Installation(name, settings.shards, frozenset(settings.watch_namespaces))
    leases = partial(kube.leases, installation=ours, identity=identity)
    namespace = environ.get("POD_NAMESPACE") or settings.lease_namespace
    return Election(
        ours,
        identity,
        controller.state.shards,
        controller.mover,
        leases(LeaseKind.SHARD, namespace=settings.lease_namespace),
        leases(LeaseKind.MEMBER, namespace=namespace),
        now=clock.now,
        clock=boot_time,
        jitter=clock.jitter,
    )


def _client_tls(ca_file: str, followed: dict[str, FollowedFiles]) -> ssl.SSLContext:
    """Return the TLS context of vaults and login hosts, and add its file. Raises `WrongEnvironment`."""
    if not ca_file:
        return client_tls()
    try:
        trust = FollowedTrust(ca_file)
    except OSError as error:
        text = f"{PREFIX}CA_FILE must name a file of certificates, in PEM: {error}"
        raise WrongEnvironment(text) from None
    followed["certificate authorities"] = trust.files
    return trust


def _server_certificate(settings: Settings, followed: dict[str, FollowedFiles]) -> ServerCertificate | None:
    """Load the certificate of the port of metrics, if it has one, and add its files. Raises `WrongEnvironment`."""
    if not settings.tls_cert_file:
        return None
    try:
        certificate = ServerCertificate(Path(settings.tls_cert_file), Path(settings.tls_key_file))
    except OSError as error:
        names = f"{PREFIX}TLS_CERT_FILE and {PREFIX}TLS_KEY_FILE"
        raise WrongEnvironment(f"{names} must name a certificate and its key, in PEM: {error}") from None
    followed["server certificate"] = certificate.files
    return certificate
