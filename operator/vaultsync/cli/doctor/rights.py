"""The rights that a user needs for the commands, asked of the API server by SelfSubjectAccessReviews."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final

from vaultsync.adapters.kube.reader import (
    CRDS,
    LEASES,
    PODS,
    SECRETS,
    VAULTGRANTS,
    VAULTSECRETS,
    ClusterReader,
    Resource,
    Right,
)
from vaultsync.cli.doctor.findings import Finding, failed, ok, unknown

AREA: Final = "rights"


@dataclass(frozen=True, slots=True)
class Need:
    """A right, and what a user does not see without it."""

    right: Right
    without: str
    is_essential: bool = False


def needs(namespace: str | None, *, lease_namespace: str, name: str = "", target: str = "") -> Iterator[Need]:
    """Yield the rights that the commands need in a namespace, or in all, or for one VaultSecret."""
    verb = "get" if name else "list"
    yield Need(Right(verb, VAULTSECRETS, namespace, name), "nothing else can be checked", is_essential=True)
    yield Need(Right("list", VAULTGRANTS), "it is not known what the grants allow")
    yield Need(Right("get", CRDS), "the version of the CustomResourceDefinitions is not known")
    yield Need(Right("list", LEASES, lease_namespace), "it is not known whether an operator runs")
    if target:
        yield Need(Right("get", SECRETS, namespace, target), "the Secret's metadata is not checked")
    yield Need(Right("patch", VAULTSECRETS, namespace, name), "vaultsync refresh is denied")
    yield Need(Right("list", PODS, namespace), "vaultsync who-uses shows no pods")


async def check(cluster: ClusterReader, needed: Iterator[Need]) -> AsyncIterator[tuple[Need, bool]]:
    """Yield each right, and whether the user has it."""
    for need in needed:
        yield need, await cluster.may(need.right)


def finding(need: Need, *, is_allowed: bool) -> Finding:
    """Return the line about a right."""
    if is_allowed:
        return ok(AREA, f"You may {need.right}.")
    text, advice = f"You may not {need.right}: {need.without}.", f"Ask for the right to {need.right}."
    return failed(AREA, text, advice) if need.is_essential else unknown(AREA, text, advice)


class Rights:
    """What the user may do, as far as it was asked."""

    def __init__(self) -> None:
        self._denied: set[tuple[str, Resource]] = set()

    def deny(self, verb: str, resource: Resource) -> None:
        """Remember that something is denied."""
        self._denied.add((verb, resource))

    def allow(self, verb: str, resource: Resource) -> bool:
        """Return whether something was not denied."""
        return (verb, resource) not in self._denied
