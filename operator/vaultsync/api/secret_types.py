"""Rules about the type of a Secret: some types are never written, some need certain keys; checks no content."""

from collections.abc import Mapping, Sequence
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


KEYS_OF_TYPES: Final[Mapping[str, Sequence[Sequence[str]]]] = {
    "kubernetes.io/tls": [["tls.crt"], ["tls.key"]],
    "kubernetes.io/dockerconfigjson": [[".dockerconfigjson"]],
    "kubernetes.io/dockercfg": [[".dockercfg"]],
    "kubernetes.io/ssh-auth": [["ssh-privatekey"]],
    "kubernetes.io/basic-auth": [["username", "password"]],
}
"""The keys that a Secret of each built-in type needs, of each list at least one.

https://kubernetes.io/docs/concepts/configuration/secret/#secret-types
"""


def _has_keys(spec: Any) -> bool:  # noqa: ANN401  the models depend on this check
    # These may produce the keys. That is known only after reading the vault; then the API server checks the Secret.
    if spec.data_from or spec.target.template:
        return True
    given = {entry.key for entry in spec.data}
    return all(not given.isdisjoint(names) for names in KEYS_OF_TYPES.get(spec.target.type, ()))


def _cel(secret_type: str) -> str:
    given = " && ".join(f"self.data.exists(entry, entry.key in {names})" for names in KEYS_OF_TYPES[secret_type])
    return f"(self.target.type != '{secret_type}' || ({given}))"


def _listed(keys: Sequence[Sequence[str]]) -> str:
    return " and ".join(" or ".join(names) for names in keys)


SPEC_CHECKS: Final = (
    Check(
        "(has(self.data) && self.data.size() > 0) || (has(self.dataFrom) && self.dataFrom.size() > 0)",
        lambda spec: bool(spec.data) or bool(spec.data_from),
        "must have at least one entry in data or dataFrom",
    ),
    # One rule for all types: almost all Secrets have another one, and the API server evaluates it with each status.
    Check(
        f"!(self.target.type in {list(KEYS_OF_TYPES)}) || (has(self.dataFrom) && self.dataFrom.size() > 0) || "
        "(has(self.target.template) && self.target.template.size() > 0) || "
        f"(has(self.data) && {' && '.join(map(_cel, KEYS_OF_TYPES))})",
        _has_keys,
        "this type of Secret needs keys that data lacks, so add entries for them: "
        + ", ".join(f"{_listed(keys)} for {secret_type}" for secret_type, keys in KEYS_OF_TYPES.items()),
    ),
)
"""Rules for a whole spec: it must select a secret, and it must produce the keys that a built-in type requires."""

TYPE_IS_IMMUTABLE: Final[JsonDict] = {
    "rule": "self.spec.target.type == oldSelf.spec.target.type || "
    "!has(oldSelf.status) || !has(oldSelf.status.target) || "
    "oldSelf.status.target.name != (has(self.spec.target.name) ? self.spec.target.name : self.metadata.name)",
    "message": "the type of an existing Secret cannot change: use another target.name, or delete this VaultSecret and "
    "its Secret and create it again",
}
"""Rule for updates of a VaultSecret: a Secret's type is immutable in Kubernetes.

It compares with the Secret that was written, so a type that was never written can be corrected. Only in CEL: in Python,
the previous object is not known.
"""
