"""What is believed of a target's metadata and of a status: as much as a VaultSecret's own spec asks for; reads nothing.

Whoever may write a Secret can forge our annotation and our fields, and whoever may write the status, that. What the
spec does not ask for costs no memory, enters no status, and counts for nothing.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Final, TypeVar

from vaultsync.api.fields import is_secret_name
from vaultsync.api.model import Model
from vaultsync.api.sources import MAX_ENTRIES
from vaultsync.api.v1alpha1 import MAX_RESTARTS, VaultSecret, VaultSecretMeta, VaultSecretSpec
from vaultsync.state.applied import Applied
from vaultsync.state.globs import matches, omitter
from vaultsync.state.observed import MAX_FIELDS, Field, Observed, Unclaimed, unclaimed
from vaultsync.state.requests import named_secrets, searches
from vaultsync.state.secrets import SecretRef

MAX_NAMED_KEYS: Final = 4 * MAX_ENTRIES
"""Keys of a target without `find` and `object`: those of entries, of previous versions, certificates and templates."""

MAX_TEXT: Final = 4096
"""Characters of a text in the status: our own are shorter."""

_MAX_METADATA: Final = 140
"""Labels, annotations and owners of a target: a spec has at most 64 labels and 48 annotations."""

_CONDITIONS: Final = frozenset({"Ready", "Stalled", "Reconciling", "Stale", "Expiring"})

_Meta = TypeVar("_Meta", bound=VaultSecretMeta)


class Demand:
    """Which secrets a spec asks for."""

    def __init__(self, spec: VaultSecretSpec) -> None:
        self._named = {request.ref.identity for request in named_secrets(spec)}
        self._names = {ref.name for ref in self._named}
        self._finds = [(search.names, omitter(search.omit)) for search in searches(spec)]
        self.max_keys = MAX_FIELDS if self._finds or any(one.object for one in spec.data_from) else MAX_NAMED_KEYS

    def has(self, ref: SecretRef) -> bool:
        """Return whether the spec names this version of a secret, or a search may have found it."""
        return ref.identity in self._named or (ref.follows and self._finds_name(ref.name))

    def has_name(self, name: str) -> bool:
        """Return whether the spec names any version of a secret, or a search may have found it."""
        return name.lower() in self._names or self._finds_name(name)

    def _finds_name(self, name: str) -> bool:
        # Tags are not known of a secret that the vault does not have any more.
        if not self._finds or not is_secret_name(name):
            return False
        name = name.lower()
        return any(matches(glob, name) and not is_omitted(name) for glob, is_omitted in self._finds)


def kept(observed: Observed, vault_secrets: Collection[VaultSecret]) -> Observed | Unclaimed:
    """Return what is kept of a Secret whose name these VaultSecrets have as their target's."""
    if not vault_secrets:
        return unclaimed(observed)
    demands = [Demand(one.spec) for one in vault_secrets]
    max_keys = max(demand.max_keys for demand in demands)
    applied = _asked_for(observed.applied, demands, max_keys)
    if applied is observed.applied and len(observed.ours) <= _MAX_METADATA and len(observed.foreign) <= max_keys:
        return observed
    foreign = {field: observed.foreign[field] for field in sorted(observed.foreign)[:max_keys]}
    return replace(observed, applied=applied, ours=_bounded(observed.ours, max_keys), foreign=foreign)


def believed_target(observed: Observed | None, vault_secret: VaultSecret) -> Observed | None:
    """Return the target without what the spec of one of its VaultSecrets does not ask for."""
    if observed is None or observed.applied is None:
        return observed
    demand = Demand(vault_secret.spec)
    applied = _asked_for(observed.applied, [demand], demand.max_keys)
    return observed if applied is observed.applied else replace(observed, applied=applied)


def believed_status(vault_secret: VaultSecret) -> VaultSecret:
    """Return the VaultSecret without what its spec does not ask for in the status, and with texts of bounded length."""
    status = vault_secret.status
    if status.model_fields_set <= {"observed_generation"}:
        return vault_secret  # it has no other status yet
    demand = Demand(vault_secret.spec)
    workloads = {(one.kind, one.name) for one in vault_secret.spec.restart}
    return _with_status(
        vault_secret,
        entries=[one for one in status.entries if demand.has_name(one.secret_name)][: demand.max_keys],
        missing=[one for one in status.missing if demand.has_name(one.secret_name)][: demand.max_keys],
        restarts=[one for one in status.restarts if (one.kind, one.name) in workloads],
    )


def bounded_meta(meta: VaultSecretMeta) -> VaultSecretMeta:
    """Return a VaultSecret whose spec cannot be read, with a bounded status."""
    status = meta.status
    return _with_status(
        meta,
        entries=status.entries[:MAX_FIELDS],
        missing=status.missing[:MAX_FIELDS],
        restarts=status.restarts[:MAX_RESTARTS],
    )


def _with_status(meta: _Meta, **lists: Iterable[Model]) -> _Meta:
    """Return the VaultSecret with these lists in its status, without what is too long to be ours."""
    status = meta.status
    conditions = {one.type: one for one in status.conditions if one.type in _CONDITIONS}
    refresh = status.last_handled_refresh
    believed: dict[str, object] = {
        name: tuple(filter(_is_short, parts)) for name, parts in {**lists, "conditions": conditions.values()}.items()
    }
    believed["target"] = status.target if status.target is None or _is_short(status.target) else None
    believed["last_handled_refresh"] = refresh if refresh is None or len(refresh) <= MAX_TEXT else None
    if all(getattr(status, name) == part for name, part in believed.items()):
        return meta
    # Without a generation, the status that follows differs, and so is written, although it has all that is believed.
    return meta.model_copy(update={"status": status.model_copy(update={**believed, "observed_generation": None})})


def _is_short(part: Model) -> bool:
    fields = vars(part).values()
    are_short = all(len(field) <= MAX_TEXT for field in fields if isinstance(field, str))
    return are_short and all(_is_short(field) for field in fields if isinstance(field, Model))


def _asked_for(applied: Applied | None, demands: Sequence[Demand], max_keys: int) -> Applied | None:
    if applied is None:
        return None
    asked_for = [state for state in applied.secrets if any(demand.has(state.ref) for demand in demands)]
    keys = accumulate(len(state.keys) + len(state.kept) for state in asked_for)
    secrets = [state for state, count in zip(asked_for, keys, strict=True) if count <= max_keys][:max_keys]
    return applied if len(secrets) == len(applied.secrets) else replace(applied, secrets=tuple(secrets))


def _bounded(fields: frozenset[Field], max_keys: int) -> frozenset[Field]:
    if len(fields) <= _MAX_METADATA:
        return fields
    data = sorted(field for field in fields if field.area == "data")
    metadata = sorted(fields.difference(data))
    return frozenset((*data[:max_keys], *metadata[:_MAX_METADATA]))
