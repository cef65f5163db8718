"""The state as metrics show it; counts nothing itself."""

from vaultsync.adapters.keyvault import VaultClients
from vaultsync.adapters.keyvault.rate_limit import RateLimiter
from vaultsync.adapters.metrics import ALL_NAMESPACES, Snapshot, VaultSnapshot
from vaultsync.manager.controller import Controller
from vaultsync.sources.election import Election
from vaultsync.state.vaults import VaultView


def snapshot(controller: Controller, vaults: VaultClients, election: Election | None = None) -> Snapshot:
    """Return the state as metrics show it."""
    vaultsecrets, queue = controller.state.vaultsecrets, controller.queue
    of_vaults: dict[str, VaultSnapshot] = {}
    for access in vaultsecrets.accesses():
        one = _vault_snapshot(controller.state.vaults.view(access), vaults.rate_limiter(access))
        before = of_vaults.get(access.vault_url)
        of_vaults[access.vault_url] = one if before is None else one.combined(before)
    denied = [
        (namespace or ALL_NAMESPACES, denials.resource)
        for denials in (controller.source.denials, controller.targets.denials, *controller.grants.denials.values())
        for namespace in denials.namespaces
    ]
    shards = controller.state.shards
    is_in_conflict = election is not None and election.conflict is not None
    return Snapshot(
        vaultsecrets.all(),
        of_vaults,
        queue.depth,
        queue.oldest,
        denied,
        shards.number,
        len(shards.held),
        is_in_conflict,
    )


def _vault_snapshot(view: VaultView, rate_limiter: RateLimiter | None) -> VaultSnapshot:
    return VaultSnapshot(
        up=None if view.polls == 0 else not view.last_poll_failed,
        polled_at=view.polled_at,
        listed=view.listed,
        deletion_guard=view.losses is not None and view.losses.tripped,
        breaker_open=rate_limiter is not None and rate_limiter.is_open,
        throttled_seconds=0.0 if rate_limiter is None else rate_limiter.throttled_seconds,
        waited_seconds=0.0 if rate_limiter is None else rate_limiter.waited_seconds,
    )
