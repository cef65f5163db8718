"""Which Leases a replica takes, waits for and gives up, by what it has observed; sends nothing.

A Lease is a lock that its holder renews. The rules are those of client-go: whether a holder is alive is judged by when
we observed a change of its Lease, by a clock of our own that goes on while the process is stopped. Two clocks are never
compared, and what others write into a Lease about times and durations decides nothing.
https://pkg.go.dev/k8s.io/client-go/tools/leaderelection
"""

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from vaultsync.state.positions import Position

LEASE_DURATION: Final = 12.0
"""Seconds for which a Lease is its holder's after a renewal was observed."""

RENEW_DEADLINE: Final = 8.0
"""Seconds after the begin of the last successful renewal at which the holder stops to write.

What has left the process by then has `LEASE_DURATION` minus this time to arrive.
"""

RETRY_PERIOD: Final = 2.0
"""Seconds between two renewals; at most `JITTER` times as long."""

LOOK_PERIOD: Final = 0.5
"""Seconds between two looks for free shards, likewise: what is released is taken within a second."""

JITTER: Final = 1.2

REQUEST_TIMEOUT: Final = 2.5
"""Seconds for a request about a Lease: several of them fit into the renew deadline."""

MEMBER_DURATION: Final = RENEW_DEADLINE
"""Seconds for which a replica counts as alive after its renewal: shorter than its shards are its own."""

PATIENCE: Final = 3.0
"""Seconds for which a free shard is left to replicas that hold fewer. Then any replica takes it."""


_UNNAMED: Final = re.compile("[^a-z0-9]+")


def replica_identity(host: str, suffix: str) -> str:
    """Return the identity of a replica: its host, and a suffix that no other process has."""
    return f"{_dns_label(host)}-{suffix}"


def unnamed_installation(user: str, host: str) -> str:
    """Return the name of the installation of a process that has none, such as on a laptop."""
    return f"unnamed.{_dns_label(user)}.{_dns_label(host)}"


def _dns_label(text: str) -> str:
    return _UNNAMED.sub("-", text.lower())[:63].strip("-") or "unknown"


@dataclass(frozen=True, slots=True)
class Installation:
    """The replicas that share their work; two installations never serve the same namespace."""

    name: str
    shards: int = 1
    namespaces: frozenset[str] = frozenset()
    """The namespaces that it watches; empty for all."""

    def lease_name(self, shard: int) -> str:
        """Return the name of the Lease of a shard."""
        return f"{self.name}-{shard}"


@dataclass(frozen=True, slots=True)
class Lease:
    """A Lease as it was read; everything in it was written by others."""

    name: str
    uid: str
    resource_version: str
    holder: str | None
    """The identity of the replica that holds it; None if it was released."""
    renewed: str
    """The time of its last renewal, as it is written there: only its changes count."""
    transitions: int
    installation: str
    shards: int | None
    """The number of shards that its holder knows; None if it does not say."""
    namespaces: frozenset[str] = frozenset()
    position: Position | None = None
    """How far the replica that released it had observed the API server; None if it does not say, or did not."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A Lease, or that there is none, and since when it has been as it is, by our clock."""

    lease: Lease | None
    since: float
    is_renewed: bool = False
    """Whether it was seen to change: a replica that runs holds it, or has released it."""

    @property
    def free_at(self) -> float:
        """When any replica may take it."""
        is_held = self.lease is not None and self.lease.holder is not None
        return self.since + LEASE_DURATION if is_held else self.since

    def is_live(self, now: float) -> bool:
        """Return whether a replica may still hold it."""
        return now < self.free_at


Observations = Mapping[str, Observation]
"""By the names of the Leases."""


def observe(before: Observations, leases: Iterable[Lease], *, expected: Iterable[str], now: float) -> Observations:
    """Return the observations after a list of Leases.

    Args:
        before: The previous observations.
        leases: The Leases that exist.
        expected: Names of Leases that may not exist.
        now: A time after the list was received: a renewal that it shows had begun before.
    """
    after = {lease.name: _observed(before.get(lease.name), lease, now) for lease in leases}
    # The holder of a Lease that was deleted does not know it yet.
    after = {name: one for name, one in before.items() if one.lease is not None and one.is_live(now)} | after
    absent = {name: before.get(name) for name in expected if name not in after}
    return {
        name: one if one is not None and one.lease is None else Observation(None, now) for name, one in absent.items()
    } | after


def _observed(before: Observation | None, lease: Lease, now: float) -> Observation:
    if before is None or before.lease is None:
        return Observation(lease, now)
    if _record(before.lease) != _record(lease):
        return Observation(lease, now, is_renewed=True)
    return Observation(lease, before.since, before.is_renewed)


def _record(lease: Lease) -> tuple[object, ...]:
    """Return what a renewal changes: others may write labels."""
    return lease.uid, lease.holder, lease.renewed, lease.transitions


def conflicting(ours: Installation, observations: Observations, *, now: float) -> Lease | None:
    """Return a live Lease beside which no shard of ours may be served.

    That is one of another installation that watches the same namespaces, or of ours with another number of shards: the
    same namespace would be in two shards.
    """
    live = (one.lease for one in observations.values() if one.lease is not None and one.is_live(now))
    return next((lease for lease in live if _conflicts(ours, lease)), None)


def _conflicts(ours: Installation, lease: Lease) -> bool:
    if lease.installation == ours.name:
        return lease.shards != ours.shards
    return not ours.namespaces or not lease.namespaces or not ours.namespaces.isdisjoint(lease.namespaces)


@dataclass(frozen=True, slots=True)
class Share:
    """What a replica does about its share of the shards."""

    take: tuple[int, ...] = ()
    """Free shards to take."""
    give: int | None = None
    """A shard to give up: another replica holds at least two fewer."""


def share(
    ours: Installation,
    observations: Observations,
    *,
    identity: str,
    held: AbstractSet[int],
    members: Collection[str],
    now: float,
) -> Share:
    """Decide which shards to take, or to give up, so that each replica holds about as many.

    Args:
        ours: Our installation.
        observations: The Leases of its shards.
        identity: Ours.
        held: The shards that we hold.
        members: The identities of all live replicas of the installation, with or without ours.
        now: Our clock.
    """
    shards = {shard: observations[ours.lease_name(shard)] for shard in range(ours.shards) if shard not in held}
    free = [shard for shard, one in shards.items() if not one.is_live(now) or _holder(one) == identity]
    holders = Counter(_holder(one) for one in shards.values() if one.is_live(now))
    others = [holders[member] for member in members if member != identity]
    fewest = min(others, default=math.inf)
    if not free:
        return Share(give=max(held) if held and fewest <= len(held) - 2 else None)
    quota = math.ceil(ours.shards / (len(others) + 1)) - len(held) if len(held) <= fewest else 0
    prompt = sorted(free, key=lambda shard: _rank(identity, shard))[: max(0, quota)]
    late = [shard for shard in free if now >= shards[shard].free_at + PATIENCE]
    return Share(take=tuple(dict.fromkeys([*prompt, *late])))


def _holder(observation: Observation) -> str | None:
    return None if observation.lease is None else observation.lease.holder


def _rank(identity: str, shard: int) -> bytes:
    """Order the shards differently for each replica: they try different ones first."""
    return blake2b(f"{identity}/{shard}".encode(), digest_size=8).digest()
