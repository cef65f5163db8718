"""Decides without another plan whether still nothing is due for a VaultSecret: a poll of thousands changes hardly any.

Whatever a plan depends on is compared with what it was when nothing was due. In doubt, the VaultSecret is planned.
"""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from operator import attrgetter
from typing import NamedTuple

from vaultsync.api.v1alpha1 import VaultSecret
from vaultsync.policy.plan import Plan
from vaultsync.state.listings import SecretMetadata
from vaultsync.state.observed import Observed
from vaultsync.state.requests import searches
from vaultsync.state.vaults import LastRead, VaultView

_facts = attrgetter(*(one.name for one in fields(SecretMetadata) if one.name != "observed_at"))
"""Returns all of a secret's metadata but when it was observed."""


class _Seen(NamedTuple):
    """What was known of a secret."""

    name: str
    """In lower case."""
    read_as: str
    metadata: SecretMetadata
    read: LastRead | None


@dataclass(frozen=True, slots=True)
class Quiet:
    """That nothing is due of a VaultSecret, and what this depends on."""

    vault_secret: VaultSecret
    observed: Observed
    seen: tuple[_Seen, ...]
    since: datetime
    until: datetime
    """When the first recheck is due."""

    def renewed(
        self, vault_secret: VaultSecret, observed: Observed | None, view: VaultView, now: datetime
    ) -> "Quiet | None":
        """Return the same by the current state; None unless nothing of it has changed that a plan depends on."""
        if observed is None or observed is not self.observed or vault_secret is not self.vault_secret:
            return None
        if not self.since <= now < self.until:
            return None
        seen: list[_Seen] = []
        for one in self.seen:
            metadata = view.find(one.name)
            if not isinstance(metadata, SecretMetadata) or _facts(metadata) != _facts(one.metadata):
                return None
            if view.reads.get(one.read_as) is not one.read:
                return None
            seen.append(_Seen(one.name, one.read_as, metadata, one.read))
        # It has the new metadata, so that nothing of an earlier view is kept.
        return Quiet(vault_secret, observed, tuple(seen), self.since, self.until)


def quiet(
    plan: Plan,
    vault_secret: VaultSecret,
    observed: Observed | None,
    view: VaultView,
    *,
    now: datetime,
    recheck: timedelta,
) -> Quiet | None:
    """Return what a plan without anything due depends on; None if that changes by itself, other than by a recheck."""
    if observed is None or plan.read_reason is not None or plan.failure is not None or plan.missing:
        return None
    if searches(vault_secret.spec):
        return None
    seen: list[_Seen] = []
    until = datetime.max.replace(tzinfo=now.tzinfo)
    for request in plan.requests:
        state = plan.known.get(request.ref.identity)
        if state is None or state.pending is not None:
            return None
        until = min(until, state.read_at + recheck)
        if not request.ref.follows and not request.ref.previous:
            continue  # polls do not observe pinned versions
        name = request.ref.name.lower()
        metadata, read = view.find(name), view.reads.get(request.ref.read_as)
        if not isinstance(metadata, SecretMetadata):
            return None
        if read is not None and (not read.settled or read.began > metadata.observed_at):
            return None
        seen.append(_Seen(name, request.ref.read_as, metadata, read))
    return Quiet(vault_secret, observed, tuple(seen), now, until)
