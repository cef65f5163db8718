"""Rules about the type of a Secret: some types are never written, some need certain keys; checks no content."""

from typing import Annotated, Any, Final

from pydantic import Field
from pydantic.config import JsonDict

from vaultsync.api.checks import Check, Pattern, matching

TOKEN_TYPES: Final = ("kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token")
"""Kubernetes turns a Secret of these types into a credential for the API server: they are never written."""

_TYPE = Pattern("[0-9A-Za-z]([-0-9A-Za-z_./]*[0-9A-Za-z])?")

SecretType = Annotated[
    str,
    Field(min_length=1, max_length=253),
    matching(_TYPE, "must be a type such as Opaque or example.com/credentials: letters, digits, '-', '_', '.' and '/'"),
    # Kubernetes compares types exactly; other controllers may not.
    Check(
        f"!(self.lowerAscii() in {list(TOKEN_TYPES)})",
        lambda kind: kind.lower() not in TOKEN_TYPES,
        f"must not be {' or '.join(TOKEN_TYPES)}: such a Secret is a credential for the Kubernetes API",
    ),
]


_MORE_KEYS: Final = (
    "(has(self.dataFrom) && self.dataFrom.size() > 0) || (has(self.target.template) && self.target.template.size() > 0)"
)
"""These may produce the keys. That is known only after reading the vault; then the API server checks the Secret."""


def _may_have_more_keys(spec: Any) -> bool:  # noqa: ANN401  the models depend on these checks
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
        f"add {'an entry for each' if len(keys) > 1 else 'an entry for it'} to data",
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
        f"a Secret of type {secret_type} needs the key {' or '.join(keys)}: add an entry for it to data",
    )


SPEC_CHECKS: Final = (
    Check(
        "(has(self.data) && self.data.size() > 0) || (has(self.dataFrom) && self.dataFrom.size() > 0)",
        lambda spec: bool(spec.data) or bool(spec.data_from),
        "must have at least one entry in data or dataFrom",
    ),
    _needs("kubernetes.io/tls", "tls.crt", "tls.key"),
    _needs("kubernetes.io/dockerconfigjson", ".dockerconfigjson"),
    _needs("kubernetes.io/dockercfg", ".dockercfg"),
    _needs("kubernetes.io/ssh-auth", "ssh-privatekey"),
    _needs_one("kubernetes.io/basic-auth", "username", "password"),
)
"""Rules for a whole spec: it must select a secret, and it must produce the keys that a built-in type requires.

https://kubernetes.io/docs/concepts/configuration/secret/#secret-types
"""

TYPE_IS_IMMUTABLE: Final[JsonDict] = {
    "rule": "!has(oldSelf.status) || !has(oldSelf.status.target) || oldSelf.status.target.name != "
    "(has(self.spec.target.name) ? self.spec.target.name : self.metadata.name) || "
    "self.spec.target.type == oldSelf.spec.target.type",
    "message": "the type of an existing Secret cannot change: use another target.name, or delete this VaultSecret and "
    "its Secret and create it again",
}
"""Rule for updates of a VaultSecret: a Secret's type is immutable in Kubernetes.

It compares with the Secret that was written, so a type that was never written can be corrected. Only in CEL: in Python,
the previous object is not known.
"""
