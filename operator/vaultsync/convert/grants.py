"""The VaultGrants that drafts need: a vault, an identity, the namespaces, and the secrets by their names; no more."""

import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from vaultsync.api import API_VERSION, GRANT_KIND
from vaultsync.api.grants import CONTENT_TYPES, MAX_NAMES, VaultGrant
from vaultsync.api.model import InvalidSpec
from vaultsync.convert.drafts import Draft, Identity, plain
from vaultsync.policy.grants import HARMLESS_LABELS


@dataclass(slots=True)
class _Needs:
    """What the VaultSecrets of one namespace need of one vault."""

    secrets: set[str] = field(default_factory=set)
    types: set[str] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)
    annotations: set[str] = field(default_factory=set)
    adopt: bool = False
    delete: bool = False

    def add(self, draft: Draft) -> None:
        """Add what one VaultSecret needs."""
        target = plain(draft.target)
        self.secrets.update(name.lower() for name in draft.secrets())
        self.types.add(target.get("type", "Opaque"))
        self.labels.update(key for key in target.get("labels", {}) if "/" in key and key not in HARMLESS_LABELS)
        self.annotations.update(key for key in target.get("annotations", {}) if "/" in key)
        self.adopt |= bool(target.get("adopt"))
        self.delete |= plain(draft.spec).get("onSourceDeleted") == "Delete"

    def fields(self) -> dict[str, Any]:
        """Return the fields of a grant."""
        more = self.types - set(CONTENT_TYPES)
        allow = {
            "adopt": self.adopt,
            "delete": self.delete,
            "labels": sorted(self.labels),
            "annotations": sorted(self.annotations),
        }
        return {
            "types": [*CONTENT_TYPES, *sorted(more)] if more else [],
            "allow": {name: value for name, value in allow.items() if value},
        }


@dataclass(frozen=True, slots=True)
class Grant:
    """A VaultGrant and what is to be said about it."""

    document: dict[str, Any]
    remarks: tuple[str, ...]

    def problem(self) -> str:
        """Return why the API server would refuse it, or nothing."""
        metadata = {**self.document["metadata"], "uid": "0", "generation": 1, "resourceVersion": "1"}
        try:
            VaultGrant.parse({**self.document, "metadata": metadata})
        except InvalidSpec as error:
            return str(error)
        return ""


def grants_for(drafts: Iterable[Draft]) -> list[Grant]:
    """Return the grants that drafts need: namespaces that need the same share one, others have their own."""
    needs: defaultdict[tuple[str, Identity, str], _Needs] = defaultdict(_Needs)
    for draft in drafts:
        needs[draft.vault_url, draft.identity, draft.namespace].add(draft)
    shared: defaultdict[str, list[str]] = defaultdict(list)
    first: dict[str, tuple[str, Identity, _Needs]] = {}
    for (vault_url, identity, namespace), need in needs.items():
        what = repr((vault_url, identity, sorted(need.secrets), need.fields()))
        first.setdefault(what, (vault_url, identity, need))
        shared[what].append(namespace)
    return [
        _grant(identity, spec)
        for what, namespaces in shared.items()
        for vault_url, identity, need in [first[what]]
        for spec in _specs(vault_url, identity, need, sorted(namespaces))
    ]


def _specs(vault_url: str, identity: Identity, need: _Needs, namespaces: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the specs: several if the names do not fit into one, since grants of one identity add up."""
    for names, secrets in itertools.product(_batches(namespaces), _batches(sorted(need.secrets))):
        spec = {"vaultUrl": vault_url, "namespaces": {"names": names}, "secrets": secrets, **need.fields()}
        yield {
            **{name: value for name, value in spec.items() if value},
            **({} if identity.fields is None else {"identity": identity.fields}),
        }


def _batches(names: Sequence[str]) -> list[list[str]]:
    return [list(names[start : start + MAX_NAMES]) for start in range(0, len(names), MAX_NAMES)]


def _grant(identity: Identity, spec: dict[str, Any]) -> Grant:
    document = {"apiVersion": API_VERSION, "kind": GRANT_KIND, "metadata": {"name": _name(spec)}, "spec": spec}
    return Grant(document, (identity.remark, _remark_on_types(spec)))


def _name(spec: Mapping[str, Any]) -> str:
    """Return a name that no other grant has, so that applying one never replaces, and so revokes, that of another run.

    It has the vault, the first namespace, and a hash of the spec.
    """
    digest = sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:8]
    return f"{_host(spec['vaultUrl'])}-{spec['namespaces']['names'][0]}-{digest}"


def _remark_on_types(spec: Mapping[str, Any]) -> str:
    more = [name for name in spec.get("types", ()) if name not in CONTENT_TYPES]
    return f"The chart's value admissionPolicies.secretTypes has to have {' and '.join(more)}, too." if more else ""


def _host(vault_url: str) -> str:
    return vault_url.removeprefix("https://").split(".")[0].split(":")[0].strip("/").lower() or "vault"
