"""Generates the CustomResourceDefinitions from the models, always the same bytes; reads and writes no file."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from vaultsync.api import GRANT_KIND, GRANT_PLURAL, GROUP, KIND, PLURAL, VERSION
from vaultsync.api.checks import VALIDATIONS
from vaultsync.api.grants import VaultGrant
from vaultsync.api.model import Model
from vaultsync.api.status import FORMER_NAME
from vaultsync.api.v1alpha1 import VaultSecret

_HEADER: Final = (
    "# Generated from operator/vaultsync/api by `vaultsync crds --write crds`: edit the models, not this.\n"
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; a wide one is shown by `-o wide` only."""

    name: str
    kind: str
    path: str
    description: str
    wide: bool = False

    @property
    def document(self) -> dict[str, Any]:
        """The column as a CRD has it."""
        return {
            "name": self.name,
            "type": self.kind,
            "jsonPath": self.path,
            "description": self.description,
            **({"priority": 1} if self.wide else {}),
        }


Columns = tuple[Column, ...]

_MESSAGE: Final = Column(
    "Message",
    "string",
    '.status.conditions[?(@.type=="Ready")].message',
    "The details of the reason.",
    wide=True,
)

_COLUMNS: Final[Columns] = (
    Column(
        "Ready",
        "string",
        '.status.conditions[?(@.type=="Ready")].status',
        "Whether the Secret matches the vault.",
    ),
    Column("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', "The reason for that."),
    Column("Target", "string", ".status.target.name", "The Secret that was written."),
    Column("Vault", "string", ".spec.vaultUrl", "The URI of the vault."),
    # Not of type date: kubectl shows dates as ages, and future dates as <invalid>. The second name is the former one: a
    # status with it is not rewritten before something changes.
    Column(
        "Expires",
        "string",
        ".status['expiryTime','expires']",
        "When the first of its secrets or their certificates expires.",
    ),
    Column("Age", "date", ".metadata.creationTimestamp", "The age of the VaultSecret."),
    Column("Written", "date", ".status.lastChangeTime", "How long ago the Secret was last written.", wide=True),
    Column("Refresh", "string", ".spec.refreshInterval", "How often the vault is polled for changes.", wide=True),
    Column("Keys", "integer", ".status.keyCount", "The number of keys that secrets of the vault fill.", wide=True),
    Column(
        "Stale",
        "string",
        '.status.conditions[?(@.type=="Stale")].status',
        "Whether it was not confirmed for three refresh intervals that the Secret matches the vault.",
        wide=True,
    ),
    _MESSAGE,
)

_GRANT_COLUMNS: Final[Columns] = (
    Column(
        "Ready",
        "string",
        '.status.conditions[?(@.type=="Ready")].status',
        "Whether the vault answers this identity.",
    ),
    Column("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', "The reason for that."),
    Column("Vault", "string", ".spec.vaultUrl", "The URI of the vault."),
    Column("Identity", "string", ".status.vault.clientId", "The client id of the identity."),
    Column("VaultSecrets", "integer", ".status.vaultSecrets", "The number of VaultSecrets that use the identity."),
    Column("Age", "date", ".metadata.creationTimestamp", "The age of the VaultGrant."),
    Column("Answered", "date", ".status.vault.lastSuccessTime", "How long ago the vault last answered.", wide=True),
    _MESSAGE,
)

NOT_OBSERVED: Final = {"observedGeneration": -1}
"""The status of a new VaultSecret. kstatus, which Flux waits with, would report an object without a status as current.

https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
"""


def crd_files() -> dict[str, bytes]:
    """Return the YAML of every CRD by file name."""
    crds = {PLURAL: vault_secret_crd(), GRANT_PLURAL: vault_grant_crd()}
    return {f"{plural}.yaml": _to_yaml(crd) for plural, crd in sorted(crds.items())}


def vault_secret_crd() -> dict[str, Any]:
    """Return the CRD of VaultSecret."""
    # Not "vs": VolumeSnapshot and Istio's VirtualService have it.
    names = _names(KIND, PLURAL, "vsec")
    return _crd(names, "Namespaced", _COLUMNS, (".spec.vaultUrl", ".spec.target.name"), vault_secret_schema())


def vault_grant_crd() -> dict[str, Any]:
    """Return the CRD of VaultGrant."""
    names = _names(GRANT_KIND, GRANT_PLURAL, "vgrant")
    return _crd(names, "Cluster", _GRANT_COLUMNS, (".spec.vaultUrl",), vault_grant_schema())


def _names(kind: str, plural: str, short_name: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": plural,
        "singular": kind.lower(),
        "shortNames": [short_name],
        # Not "all": `kubectl get all` does not list Secrets either.
        "categories": ["vaultsync"],
    }


def _crd(
    names: Mapping[str, Any], scope: str, columns: Columns, selectable: Iterable[str], schema: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        # A release of Helm that does not install the CRD, or no longer, does not delete it either.
        "metadata": {"name": f"{names['plural']}.{GROUP}", "annotations": {"helm.sh/resource-policy": "keep"}},
        "spec": {
            "group": GROUP,
            "scope": scope,
            "names": names,
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    # For --field-selector. API servers before Kubernetes 1.31 drop them.
                    "selectableFields": [{"jsonPath": path} for path in selectable],
                    "additionalPrinterColumns": [column.document for column in columns],
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def vault_secret_schema() -> dict[str, Any]:
    """Return the structural schema of a VaultSecret; the API server validates metadata itself."""
    return _schema(VaultSecret, KIND)


def vault_grant_schema() -> dict[str, Any]:
    """Return the structural schema of a VaultGrant."""
    return _schema(VaultGrant, GRANT_KIND)


def _schema(model: type[Model], kind: str) -> dict[str, Any]:
    # The serialized form includes computed fields of the status.
    schema = model.model_json_schema(mode="serialization")
    translation = Translation(schema["$defs"])
    parts = schema["properties"]
    return {
        "description": " ".join(schema["description"].split()),
        "type": "object",
        **({VALIDATIONS: schema[VALIDATIONS]} if VALIDATIONS in schema else {}),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"description": f"The group and version of this API: {GROUP}/{VERSION}.", "type": "string"},
            "kind": {"description": f"The kind of this object: {kind}.", "type": "string"},
            "metadata": {"type": "object"},
            "spec": translation.node(parts["spec"], "spec", defaults=True),
            "status": {**translation.node(parts["status"], "status", defaults=False), "default": NOT_OBSERVED},
        },
    }


_KEPT: Final = (
    "description",
    "type",
    "format",
    "default",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    VALIDATIONS,
)
"""Keywords with the same meaning in both dialects, in output order."""

_NESTED: Final = ("required", "properties", "items", "additionalProperties")
_DROPPED: Final = frozenset({"title", "readOnly", FORMER_NAME})
"""Keywords that neither users nor the API server need."""

Schema = Mapping[str, Any]


class NotStructural(Exception):
    """A model uses something that a structural schema cannot express, or that this translation does not support."""


@dataclass(frozen=True, slots=True)
class Translation:
    """Translates pydantic's JSON Schema to the structural schemas of CRDs; `definitions` are the targets of references.

    Unsupported keywords raise an error, since the API server would drop them silently or reject the CRD.
    https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
    """

    definitions: Schema

    def node(self, schema: Schema, path: str, *, defaults: bool) -> dict[str, Any]:
        """Return the structural schema for a JSON Schema.

        Args:
            schema: The JSON Schema of one value.
            path: Its location, for error messages.
            defaults: Whether the API server sets defaults. Never inside lists: GitOps tools would see a permanent
                difference between cluster and repository.

        Raises:
            NotStructural: A structural schema cannot express it.
        """
        schema, _ = self._resolved(schema, path)
        if unknown := schema.keys() - {*_KEPT, *_NESTED, *_DROPPED}:
            raise NotStructural(f"{path}: no translation for {', '.join(sorted(unknown))}")
        if not isinstance(schema.get("type"), str):
            raise NotStructural(f"{path}: every value must have one type")
        translated = {keyword: schema[keyword] for keyword in _KEPT if keyword in schema and keyword != "default"}
        if "description" in schema:
            translated["description"] = " ".join(schema["description"].split())
        translated |= self._children(schema, path, defaults=defaults)
        return translated | (_default(schema, translated, path) if defaults else {})

    def _children(self, schema: Schema, path: str, *, defaults: bool) -> dict[str, Any]:
        children: dict[str, Any] = {}
        properties = {
            name: self._resolved(child, f"{path}.{name}") for name, child in schema.get("properties", {}).items()
        }
        if required := [name for name in schema.get("required", ()) if _is_required(*properties[name])]:
            children["required"] = required
        if properties:
            children["properties"] = {
                known: node
                for name, (child, _) in properties.items()
                for known, node in self._named(name, child, f"{path}.{name}", defaults=defaults)
            }
        if "items" in schema:
            items = children["items"] = self.node(schema["items"], f"{path}[]", defaults=False)
            self._add_key_defaults(schema, items, path)
        if (others := schema.get("additionalProperties")) is not None:
            if not isinstance(others, Mapping):
                raise NotStructural(f"{path}: unknown fields are dropped, they cannot be kept or rejected")
            children["additionalProperties"] = self.node(others, f"{path}{{}}", defaults=False)
        return children

    def _named(self, name: str, child: Schema, path: str, *, defaults: bool) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield a field, by its name and by the former one: what a schema does not have, the API server drops."""
        node = self.node(child, path, defaults=defaults)
        yield name, node
        if FORMER_NAME in child:
            yield child[FORMER_NAME], {**node, "description": f"The former name of {name}: read, but not written."}

    def _add_key_defaults(self, schema: Schema, items: dict[str, Any], path: str) -> None:
        """Add the defaults of the fields that identify an item: the API server requires that they are always there."""
        declared, _ = self._resolved(schema["items"], f"{path}[]")
        for name in schema.get("x-kubernetes-list-map-keys", ()):
            if name not in items.get("required", ()):
                items["properties"][name]["default"] = declared["properties"][name]["default"]

    def _resolved(self, schema: Schema, path: str) -> tuple[Schema, bool]:
        """Return the schema with references and `X or null` resolved, and whether it may be null."""
        nullable = False
        while True:
            if "$ref" in schema:
                resolved = self.definitions[schema["$ref"].removeprefix("#/$defs/")]
            elif "anyOf" in schema:
                alternatives = [option for option in schema["anyOf"] if option != {"type": "null"}]
                if len(alternatives) != 1:
                    raise NotStructural(f"{path}: a value cannot be of several types")
                (resolved,), nullable = alternatives, True
            else:
                return schema, nullable
            schema = {**resolved, **{keyword: schema[keyword] for keyword in schema.keys() - {"$ref", "anyOf"}}}


def _is_required(schema: Schema, nullable: bool) -> bool:  # noqa: FBT001  the result of `_resolved`
    """Return whether a field must be there. A renamed one is not: an object may have it by its former name."""
    return not nullable and FORMER_NAME not in schema


def _default(schema: Schema, translated: Schema, path: str) -> dict[str, Any]:
    default = schema.get("default")
    match default:
        case None | []:
            return {}
        case dict():
            # An empty object: the defaults of its fields apply, and must have the same result.
            filled = {name: child["default"] for name, child in translated["properties"].items() if "default" in child}
            if filled != {name: value for name, value in default.items() if value not in (None, {}, [])}:
                raise NotStructural(f"{path}: its default differs from the defaults of its fields")
            return {"default": {}}
        case str() | bool() | int() | float():
            return {"default": default}
        case list() if all(isinstance(item, str) for item in default):
            return {"default": default}
        case _:
            raise NotStructural(f"{path}: only scalars, objects and lists of texts can have defaults")


def _to_yaml(document: dict[str, Any]) -> bytes:
    text = yaml.dump(document, Dumper=_NoAnchors, sort_keys=False, width=120, allow_unicode=True)
    return (_HEADER + text).encode()


class _NoAnchors(yaml.SafeDumper):
    """Writes repeated values in full."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  the signature is PyYAML's
        return True
