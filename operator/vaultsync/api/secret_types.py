"""What a Kubernetes Secret's type means for a spec: some are never written, some need certain keys."""

from typing import Annotated, Final

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


def _needs(secret_type: str, *keys: str) -> Check:
    return Check(
        f"self.target.type != '{secret_type}' || {list(keys)}.all(key, self.data.exists(entry, entry.key == key))",
        lambda spec: spec.target.type != secret_type or {entry.key for entry in spec.data}.issuperset(keys),
        f"a Secret of type {secret_type} needs the key{'s' * (len(keys) > 1)} {' and '.join(keys)}: "
        f"let an entry of data fill {'each' if len(keys) > 1 else 'it'}",
    )


def _needs_one(secret_type: str, *keys: str) -> Check:
    return Check(
        f"self.target.type != '{secret_type}' || self.data.exists(entry, entry.key in {list(keys)})",
        lambda spec: spec.target.type != secret_type or any(entry.key in keys for entry in spec.data),
        f"a Secret of type {secret_type} needs the key {' or '.join(keys)}: let an entry of data fill it",
    )


KEY_CHECKS: Final = (
    _needs("kubernetes.io/tls", "tls.crt", "tls.key"),
    _needs("kubernetes.io/dockerconfigjson", ".dockerconfigjson"),
    _needs("kubernetes.io/dockercfg", ".dockercfg"),
    _needs("kubernetes.io/ssh-auth", "ssh-privatekey"),
    _needs_one("kubernetes.io/basic-auth", "username", "password"),
)
"""Of a whole spec: the API server refuses Secrets of these types without these keys.

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
