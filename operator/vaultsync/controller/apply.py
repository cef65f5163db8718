"""Writes targets, and deletes those that are to be no more; decides nothing of what they hold.

Before anything is taken away, the VaultSecret is looked at once more: the watch may be behind, and what it has not told
yet may be that the user has thought better of it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from vaultsync.api import ObjectKey
from vaultsync.api.v1alpha1 import VaultSecret, VaultSecretMeta
from vaultsync.errors import Reason, SyncError
from vaultsync.policy.ownership import is_written_for
from vaultsync.render.manifest import foreign_keys
from vaultsync.state.desired import Desired
from vaultsync.state.observed import Observed


class KubeApi(Protocol):
    """Where targets live."""

    async def observe(self, key: ObjectKey) -> Observed | None:
        """Look at a Secret's metadata; None if there is none."""
        ...

    async def apply(self, key: ObjectKey, manifest: Mapping[str, Any], *, onto: Observed | None) -> Observed:
        """Apply a manifest by force to that very Secret; None makes a new one, and refuses to meet another."""
        ...

    async def discard(self, key: ObjectKey, *, observed: Observed) -> None:
        """Delete that very Secret; fine if it is gone."""
        ...

    async def drop_keys(self, key: ObjectKey, names: Iterable[str], *, observed: Observed) -> Observed:
        """Remove keys that others own."""
        ...

    async def ensure_current(self, vault_secret: VaultSecretMeta) -> None:
        """Make sure that it is still there, to stay, and as it was; raises `GoingAway` or `NotYet` if not."""
        ...


class Targets(Protocol):
    """What the watch of our targets last saw."""

    def remember(self, key: ObjectKey, observed: Observed) -> None:
        """Take what we wrote ourselves as seen."""
        ...

    def owned_by(self, uid: str) -> Collection[ObjectKey]:
        """The targets that say that they belong to the VaultSecret of that uid."""
        ...


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes and deletes; every method raises `SyncError`, of the kinds `GoingAway` and `NotYet` too."""

    cluster: KubeApi
    targets: Targets

    async def write(
        self, vault_secret: VaultSecret, observed: Observed | None, desired: Desired, *, takes_away: bool
    ) -> None:
        """Make the target what is desired; `takes_away` if keys go that no user has taken out."""
        if takes_away:
            await self.cluster.ensure_current(vault_secret)
        target = vault_secret.target_key
        try:
            written = await self.cluster.apply(target, desired.manifest, onto=observed)
        except SyncError as error:
            replaces = vault_secret.spec.target.replace_immutable
            if error.reason is not Reason.TARGET_IMMUTABLE or observed is None or not replaces:
                raise
            await self.cluster.discard(target, observed=observed)
            written = await self.cluster.apply(target, desired.manifest, onto=None)
        if foreign := foreign_keys(written, desired):
            written = await self.cluster.drop_keys(target, foreign, observed=written)
        self.targets.remember(target, written)

    async def delete(self, vault_secret: VaultSecret, observed: Observed | None) -> bool:
        """Delete the target, if it is one that we wrote for this very VaultSecret; tell whether there was one."""
        if observed is None or not is_written_for(vault_secret, observed):
            return False
        await self.cluster.ensure_current(vault_secret)
        await self.cluster.discard(vault_secret.target_key, observed=observed)
        return True

    async def delete_stale_targets(self, vault_secret: VaultSecret) -> list[str]:
        """Delete what was the target under an earlier `target.name`, now that the present one is there; tell of it."""
        told = []
        for key in self.targets.owned_by(vault_secret.metadata.uid):
            if key == vault_secret.target_key or key.namespace != vault_secret.key.namespace:
                continue
            observed = await self.cluster.observe(key)
            if observed is not None and is_written_for(vault_secret, observed):
                await self.cluster.ensure_current(vault_secret)
                await self.cluster.discard(key, observed=observed)
                told.append(f"Deleted Secret {key.name}, which was the target before.")
        return told
