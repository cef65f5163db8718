"""Runs all checks in order: cluster, rights, operator, grants, VaultSecrets, vaults; each prints as it ends."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from vaultsync.adapters.kube.reader import (
    CRDS,
    LEASES,
    NAMESPACES,
    SECRETS,
    VAULTGRANTS,
    VAULTSECRETS,
    Denied,
    Resource,
)
from vaultsync.api import ObjectKey
from vaultsync.api.grants import VaultGrant
from vaultsync.api.schema import vault_grant_crd, vault_secret_crd
from vaultsync.api.v1alpha1 import InvalidSpec
from vaultsync.cli.doctor.crds import AREA, crd_finding
from vaultsync.cli.doctor.findings import Finding, Report, document, exit_code, failed, ok, unknown
from vaultsync.cli.doctor.leader import leader_findings, observe
from vaultsync.cli.doctor.rights import Rights, check, finding, needs
from vaultsync.cli.doctor.vaults import VaultChecks, Wanted
from vaultsync.cli.doctor.vaultsecrets import (
    MAX_SHOWN,
    Found,
    all_findings,
    found_from,
    grant_findings,
    one_findings,
    target_finding,
)
from vaultsync.cli.session import Session
from vaultsync.errors import SyncError
from vaultsync.policy.grants import uses_labels
from vaultsync.settings import Settings
from vaultsync.state.grants import GrantView, grant_from, labels_from
from vaultsync.state.requests import named_secrets
from vaultsync.state.secrets import SecretRef


async def doctor(session: Session) -> int:
    """Check a namespace, all namespaces, or one VaultSecret; return the exit code."""
    settings = Settings.from_env(session.options.environ)
    report, found = Report(session.output), list[Finding]()
    is_json = session.options.output == "json"
    async for one in _Checks(session, settings).run():
        found.append(one)
        if not is_json:
            report.add(one)
    if is_json:
        session.output.json(document(found))
    return exit_code(found)


class _Checks:
    """The checks of one run, and what they have learned for those that follow."""

    def __init__(self, session: Session, settings: Settings) -> None:
        self._session = session
        self._cluster = session.cluster
        self._settings = settings
        self._name: str = session.options.name or ""
        self._namespace = session.namespace
        self._rights = Rights()
        self._found: Sequence[Found] = ()
        self._view: GrantView | None = None

    async def run(self) -> AsyncIterator[Finding]:
        """Yield what the checks find. Without the API server, or without our kinds, few of them can be made."""
        try:
            is_installed = await self._cluster.has_kind(VAULTSECRETS)
            if is_installed:
                await self._load()
        except SyncError as error:
            yield failed(AREA, error.message, "Try kubectl version: it has the same way to the cluster.")
            return
        yield ok(AREA, f"The Kubernetes API at {self._cluster.server} responds.")
        always = (self._crds, self._ask, self._operator)
        for part in (*always, self._grants, self._vaultsecrets, self._vaults) if is_installed else always:
            try:
                async for one in part():
                    yield one
            except Denied as error:
                yield unknown(AREA, error.message)
            except SyncError as error:
                yield failed(AREA, error.message)

    async def _crds(self) -> AsyncIterator[Finding]:
        for ours, resource in ((vault_secret_crd(), VAULTSECRETS), (vault_grant_crd(), VAULTGRANTS)):
            name = ours["metadata"]["name"]
            try:
                found = await self._cluster.get(CRDS, None, name)
            except Denied:
                if not await self._cluster.has_kind(resource):
                    yield crd_finding(name, None, ours)
                continue
            yield crd_finding(name, found, ours)

    async def _load(self) -> None:
        """Read the VaultSecrets that the checks are about, as far as that is allowed."""
        try:
            if not self._name:
                self._found, _ = await self._cluster.list(VAULTSECRETS, self._namespace, found_from)
            elif (body := await self._cluster.get(VAULTSECRETS, self._namespace, self._name)) is not None:
                self._found = [found_from(body)]
        except Denied:
            self._rights.deny("get" if self._name else "list", VAULTSECRETS)

    async def _ask(self) -> AsyncIterator[Finding]:
        target = self._found[0].target.name if self._name and self._found else ""
        needed = needs(self._namespace, lease_namespace=self._settings.lease_namespace, name=self._name, target=target)
        async for need, is_allowed in check(self._cluster, needed):
            if not is_allowed:
                self._rights.deny(need.right.verb, need.right.resource)
            yield finding(need, is_allowed=is_allowed)

    async def _operator(self) -> AsyncIterator[Finding]:
        where = self._settings.lease_namespace
        if not self._may("list", LEASES):
            return
        leases, renewed = await observe(self._cluster, where)
        served = self._namespace if self._name else None
        for one in leader_findings(leases, renewed, lease_namespace=where, namespace=served):
            yield one

    async def _grants(self) -> AsyncIterator[Finding]:
        if not self._may("list", VAULTGRANTS):
            return
        bodies, _ = await self._cluster.list(VAULTGRANTS, None, lambda body: body)
        grants: dict[str, VaultGrant] = {}
        for body in bodies:
            name = str(body["metadata"]["name"])
            try:
                grant = grant_from(body)
            except InvalidSpec as error:
                yield failed("grants", f"VaultGrant {name} is not valid in this version: {error}")
                continue
            if grant is not None:
                grants[name] = grant
        labels: Mapping[str, Mapping[str, str]] = {}
        if uses_labels(grants.values()):
            try:
                labels = await self._labels({one.key.namespace for one in self._found})
            except Denied as error:
                yield unknown("grants", f"Grants with a selector are not evaluated: {error.message}")
        self._view = GrantView(grants, labels)
        urls = {one.state.vault_url for one in self._found}
        concerned = [grant for grant in grants.values() if not self._name or grant.spec.vault_url in urls]
        for one in grant_findings(concerned) if concerned or not self._name else ():
            yield one

    async def _labels(self, namespaces: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
        labels = {}
        for namespace in namespaces:
            body = await self._cluster.get(NAMESPACES, None, namespace)
            labels[namespace] = {} if body is None else labels_from(body)
        return labels

    async def _vaultsecrets(self) -> AsyncIterator[Finding]:
        if not self._may("get" if self._name else "list", VAULTSECRETS):
            return
        if not self._name:
            for one in all_findings(self._found, self._view):
                yield one
            return
        if not self._found:
            key = ObjectKey(self._namespace or "", self._name)
            yield failed(f"vaultsecret {key}", "There is no such VaultSecret.", "vaultsync status -A shows all.")
            return
        (found,) = self._found
        for one in one_findings(found, self._view, now=self._session.now()):
            yield one
        if self._may("get", SECRETS):
            yield target_finding(found, await self._metadata(found.target))

    async def _metadata(self, target: ObjectKey) -> Mapping[str, Any] | None:
        body = await self._cluster.get(SECRETS, *target)
        return None if body is None else body["metadata"]

    async def _vaults(self) -> AsyncIterator[Finding]:
        wanted = list(wanted_of(self._found, is_one=bool(self._name)))
        if not wanted:
            return
        try:
            checks = VaultChecks(self._settings, self._session.options.environ, self._session.now)
        except OSError as error:
            yield failed("vaults", f"VAULTSYNC_CA_FILE cannot be used ({type(error).__name__}).")
            return
        async with checks:
            # All at once: each may take until its time limit.
            lines = await asyncio.gather(*map(checks.check, wanted[:MAX_SHOWN]))
        for line in chain.from_iterable(lines):
            yield line
        if len(wanted) > MAX_SHOWN:
            yield unknown("vaults", f"{len(wanted) - MAX_SHOWN} more vaults are not checked.", "Name a VaultSecret.")

    def _may(self, verb: str, resource: Resource) -> bool:
        return self._rights.allow(verb, resource)


def wanted_of(found: Iterable[Found], *, is_one: bool) -> Iterable[Wanted]:
    """Return the vaults to check, and which secrets to read: all that one VaultSecret names, or one of each vault."""
    wanted: dict[str, Wanted] = {}
    for one in found:
        url = one.state.vault_url
        refs = [] if one.parsed is None else list(dict.fromkeys(each.ref for each in named_secrets(one.parsed.spec)))
        if not url or (url in wanted and wanted[url].secrets):
            continue
        shown: Sequence[SecretRef] = refs[: MAX_SHOWN if is_one else 1]
        entries = one.meta.status.entries if is_one else ()
        versions = {entry.secret_name.lower(): entry.version for entry in entries if entry.version is not None}
        wanted[url] = Wanted(url, shown, versions)
    return wanted.values()
