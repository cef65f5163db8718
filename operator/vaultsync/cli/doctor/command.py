"""Runs all checks in order: cluster, rights, operator, grants, VaultSecrets, vaults; each prints as it ends."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from functools import partial
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
    KindMissing,
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
    Brief,
    Found,
    all_findings,
    brief_from,
    found_from,
    grant_findings,
    one_findings,
    target_finding,
)
from vaultsync.cli.session import Session
from vaultsync.errors import SyncError
from vaultsync.policy.grants import decide, is_for, uses_labels
from vaultsync.settings import Settings
from vaultsync.state.grants import GrantView, Refused, grant_from, labels_from
from vaultsync.state.requests import named_secrets


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
        self._many: Sequence[Brief] = ()
        self._one: Found | None = None
        self._grants: dict[str, VaultGrant] = {}
        self._notes: list[Finding] = []
        """About grants that are not evaluated."""
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
        for part in (*always, self._check_grants, self._vaultsecrets, self._vaults) if is_installed else always:
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
        """Read what the checks are about, as far as that is allowed: of many VaultSecrets, only what is shown."""
        await self._load_grants()
        try:
            if not self._name:
                read = partial(brief_from, view=self._view)
                self._many, _ = await self._cluster.list(VAULTSECRETS, self._namespace, read)
            elif (body := await self._cluster.get(VAULTSECRETS, self._namespace, self._name)) is not None:
                self._one = found_from(body)
        except Denied:
            self._rights.deny("get" if self._name else "list", VAULTSECRETS)

    async def _load_grants(self) -> None:
        try:
            bodies, _ = await self._cluster.list(VAULTGRANTS, None, lambda body: body)
        except (Denied, KindMissing):
            self._rights.deny("list", VAULTGRANTS)
            return
        for body in bodies:
            name = str(body["metadata"]["name"])
            try:
                grant = grant_from(body)
            except InvalidSpec as error:
                self._notes.append(failed("grants", f"VaultGrant {name} is not valid in this version: {error}"))
                continue
            if grant is not None:
                self._grants[name] = grant
        labels: Mapping[str, Mapping[str, str]] = {}
        if uses_labels(self._grants.values()):
            try:
                labels = await self._labels()
            except Denied as error:
                text = f"Grants with a selector are not evaluated: {error.message}"
                self._notes.append(unknown("grants", text))
                return
        self._view = GrantView(self._grants, labels)

    async def _labels(self) -> Mapping[str, Mapping[str, str]]:
        """Return the labels of the namespaces that are checked."""
        if self._namespace is None:
            listed, _ = await self._cluster.list(
                NAMESPACES, None, lambda body: (body["metadata"]["name"], labels_from(body))
            )
            return dict(listed)
        body = await self._cluster.get(NAMESPACES, None, self._namespace)
        return {} if body is None else {self._namespace: labels_from(body)}

    async def _ask(self) -> AsyncIterator[Finding]:
        target = "" if self._one is None else self._one.target.name
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

    async def _check_grants(self) -> AsyncIterator[Finding]:
        if not self._may("list", VAULTGRANTS):
            return
        for note in self._notes:
            yield note
        concerned = list(filter(self._concerns, self._grants.values()))
        for one in grant_findings(concerned, self._namespace) if concerned or not self._name else ():
            yield one

    def _concerns(self, grant: VaultGrant) -> bool:
        """Return whether a grant is for the vault of the one VaultSecret, or may be for the namespace."""
        if self._name:
            return self._one is not None and grant.spec.vault_url == self._one.vault_url
        if self._namespace is None or self._view is None:
            return True
        return is_for(grant, self._namespace, grant.spec.vault_url, self._view)

    async def _vaultsecrets(self) -> AsyncIterator[Finding]:
        if not self._may("get" if self._name else "list", VAULTSECRETS):
            return
        if not self._name:
            for one in all_findings(self._many):
                yield one
            return
        if self._one is None:
            key = ObjectKey(self._namespace or "", self._name)
            yield failed(f"vaultsecret {key}", "There is no such VaultSecret.", "vaultsync status -A shows all.")
            return
        for one in one_findings(self._one, self._view, now=self._session.now()):
            yield one
        if self._may("get", SECRETS):
            yield target_finding(self._one, await self._metadata(self._one.target))

    async def _metadata(self, target: ObjectKey) -> Mapping[str, Any] | None:
        body = await self._cluster.get(SECRETS, *target)
        return None if body is None else body["metadata"]

    async def _vaults(self) -> AsyncIterator[Finding]:
        wanted = wanted_of(self._many) if self._one is None else list(wanted_of_one(self._one, self._view))
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


def wanted_of(many: Iterable[Brief]) -> Sequence[Wanted]:
    """Return the vaults of many VaultSecrets that the operator reads, each with one secret that is read."""
    wanted: dict[str, Wanted] = {}
    for one in many:
        url = one.vault_url
        if url is not None and (url not in wanted or not wanted[url].secrets):
            wanted[url] = Wanted(url, () if one.first is None else (one.first,))
    return list(wanted.values())


def wanted_of_one(one: Found, view: GrantView | None) -> Iterator[Wanted]:
    """Yield the vault of a VaultSecret with all secrets that it names, and the versions that its Secret has.

    If no grant allows it, there is none: whoever writes VaultSecrets would choose what the login of others reads.
    """
    if one.parsed is None or (view is not None and isinstance(decide(one.parsed, view), Refused)):
        return
    refs = list(dict.fromkeys(each.ref for each in named_secrets(one.parsed.spec)))
    entries = one.meta.status.entries
    versions = {entry.secret_name.lower(): entry.version for entry in entries if entry.version is not None}
    yield Wanted(one.parsed.spec.vault_url, refs[:MAX_SHOWN], versions)
