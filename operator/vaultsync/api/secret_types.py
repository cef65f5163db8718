"""What a Kubernetes Secret's type means for a spec: some are never written, some need certain keys."""

from typing import Annotated, Any, Final

from pydantic import Field
from pydantic.config import JsonDict

from vaultsync.api.checks import Check

MINTED_TYPES: Final = ("kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token")
"""Kubernetes turns a Secret of such a type into a login to the cluster."""

SecretType = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Check(
        f"!(self in {list(MINTED_TYPES)})",
        lambda kind: kind not in MINTED_TYPES,
        f"must not be {' or '.join(MINTED_TYPES)}: Kubernetes would turn such a Secret into a login to the cluster",
    ),
]


_MORE_KEYS: Final = (
    "(has(self.dataFrom) && self.dataFrom.size() > 0) || (has(self.target.template) && self.target.template.size() > 0)"
)
"""Which keys these bring is known once the vault was read: Kubernetes judges the Secret then."""


def _may_have_more_keys(spec: Any) -> bool:  # noqa: ANN401  the models are made with these checks
    return bool(spec.data_from) or bool(spec.target.template)


def _needs(secret_type: str, *keys: str) -> Check:
    return Check(
        f"self.target.type != '{secret_type}' || {_MORE_KEYS} || "
        f"(has(self.data) && {list(keys)}.all(key, self.data.exists(entry, entry.key == key)))",
        lambda spec: (
            spec.target.type != secret_type
            or _may_have_more_keys(spec)
            or {entry.key for entry in spec.data}.issuperset(keys)
        ),
        f"a Secret of type {secret_type} needs the key{'s' * (len(keys) > 1)} {' and '.join(keys)}: "
        f"let an entry of data fill {'each' if len(keys) > 1 else 'it'}",
    )


def _needs_one(secret_type: str, *keys: str) -> Check:
    return Check(
        f"self.target.type != '{secret_type}' || {_MORE_KEYS} || "
        f"(has(self.data) && self.data.exists(entry, entry.key in {list(keys)}))",
        lambda spec: (
            spec.target.type != secret_type
            or _may_have_more_keys(spec)
            or any(entry.key in keys for entry in spec.data)
        ),
        f"a Secret of type {secret_type} needs the key {' or '.join(keys)}: let an entry of data fill it",
    )


SPEC_CHECKS: Final = (
    Check(
        "(has(self.data) && self.data.size() > 0) || (has(self.dataFrom) && self.dataFrom.size() > 0)",
        lambda spec: bool(spec.data) or bool(spec.data_from),
        "must have at least one line in data or dataFrom: say which secrets of the vault are wanted",
    ),
    _needs("kubernetes.io/tls", "tls.crt", "tls.key"),
    _needs("kubernetes.io/dockerconfigjson", ".dockerconfigjson"),
    _needs("kubernetes.io/dockercfg", ".dockercfg"),
    _needs("kubernetes.io/ssh-auth", "ssh-privatekey"),
    _needs_one("kubernetes.io/basic-auth", "username", "password"),
)
"""Of a whole spec: it must want something, and the API server refuses Secrets of these types without these keys.

https://kubernetes.io/docs/concepts/configuration/secret/#secret-types
"""

TYPE_STAYS: Final[JsonDict] = {
    "rule": "!has(oldSelf.status) || !has(oldSelf.status.target) || oldSelf.status.target.name != "
    "(has(self.spec.target.name) ? self.spec.target.name : self.metadata.name) || "
    "self.spec.target.type == oldSelf.spec.target.type",
    "message": "the type of a Secret that exists cannot change: give it another target.name as well, "
    "or delete this VaultSecret and its Secret and apply it again",
}
"""Of a whole VaultSecret, as it changes: Kubernetes does not let a Secret's type change, so we say it before it fails.

It looks at the Secret that was written, so that a type which never came to life can be corrected. It has no Python
face, since an object alone does not tell how it was before.
"""
