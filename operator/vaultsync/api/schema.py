"""The CustomResourceDefinitions as YAML, from the models, the same bytes every time; reads and writes no file."""

from typing import Any, Final

import yaml

from vaultsync.api import GROUP, KIND, PLURAL, VERSION
from vaultsync.api.checks import VALIDATIONS
from vaultsync.api.structural import Translation
from vaultsync.api.v1alpha1 import VaultSecret

_HEADER: Final = (
    "# Generated from operator/vaultsync/api/v1alpha1.py by `vaultsync crds --write crds`: edit the models, not this.\n"
)

_COLUMNS: Final = (
    (
        "Ready",
        "string",
        '.status.conditions[?(@.type=="Ready")].status',
        "True while the Secret holds what the vault holds.",
    ),
    ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', "Why, in one word."),
    ("Target", "string", ".status.target.name", "The Secret that was written."),
    ("Vault", "string", ".spec.vaultUrl", "The vault that is asked."),
    # Not a date: kubectl shows a date as an age, and one that lies ahead as <invalid>.
    ("Expires", "string", ".status.expires", "When the first of the secrets expires."),
    ("Age", "date", ".metadata.creationTimestamp", "How long the VaultSecret has been there."),
)


NOT_LOOKED_AT: Final = {"observedGeneration": -1}
"""The status of a VaultSecret that is seconds old. kstatus, by which Flux waits, takes an object without a status for
one that is as it should be: https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
"""


def crd_files() -> dict[str, bytes]:
    """Render every CRD, by the name of its file."""
    return {f"{PLURAL}.yaml": _to_yaml(vault_secret_crd())}


def vault_secret_crd() -> dict[str, Any]:
    """Build the CRD of VaultSecret."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["vs"],
                # Not "all": `kubectl get all` lists no Secrets either.
                "categories": ["vaultsync"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind, "jsonPath": path, "description": description}
                        for name, kind, path, description in _COLUMNS
                    ],
                    "schema": {"openAPIV3Schema": vault_secret_schema()},
                }
            ],
        },
    }


def vault_secret_schema() -> dict[str, Any]:
    """Build the structural schema of a whole VaultSecret; of its metadata the API server knows more than we."""
    # As serialized, since that includes what the status computes.
    schema = VaultSecret.model_json_schema(mode="serialization")
    translation = Translation(schema["$defs"])
    parts = schema["properties"]
    return {
        "description": schema["description"],
        "type": "object",
        VALIDATIONS: schema[VALIDATIONS],
        "required": ["spec"],
        "properties": {
            "apiVersion": {"description": f"The group and version of this API: {GROUP}/{VERSION}.", "type": "string"},
            "kind": {"description": f"The kind of this object: {KIND}.", "type": "string"},
            "metadata": {"type": "object"},
            "spec": translation.node(parts["spec"], "spec", defaults=True),
            "status": {**translation.node(parts["status"], "status", defaults=False), "default": NOT_LOOKED_AT},
        },
    }


def _to_yaml(document: dict[str, Any]) -> bytes:
    text = yaml.dump(document, Dumper=_NoAnchors, sort_keys=False, width=120, allow_unicode=True)
    return (_HEADER + text).encode()


class _NoAnchors(yaml.SafeDumper):
    """Writes out what occurs twice."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  the signature is PyYAML's
        return True
