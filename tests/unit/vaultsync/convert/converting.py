"""Runs conversions, and returns what they print as objects."""

import json
from collections.abc import Mapping
from typing import Any

import yaml

from tests.unit.vaultsync.convert.samples import STORE
from vaultsync.convert.core import Conversion, Options, convert

Manifest = dict[str, Any]
DEFAULTS = Options()


def run(*manifests: str | Manifest, options: Options = DEFAULTS) -> Conversion:
    """Convert manifests, which are texts or objects."""
    texts = [one if isinstance(one, str) else json.dumps(one, indent=1) for one in manifests]
    return convert({"in.yaml": "\n---\n".join(texts)}, options)


def documents(conversion: Conversion, kind: str) -> list[Manifest]:
    """Return the documents of a kind, as kubectl reads them."""
    return [one for one in yaml.safe_load_all(conversion.text) if one is not None and one["kind"] == kind]


def vault_secret(conversion: Conversion) -> Manifest:
    """Return the only VaultSecret."""
    (only,) = documents(conversion, "VaultSecret")
    return only


def grant(conversion: Conversion) -> Manifest:
    """Return the only VaultGrant."""
    (only,) = documents(conversion, "VaultGrant")
    return only


def texts(conversion: Conversion) -> list[str]:
    """Return the findings, each with its subject and reason."""
    return [f"{finding.subject}: {finding.reason}" for finding in conversion.findings]


def external_secret(spec: Mapping[str, Any]) -> Conversion:
    """Convert an ExternalSecret with a store that needs nothing else."""
    body = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": "login", "namespace": "shop"},
        "spec": {"secretStoreRef": {"name": "azure"}, **spec},
    }
    return run(STORE, body)


def entry(remote: Mapping[str, Any]) -> Conversion:
    """Convert an ExternalSecret with one entry."""
    return external_secret({"data": [{"secretKey": "password", "remoteRef": {"key": "db-password", **remote}}]})
