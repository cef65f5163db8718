"""The interfaces of what sources and controller use: the API server, the vaults, a recorder; implements none of them.

The adapters and the fakes of tests match them by shape.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, Protocol

from kvsecrets import SecretValue
from vaultsync.api import ObjectKey
from vaultsync.api.grants import GrantMeta
from vaultsync.api.v1alpha1 import ObjectMeta, StatusRestart, VaultSecretMeta, VaultSecretStatus, WorkloadKind
from vaultsync.errors import SyncError
from vaultsync.policy.leases import Lease
from vaultsync.policy.rollout import Workload
from vaultsync.render.certificate_requests import CertificateRequest, Conversion
from vaultsync.render.passwords import PasswordRequest
from vaultsync.state.access import Access, TokenClaims
from vaultsync.state.listings import ListingPage, SecretMetadata
from vaultsync.state.moments import Moment
from vaultsync.state.observed import Observed, Unclaimed
from vaultsync.state.positions import Position
from vaultsync.state.secrets import SecretRef, VaultReading
from vaultsync.state.snapshots import (
    ClusterEvent,
    ClusterKind,
    ClusterList,
    CurrentVersions,
    Kept,
    ListSnapshot,
    TargetEvent,
    TargetList,
)
from vaultsync.state.vaults import Missing
from vaultsync.status.events import Event
from vaultsync.status.outcome import Outcome


class KubeApi(Protocol):
    """The API server. Every method raises `SyncError`; of the kind `ObjectGone` where a namespace is being deleted."""

    async def get_target(self, key: ObjectKey) -> Observed | None:
        """Return a Secret's metadata; None if it does not exist."""
        ...

    async def get_target_data(self, key: ObjectKey, *, observed: Observed) -> Mapping[str, SecretValue]:
        """Return the data of that very Secret, as it was observed, by key and in base64."""
        ...

    async def get_target_manifest(self, key: ObjectKey, *, observed: Observed) -> SecretValue:
        """Return the manifest, as JSON, that creates that very Secret again, as it was observed."""
        ...

    async def apply_target(self, key: ObjectKey, manifest: Mapping[str, Any], *, onto: Observed | None) -> Observed:
        """Apply a manifest by force to that very Secret; None creates one, and fails if there is another."""
        ...

    async def check_creation(self, key: ObjectKey, manifest: Mapping[str, Any]) -> None:
        """Check, without storing anything, that a Secret could be created if there were none of its name."""
        ...

    async def announce_replacement(self, key: ObjectKey, *, observed: Observed) -> Observed:
        """Annotate that very Secret, as it was observed, which proves that the API server stores writes."""
        ...

    async def delete_target(self, key: ObjectKey, *, observed: Observed) -> None:
        """Delete that very Secret, as it was observed; one that is gone is not an error."""
        ...

    async def remove_keys(self, key: ObjectKey, names: Iterable[str], *, observed: Observed) -> Observed:
        """Remove keys from that very Secret, as it was observed, whichever manager owns them."""
        ...

    async def remove_owners(self, key: ObjectKey, *, observed: Observed) -> Observed:
        """Remove all owner references from that very Secret, as it was observed, and whom it was retained for."""
        ...

    async def remove_annotations(self, key: ObjectKey, names: Iterable[str], *, observed: Observed) -> Observed:
        """Remove annotations from that very Secret, as it was observed, whichever manager owns them."""
        ...

    async def orphan_target(self, key: ObjectKey, *, observed: Observed | Unclaimed, retained_by: str) -> None:
        """Remove our labels, annotation and owner reference from that very Secret, as it was observed.

        Its content stays, and it names the VaultSecret of the uid `retained_by` as the one that may take it up again.
        """
        ...

    async def list_targets(
        self, namespace: str | None, keep: Callable[[ObjectKey, Observed], Kept]
    ) -> TargetList[Kept]:
        """List what `keep` returns of each Secret that carries our label, in one namespace or in all."""
        ...

    def watch_targets(
        self, namespace: str | None, resource_version: str, on_open: Callable[[], None] = ...
    ) -> AsyncGenerator[TargetEvent, None]:
        """Watch the Secrets that carry our label, for some time; call `on_open` once the API server has accepted it."""
        ...

    async def check_installed(self, namespace: str | None) -> None:
        """Check that VaultSecrets can be listed."""
        ...

    async def list_vaultsecrets(self, namespace: str | None) -> ListSnapshot:
        """List the VaultSecrets, in one namespace or in all."""
        ...

    async def current_versions(self, namespace: str | None) -> CurrentVersions:
        """Return the current resource versions, which are not lower than any that was observed before."""
        ...

    async def list_cluster(self, kind: ClusterKind, name: str | None = None) -> ClusterList:
        """List all grants, or namespaces, or the one of that name."""
        ...

    def watch_cluster(
        self, kind: ClusterKind, name: str | None, resource_version: str
    ) -> AsyncGenerator[ClusterEvent, None]:
        """Watch all grants, or namespaces, or the one of that name, for some time."""
        ...

    async def find_vaultsecret(self, namespace: str, *, uid: str) -> VaultSecretMeta | None:
        """Return the VaultSecret of that uid; None if there is none."""
        ...

    async def ensure_current(self, vault_secret: VaultSecretMeta) -> None:
        """Check that it still exists with the same spec; raises `ObjectGone` or `ObjectChanged` if not."""
        ...

    async def patch_status(self, vault_secret: VaultSecretMeta, status: Mapping[str, Any]) -> ObjectMeta | None:
        """Write the status; returns the object's metadata, or None if it is gone or was changed at the same time."""
        ...

    async def patch_grant_status(self, grant: GrantMeta, status: Mapping[str, Any]) -> None:
        """Write the status of the VaultGrant of that uid; one that is gone is not an error."""
        ...

    async def create_event(self, key: ObjectKey, event: Event, *, event_id: str, uid: str, at: datetime) -> None:
        """Create an event about the VaultSecret of that uid, unless there is one of that `event_id`."""
        ...

    async def get_workload(self, kind: WorkloadKind, key: ObjectKey) -> Workload | None:
        """Return a workload's metadata; None if it does not exist."""
        ...

    async def restart_workload(self, kind: WorkloadKind, key: ObjectKey, workload: Workload, *, at: datetime) -> bool:
        """Have its pods replaced; returns False if it has changed since it was observed."""
        ...


class VaultClients(Protocol):
    """The vaults. Every method raises `SyncError`."""

    async def get(
        self, access: Access, ref: SecretRef, *, namespace: str = "", since: float | None = None
    ) -> VaultReading:
        """Read one secret, at least as new as the polls' metadata; raises `SecretNotFound` if it does not exist.

        A secret that is known to be missing, also to the last poll, is not read again. With `since`, no result is used
        of a read that began before that time of the monotonic clock.
        """
        ...

    def moment(self) -> Moment:
        """Return the present moment, in the order of what polls observe."""
        ...

    def list_pages(self, access: Access) -> AsyncGenerator[ListingPage, None]:
        """List all secrets of a vault, without values, one call per page."""
        ...

    async def head(self, access: Access, name: str) -> SecretMetadata | Missing:
        """Read one secret's metadata, and drop the value."""
        ...

    async def probe(self, access: Access) -> TokenClaims:
        """Make one authenticated call; returns whom the token of the identity names."""
        ...

    def divide_budgets(self, shares: Mapping[str, float]) -> None:
        """Use these parts of the budgets of vaults, by URL, and the whole budget of the others."""
        ...

    def responds(self, access: Access) -> bool:
        """Return whether the vault has responded to the last call; False if it was not called yet."""
        ...

    def has_responded(self, access: Access) -> bool:
        """Return whether the vault has responded to any call since it was closed last."""
        ...

    def opened(self) -> AbstractSet[Access]:
        """Return the vaults that were called since they were closed last."""
        ...

    async def close_vault(self, access: Access) -> None:
        """Close the connections to a vault that is not used any more."""
        ...


class Certificates(Protocol):
    """Converts certificates and hashes passwords where nothing else waits for it. Every method raises `SyncError`."""

    async def convert(self, namespace: str, requests: Sequence[CertificateRequest]) -> Sequence[Conversion]:
        """Return the files of each certificate of one VaultSecret; raises `StillBusy` if work of others comes first."""
        ...

    async def normalize(
        self, namespace: str, secret_type: str, data: Mapping[str, bytes], *, target: str
    ) -> Conversion:
        """Return the data of a Secret whose type demands keys, as its readers accept it; raises as `convert`."""
        ...

    async def hash_passwords(
        self, namespace: str, requests: Sequence[PasswordRequest], *, target: str
    ) -> Sequence[str]:
        """Return the hash of each password of one Secret; raises as `convert`."""
        ...

    async def expiries(self, namespace: str, data: Mapping[str, bytes], *, target: str) -> Mapping[str, datetime]:
        """Return when the first leaf certificate in each of these contents expires; raises as `convert`."""
        ...


class Recorder(Protocol):
    """Counts, logs and traces reconciles, calls and polls."""

    def reconciled(
        self,
        vault_secret: VaultSecretMeta,
        outcome: Outcome,
        *,
        after: VaultSecretStatus,
        seconds: float,
        read_reason: str | None,
    ) -> None:
        """Record how a reconcile ended, and why it read secrets, if it did; `after` is the status that follows."""
        ...

    def reconcile_error(self, key: ObjectKey, error: BaseException) -> None:
        """Record an unexpected exception of a reconcile."""
        ...

    def status_updated(self) -> None:
        """Record that a status was written."""
        ...

    def status_update_failed(self, vault_secret: VaultSecretMeta, error: SyncError) -> None:
        """Record that a status could not be written."""
        ...

    def workload_restarted(self, vault_secret: VaultSecretMeta, entry: StatusRestart) -> None:
        """Record a restart, or its failure if the entry has a problem."""
        ...

    def polled(self, vault_url: str, *, mode: str, calls: int, seconds: float, failure: SyncError | None) -> None:
        """Record one poll of a vault."""
        ...

    def forget_vaults_except(self, used: Collection[str]) -> None:
        """Forget what was recorded by vault, but for these vaults."""
        ...

    def poll_error(self, vault_url: str, error: BaseException) -> None:
        """Record an unexpected exception of a poll."""
        ...

    def shards_gained(self, number: int) -> None:
        """Record that this replica began to lead in so many shards."""
        ...

    def shards_lost(self, number: int) -> None:
        """Record that it ceased to lead in so many shards."""
        ...

    def queue_waited(self, seconds: float) -> None:
        """Record how many seconds a key waited in the queue."""
        ...


class Leases(Protocol):
    """The Leases of one kind. Every method raises `SyncError`, soon if the API server does not respond."""

    async def list(self) -> Sequence[Lease]:
        """List the Leases of all installations, as they are in the storage now."""
        ...

    async def get(self, name: str) -> Lease | None:
        """Return a Lease; None if there is none of that name."""
        ...

    async def check_rights(self, name: str) -> None:
        """Check that the Lease of that name may be taken; raises `Forbidden` if not."""
        ...

    async def acquire(self, name: str, present: Lease | None, *, at: datetime) -> Lease:
        """Take a Lease that is as it was read, or create it; raises `Conflict` if it is not."""
        ...

    async def renew(self, lease: Lease, *, at: datetime) -> Lease:
        """Renew a Lease of ours; raises as `acquire`."""
        ...

    async def release(self, lease: Lease, *, at: datetime, position: Position | None = None) -> None:
        """Release a Lease of ours, and say how far we have observed; raises as `acquire`."""
        ...

    async def delete(self, lease: Lease) -> None:
        """Delete a Lease; raises as `acquire`."""
        ...


class ShardServer(Protocol):
    """Serves the VaultSecrets of the shards that the election gives it. Its methods are called in order for a shard."""

    def gained(self, shards: AbstractSet[int], position: Position | None) -> None:
        """Begin to serve shards; `Shards` holds them already.

        First the caches have to be as new as those of the previous holders, or as the API server if `position` is None.
        """
        ...

    def lost(self, shards: AbstractSet[int]) -> None:
        """End at once whatever runs for shards: another replica may hold them; `Shards` does not any more."""
        ...

    async def drain(self, shards: AbstractSet[int]) -> Position | None:
        """Begin nothing more for shards, and return once nothing runs for them: within seconds, by ending the rest.

        Returns what this replica has observed of the API server; None if it has not served these shards, if work was
        ended, whose writes may be answered later, or if that cannot be said.

        Until it returns, `Shards.may_write` is true for them, and `Shards.may_begin` false. `lost` is not called after
        it, but may be called while it runs.
        """
        ...
