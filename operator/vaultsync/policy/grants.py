"""Decides by the grants what a VaultSecret may do; nothing is asked of a vault before.

Grants with the same identity whose namespaces and vault match a VaultSecret add up: it may use a secret, a type or an
ability that any of them allows. Grants of several identities never do: what one identity may read by one grant must not
be read by another. Quota and `onRevoked` are those of the most specific grant. Of several identities, that of the most
specific grant is used, or of the next one, if only that allows all of the VaultSecret.

A grant that names the namespace comes before patterns, a longer pattern before a shorter one, and a selector before
none; of equal ones, the first by name.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from vaultsync.api.fields import format_duration
from vaultsync.api.grants import IdentityRef, Namespaces, Operator, Quota, Requirement, VaultGrant
from vaultsync.api.v1alpha1 import OnSourceDeleted, VaultSecret
from vaultsync.errors import Reason
from vaultsync.state.access import Access, Identity, ManagedIdentity, OwnIdentity, ServicePrincipal, WorkloadIdentity
from vaultsync.state.globs import ALL, matches, matches_any
from vaultsync.state.grants import Allowance, Decision, Granted, GrantView, Refused
from vaultsync.state.requests import named_secrets
from vaultsync.texts import listed

HARMLESS_LABELS: Final = frozenset(f"app.kubernetes.io/{name}" for name in ("name", "component", "part-of", "version"))
"""Labels with a prefix that need no grant: no controller acts on them.

`app.kubernetes.io/instance` is not among them: by default, Argo CD takes an object with it for its own.
https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/
"""


def decide(vault_secret: VaultSecret, view: GrantView, before: Decision | None = None) -> Decision:
    """Decide what a VaultSecret may do, without regard to the number of others.

    Args:
        vault_secret: The VaultSecret.
        view: The grants.
        before: What was decided about the same spec before. It is not decided again by the same grants.
    """
    namespace, vault_url = vault_secret.key.namespace, vault_secret.spec.vault_url
    for allowed in view.allowances.get((vault_url, namespace), ()):
        if allowed.granted is before:
            return before
    decisions = [_decide(vault_secret, allowed) for allowed in _allowances(namespace, vault_url, view)]
    if not decisions:
        return _not_granted(
            f"No VaultGrant allows namespace {namespace} to use vault {vault_url}; ask whoever administers the cluster "
            "for one."
        )
    return next((one for one in decisions if isinstance(one, Granted)), decisions[0])


def is_for(grant: VaultGrant, namespace: str, vault_url: str, view: GrantView) -> bool:
    """Return whether a grant is for a namespace and a vault; no other plays a part in the decision."""
    return grant.spec.vault_url == vault_url and _matches(grant.spec.namespaces, namespace, view.labels.get(namespace))


def _decide(vault_secret: VaultSecret, allowed: Allowance) -> Decision:
    problem = next(_problems(vault_secret, allowed), None)
    if problem is not None:
        return _not_granted(f"{allowed.names}: {problem}")
    excess = next(_excess(vault_secret, allowed.granted.quota), None)
    if excess is not None:
        return Refused(Reason.QUOTA_EXCEEDED, f"VaultGrant {allowed.granted.access.grant} allows {excess}.")
    return allowed.granted


def _allowances(namespace: str, vault_url: str, view: GrantView) -> Sequence[Allowance]:
    """Return what the grants of each identity allow a namespace, the most specific first.

    The view keeps it: of several VaultSecrets of a namespace, only the first has to match all grants of the vault.
    """
    key = (vault_url, namespace)
    if key not in view.allowances:
        candidates = view.candidates(*key)
        if not candidates:
            return ()  # tenants may name any vault, and nothing is kept of it
        by_identity: dict[Identity, list[VaultGrant]] = {}
        matching = [grant for grant in candidates if is_for(grant, namespace, vault_url, view)]
        for grant in sorted(matching, key=lambda grant: _specificity(grant, namespace)):
            by_identity.setdefault(identity_of(grant.spec.identity, namespace), []).append(grant)
        view.allowances[key] = tuple(_allowance(identity, grants) for identity, grants in by_identity.items())
    return view.allowances[key]


def _allowance(identity: Identity, grants: Sequence[VaultGrant]) -> Allowance:
    """Return what grants of one identity allow together, the most specific first."""
    first, allowed = grants[0], [grant.spec.allow for grant in grants]
    names = listed(sorted(grant.metadata.name for grant in grants))
    return Allowance(
        names=f"{'VaultGrant' if len(grants) == 1 else 'VaultGrants'} {names}",
        granted=Granted(
            access=Access(first.metadata.name, first.spec.vault_url, identity),
            secrets=_patterns(grants),
            quota=first.spec.quota,
            on_revoked=first.spec.on_revoked,
        ),
        types=frozenset(each for grant in grants for each in grant.spec.types),
        adopt=any(allow.adopt for allow in allowed),
        restart=any(allow.restart for allow in allowed),
        delete=any(allow.delete for allow in allowed),
        labels=tuple(prefix for allow in allowed for prefix in allow.labels),
        annotations=tuple(prefix for allow in allowed for prefix in allow.annotations),
    )


def over_count(granted: Granted) -> Refused:
    """Return the refusal of a VaultSecret that is one too many in its namespace."""
    return Refused(
        Reason.QUOTA_EXCEEDED,
        f"VaultGrant {granted.access.grant} allows {granted.quota.vault_secrets} VaultSecrets in a namespace, and "
        "older ones use them up; delete some, or ask for more.",
    )


def identity_of(ref: IdentityRef | None, namespace: str) -> Identity:
    """Return the identity that a grant names, for VaultSecrets of a namespace."""
    if ref is None:
        return OwnIdentity()
    if (workload := ref.workload_identity) is not None:
        return WorkloadIdentity(workload.tenant_id, workload.client_id, namespace, workload.service_account_name)
    if (managed := ref.managed_identity) is not None:
        return ManagedIdentity(managed.client_id)
    principal = ref.service_principal
    assert principal is not None
    key = principal.client_secret_ref or principal.certificate_ref
    assert key is not None
    return ServicePrincipal(
        principal.tenant_id, principal.client_id, key.name, key.key, principal.certificate_ref is not None
    )


def uses_labels(grants: Iterable[VaultGrant]) -> bool:
    """Return whether any grant selects namespaces by their labels."""
    return any(grant.spec.namespaces.selector is not None for grant in grants)


def _not_granted(message: str) -> Refused:
    return Refused(Reason.NOT_GRANTED, message)


def _patterns(grants: Sequence[VaultGrant]) -> tuple[str, ...]:
    patterns = {pattern.lower() for grant in grants for pattern in grant.spec.secrets}
    return (ALL,) if ALL in patterns else tuple(sorted(patterns))


def _problems(vault_secret: VaultSecret, allowed: Allowance) -> Iterator[str]:
    """Yield what is not allowed. Whether a secret exists plays no part in it."""
    spec, target, patterns = vault_secret.spec, vault_secret.spec.target, allowed.granted.secrets
    secrets = [one.ref.name for one in named_secrets(spec) if not matches_any(patterns, one.ref.name)]
    if secrets:
        yield f"no pattern in secrets matches {listed(sorted(set(secrets)))}."
    if target.type not in allowed.types:
        yield "types does not contain the target.type of this VaultSecret."
    if target.adopt and not allowed.adopt:
        yield "target.adopt needs allow.adopt."
    if spec.restart and not allowed.restart:
        yield "restart needs allow.restart."
    if spec.on_source_deleted is OnSourceDeleted.DELETE and not allowed.delete:
        yield "onSourceDeleted: Delete needs allow.delete."
    copied = ("copyLabels", target.copy_labels)
    for field, labels in (("labels", target.labels), copied, ("metadataFrom.labels", target.labels_from)):
        if refused := _refused_keys(set(labels) - HARMLESS_LABELS, allowed.labels):
            yield f"allow.labels does not allow {listed(refused)} in target.{field}."
    for field, keys in (("annotations", target.annotations), ("metadataFrom.annotations", target.annotations_from)):
        if refused := _refused_keys(keys, allowed.annotations):
            yield f"allow.annotations does not allow {listed(refused)} in target.{field}."


def _refused_keys(keys: Iterable[str], prefixes: Sequence[str]) -> list[str]:
    return [
        key
        for key in sorted(keys)
        if "/" in key and not any(prefix == ALL or key.startswith(prefix) for prefix in prefixes)
    ]


def _excess(vault_secret: VaultSecret, quota: Quota) -> Iterator[str]:
    spec = vault_secret.spec
    if len(spec.data) + len(spec.data_from) > quota.entries:
        yield f"{quota.entries} items in data and dataFrom"
    if spec.refresh_interval < quota.min_refresh_interval:
        yield f"a refreshInterval of {format_duration(quota.min_refresh_interval)} or longer"


def _matches(namespaces: Namespaces, namespace: str, labels: Mapping[str, str] | None) -> bool:
    if namespaces.names and not matches_any(namespaces.names, namespace):
        return False
    selector = namespaces.selector
    if selector is None:
        return bool(namespaces.names)
    if labels is None:
        # Labels that are not known match nothing, not even a requirement that a label is missing.
        return False
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _is_met(requirement, labels) for requirement in selector.match_expressions
    )


def _is_met(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    """As for other selectors, a label that is missing is not in any set of values."""
    value = labels.get(requirement.key)
    match requirement.operator:
        case Operator.IN:
            return value in requirement.values
        case Operator.NOT_IN:
            return value not in requirement.values
        case Operator.EXISTS:
            return value is not None
        case Operator.DOES_NOT_EXIST:
            return value is None


def _specificity(grant: VaultGrant, namespace: str) -> tuple[bool, int, bool, str]:
    """Return a key that is lower for a grant that is more specific for a namespace."""
    namespaces = grant.spec.namespaces
    names = [name for name in namespaces.names if matches(name, namespace)]
    literal = max((len(re.sub(r"[*?]", "", name)) for name in names), default=0)
    return namespace not in names, -literal, namespaces.selector is None, grant.metadata.name
