"""Whether an operator runs: by the Leases of its shards, whose holders renew them every two seconds.

Whether a holder is alive is judged by whether its Lease changes while we look, as other replicas judge it: two clocks
are never compared. Leases are read in one namespace only, in which tenants cannot write: anywhere else, a tenant could
claim that there is a leader.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from vaultsync.adapters.kube.leases import lease_from
from vaultsync.adapters.kube.reader import LEASES, ClusterReader
from vaultsync.api import LEASE_LABEL
from vaultsync.cli.doctor.findings import Finding, failed, ok, unknown
from vaultsync.policy.leases import LEASE_DURATION, Lease
from vaultsync.texts import listed

AREA: Final = "operator"
NO_LEADER: Final = "See docs/runbooks/VaultsyncNoLeader.md; the pods' log says why none leads."

_PERIOD: Final = 0.5
"""Seconds between two looks at the Leases."""


async def observe(
    cluster: ClusterReader, namespace: str, *, seconds: float = LEASE_DURATION
) -> tuple[Sequence[Lease], Collection[str]]:
    """Look at the Leases until all that are held were renewed, or for so many seconds.

    Returns:
        The Leases, and the names of those that were renewed meanwhile.
    """
    first = {lease.name: lease for lease in await _leases(cluster, namespace)}
    renewed: set[str] = set()
    now = dict(first)
    try:
        async with asyncio.timeout(seconds):
            while any(lease.holder is not None and name not in renewed for name, lease in now.items()):
                await asyncio.sleep(_PERIOD)
                now = {lease.name: lease for lease in await _leases(cluster, namespace)}
                renewed |= {
                    name for name, lease in now.items() if name not in first or lease.renewed != first[name].renewed
                }
    except TimeoutError:
        pass
    return list(now.values()), renewed


def leader_findings(
    leases: Sequence[Lease], renewed: Collection[str], *, lease_namespace: str, namespace: str | None
) -> Iterator[Finding]:
    """Yield a line for each installation whose Leases were found.

    Args:
        leases: The Leases.
        renewed: The names of those that were seen to change.
        lease_namespace: Where they are.
        namespace: The namespace of a VaultSecret that should be served; None for any.
    """
    by_installation: defaultdict[str, list[Lease]] = defaultdict(list)
    for lease in leases:
        by_installation[lease.installation].append(lease)
    if not by_installation:
        text = f"There is no Lease of an operator in namespace {lease_namespace}: none has ever run here."
        advice = (
            "Install the chart; if its value leaderElection.namespace is another namespace, set "
            "VAULTSYNC_LEASE_NAMESPACE to it for this command."
        )
        yield failed(AREA, text, advice)
    for installation, its in sorted(by_installation.items()):
        yield _finding(installation, its, renewed)
    watching = [one for one in leases if not one.namespaces or namespace is None or namespace in one.namespaces]
    if leases and not watching:
        text = f"No operator watches namespace {namespace}."
        yield failed(AREA, text, "Add it to the chart's value settings.watchNamespaces.")


def _finding(installation: str, leases: Sequence[Lease], renewed: Collection[str]) -> Finding:
    shards = max((lease.shards or 1 for lease in leases), default=1)
    alive = [lease for lease in leases if lease.holder is not None and lease.name in renewed]
    silent = [lease for lease in leases if lease.holder is not None and lease.name not in renewed]
    if silent:
        holders = listed(sorted({lease.holder or "" for lease in silent}))
        text = f"Installation {installation}: {holders} leads and has not renewed its Lease for {LEASE_DURATION:g} s."
        return failed(AREA, text, NO_LEADER)
    if not alive:
        return failed(AREA, f"Installation {installation} has no leader: its Leases were released.", NO_LEADER)
    holders = listed(sorted({lease.holder or "" for lease in alive}))
    if len(alive) < shards:
        text = f"Installation {installation}: {len(alive)} of {shards} shards have a leader ({holders})."
        return unknown(AREA, text, "A free shard is taken within seconds: try again.")
    return ok(AREA, f"Installation {installation} is led by {holders}.")


async def _leases(cluster: ClusterReader, namespace: str) -> list[Lease]:
    leases, _ = await cluster.list(LEASES, namespace, lease_from, labels=f"{LEASE_LABEL}=shard")
    return leases
