"""What is believed of a target's metadata and of a status: as much as a VaultSecret's own spec asks for; reads nothing.

Whoever may write a Secret can forge our annotation and our fields, and whoever may write the status, that. What the
spec does not ask for costs no memory, enters no status, and counts for nothing.
"""

import fnmatch
import re
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final, TypeVar

from vaultsync.api.fields import is_secret_name
from vaultsync.api.model import Model
from vaultsync.api.sources import MAX_ENTRIES
from vaultsync.api.v1alpha1 import MAX_RESTARTS, VaultSecret, VaultSecretMeta, VaultSecretSpec, VaultSecretStatus
from vaultsync.state.applied import Applied
from vaultsync.state.observed import MAX_FIELDS, Field, Observed, Unclaimed, unclaimed
from vaultsync.state.requests import named_secrets, searches
from vaultsync.state.secrets import SecretRef

MAX_NAMED_KEYS: Final = 4 * MAX_ENTRIES
"""Keys of a target without `find` and `object`: those of entries, of previous versions, certificates and templates."""

MAX_TEXT: Final = 4096
"""Characters of a text in the status: our own are shorter."""

_MAX_METADATA: Final = 100
"""Labels, annotations and owners of a target: a spec has at most 32 labels and 32 annotations."""

_CONDITIONS: Final = frozenset({"Ready", "Stale", "Expiring"})

_Meta = TypeVar("_Meta", bound=VaultSecretMeta)


class Demand:
    """Which secrets a spec asks for."""

    def __init__(self, spec: VaultSecretSpec) -> None:
        self._named = {request.ref.identity for request in named_secrets(spec)}
        self._names = {ref.name for ref in self._named}
        self._finds = [re.compile(fnmatch.translate((find.names or "*").lower())).match for find in searches(spec)]
        self.max_keys = MAX_FIELDS if self._finds or any(one.object for one in spec.data_from) else MAX_NAMED_KEYS

    def has(self, ref: SecretRef) -> bool:
        """Return whether the spec names this version of a secret, or a search may have found it."""
        return ref.identity in self._named or (ref.follows and self._finds_name(ref.name))

    def has_name(self, name: str) -> bool:
        """Return whether the spec names any version of a secret, or a search may have found it."""
        return name.lower() in self._names or self._finds_name(name)

    def _finds_name(self, name: str) -> bool:
        # Tags are not known of a secret that the vault does not have any more.
        return bool(self._finds) and is_secret_name(name) and any(matches(name.lower()) for matches in self._finds)


def kept(observed: Observed, vault_secrets: Collection[VaultSecret]) -> Observed | Unclaimed:
    """Return what is kept of a Secret whose name these VaultSecrets have as their target's."""
    if not vault_secrets:
        return unclaimed(observed)
    demands = [Demand(one.spec) for one in vault_secrets]
    max_keys = max(demand.max_keys for demand in demands)
    return replace(
        observed,
        applied=_asked_for(observed.applied, demands, max_keys),
        ours=_bounded(observed.ours, max_keys),
        foreign={field: observed.foreign[field] for field in sorted(observed.foreign)[:max_keys]},
    )


def believed_target(observed: Observed | None, vault_secret: VaultSecret) -> Observed | None:
    """Return the target without what the spec of one of its VaultSecrets does not ask for."""
    if observed is None or observed.applied is None:
        return observed
    demand = Demand(vault_secret.spec)
    return replace(observed, applied=_asked_for(observed.applied, [demand], demand.max_keys))


def believed_status(vault_secret: VaultSecret) -> VaultSecret:
    """Return the VaultSecret without what its spec does not ask for in the status, and with texts of bounded length."""
    demand = Demand(vault_secret.spec)
    workloads = {(one.kind, one.name) for one in vault_secret.spec.restart}
    status = vault_secret.status
    asked_for = {
        "entries": tuple(one for one in status.entries if demand.has_name(one.secret_name)),
        "missing": tuple(one for one in status.missing if demand.has_name(one.secret_name)),
        "restarts": tuple(one for one in status.restarts if (one.kind, one.name) in workloads),
    }
    return _with_status(vault_secret, _bounded_status(status.model_copy(update=asked_for), demand.max_keys))


def bounded_meta(meta: VaultSecretMeta) -> VaultSecretMeta:
    """Return a VaultSecret whose spec cannot be read, with a bounded status."""
    return _with_status(meta, _bounded_status(meta.status, MAX_FIELDS))


def _with_status(meta: _Meta, status: VaultSecretStatus) -> _Meta:
    if status == meta.status:
        return meta
    # Without a generation, the status that follows differs, and so is written, although it has all that is believed.
    return meta.model_copy(update={"status": status.model_copy(update={"observed_generation": None})})


def _bounded_status(status: VaultSecretStatus, max_keys: int) -> VaultSecretStatus:
    conditions = {one.type: one for one in status.conditions if one.type in _CONDITIONS and _is_short(one)}
    refresh = status.last_handled_refresh
    return status.model_copy(
        update={
            "conditions": tuple(conditions.values()),
            "target": None if status.target is None or not _is_short(status.target) else status.target,
            "entries": tuple(filter(_is_short, status.entries))[:max_keys],
            "missing": tuple(filter(_is_short, status.missing))[:max_keys],
            "restarts": tuple(filter(_is_short, status.restarts))[:MAX_RESTARTS],
            "last_handled_refresh": None if refresh is None or len(refresh) > MAX_TEXT else refresh,
        }
    )


def _is_short(part: Model) -> bool:
    texts = (text for _, text in part if isinstance(text, str))
    return all(len(text) <= MAX_TEXT for text in texts)


def _asked_for(applied: Applied | None, demands: Iterable[Demand], max_keys: int) -> Applied | None:
    if applied is None:
        return None
    secrets, keys = [], 0
    for state in applied.secrets:
        keys += len(state.keys)
        if keys <= max_keys and any(demand.has(state.ref) for demand in demands):
            secrets.append(state)
    return applied if len(secrets) == len(applied.secrets) else replace(applied, secrets=tuple(secrets[:max_keys]))


def _bounded(fields: frozenset[Field], max_keys: int) -> frozenset[Field]:
    if len(fields) <= _MAX_METADATA:
        return fields
    data = sorted(field for field in fields if field.area == "data")
    metadata = sorted(fields.difference(data))
    return frozenset((*data[:max_keys], *metadata[:_MAX_METADATA]))
