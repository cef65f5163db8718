"""VaultSecret manifests for tests: valid ones, invalid ones with their messages, and those of the documentation."""

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from tests.pages import SHELL, code_blocks
from vaultsync.api import API_VERSION, GRANT_KIND, KIND
from vaultsync.api.grants import CONTENT_TYPES

Spec = dict[str, Any]

_VARIABLE: Final = re.compile(r"\$[A-Z_]+")

URL: Final = "https://shop.vault.azure.net"
ENTRY: Final = {"key": "password", "secretName": "db-password"}
WORKLOAD: Final = {"kind": "Deployment", "name": "web"}
VERSION: Final = "0f4a7c9be2d84a6c8c1f7e5d3b2a1908"


def spec(**changes: Any) -> Spec:  # noqa: ANN401 - invalid specs have fields of any type
    """A spec that is valid except for the changes; None omits a field."""
    fields = {"vaultUrl": URL, "data": [ENTRY]} | changes
    return {name: copy.deepcopy(value) for name, value in fields.items() if value is not None}


def entry(**changes: Any) -> Spec:  # noqa: ANN401 - the same
    """A spec whose only entry is valid except for the changes."""
    return spec(data=[ENTRY | changes])


def source(**fields: Any) -> Spec:  # noqa: ANN401 - the same
    """A valid spec with one item of dataFrom in addition to its entry."""
    return spec(dataFrom=[fields])


def target(**fields: Any) -> Spec:  # noqa: ANN401 - the same
    """A valid spec with this target."""
    return spec(target=fields)


def manifest(spec: object, *, name: str = "db", namespace: str = "shop") -> dict[str, Any]:
    """A VaultSecret as written by a user."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def grant(name: str, vault_url: str, namespace: str = "*", **spec: object) -> dict[str, Any]:
    """A VaultGrant by which a namespace, or all of them, may do everything with a vault."""
    everything = {"adopt": True, "restart": True, "delete": True, "labels": ["*"], "annotations": ["*"]}
    granted = {
        "vaultUrl": vault_url,
        "namespaces": {"names": [namespace]},
        "secrets": ["*"],
        "types": [*CONTENT_TYPES, "example.com/own"],
        "allow": everything,
    }
    return {
        "apiVersion": API_VERSION,
        "kind": GRANT_KIND,
        "metadata": {"name": name},
        "spec": granted | spec,
    }


def as_stored(written: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with the metadata that the API server adds."""
    kept = {
        "namespace": "default",
        "uid": "6f0c0c56-7d3a-4b54-9d0c-0d5b2f8f3b11",
        "generation": 1,
        "resourceVersion": "7",
        "creationTimestamp": "2026-03-01T12:00:00Z",
    }
    return {**written, "metadata": kept | written["metadata"]}


@dataclass(frozen=True, slots=True)
class Wrong:
    """A spec that must be rejected, and a part of the error message.

    `structural`: the message is that of the API server, and pydantic has another one.
    """

    what: str
    spec: object
    message: str
    structural: bool = False

    def __str__(self) -> str:
        return self.what


WRONG: Final = (
    Wrong("no spec", None, "spec: Required value", structural=True),
    Wrong("no vault", spec(vaultUrl=None), "spec.vaultUrl: Required value", structural=True),
    Wrong("a vault without TLS", spec(vaultUrl="http://shop.vault.azure.net"), "must be the vault's URI, https://"),
    Wrong("a vault's bare name", spec(vaultUrl="shop"), "for example https://shop.vault.azure.net"),
    Wrong("a secret's identifier for a vault", spec(vaultUrl=f"{URL}/secrets/db"), "a host name without a path"),
    Wrong("a vault with a user", spec(vaultUrl="https://me@shop.vault.azure.net"), "a host name without a path"),
    Wrong("a vault with a query", spec(vaultUrl=f"{URL}?api-version=7.4"), "a host name without a path"),
    Wrong("a port above 65535", spec(vaultUrl=f"{URL}:65536"), "must be the vault's URI"),
    Wrong("no data", spec(data=None), "must have at least one entry in data or dataFrom"),
    Wrong("empty lists", spec(data=[], dataFrom=[]), "must have at least one entry in data or dataFrom"),
    Wrong(
        "templates that are too large together",
        spec(target={"template": {f"key-{number}": "x" * 16_384 for number in range(12)}}),
        "must have at most 196608 characters in the names, keys, properties, tags, templates, labels and annotations",
    ),
    Wrong(
        "properties that are too large together",
        spec(data=[ENTRY | {"key": f"key-{number}", "property": "x" * 1024} for number in range(192)]),
        "must have at most 196608 characters",
    ),
    Wrong(
        "tags that are too large together",
        spec(dataFrom=[{"find": {"tags": {"x" * 100_000: "y"}}}, {"find": {"tags": {"x" * 100_000: "y"}}}]),
        "must have at most 196608 characters",
    ),
    Wrong(
        "keys that are too large together",
        spec(dataFrom=[{"object": "a", "keys": {f"{number:0253}": f"{number:0253}" for number in range(32)}}] * 13),
        "must have at most 196608 characters",
    ),
    Wrong(
        "names to leave out that are too large together",
        spec(dataFrom=[{"object": "a", "omit": ["x" * 253] * 32}] * 25),
        "must have at most 196608 characters",
    ),
    Wrong(
        "too much data",
        spec(data=[{"key": f"key-{number}", "secretName": "db"} for number in range(257)]),
        "must have at most 256 items",
        structural=True,
    ),
    Wrong("one key twice", spec(data=[ENTRY, ENTRY]), "spec.data[1]: Duplicate value", structural=True),
    Wrong("an entry without a key", spec(data=[{"secretName": "db"}]), "key: Required value", structural=True),
    Wrong("an entry without a secret", spec(data=[{"key": "a"}]), "secretName: Required value", structural=True),
    Wrong("a key with a space", entry(key="pass word"), "letters, digits, '-', '_' and '.'"),
    Wrong("a key with a parent path", entry(key="../etc"), "must be a valid key of a Kubernetes Secret"),
    Wrong("a key of two dots", entry(key=".."), "not '.' alone and not starting with '..'"),
    Wrong("a secret name with an underscore", entry(secretName="db_password"), "letters, digits and hyphens"),
    Wrong(
        "a secret name that is too long",
        entry(secretName="a" * 128),
        "spec.data[0].secretName: Too long",
        structural=True,
    ),
    Wrong("a version that is a word", entry(version="latest"), "omit it to use the newest version"),
    Wrong("a version in capitals", entry(version=VERSION.upper()), "must be a version id, 32 characters 0-9 and a-f"),
    Wrong(
        "an unknown encoding",
        entry(encoding="Base32"),
        'supported values: "Utf8", "Base64", "Hex", "Auto"',
        structural=True,
    ),
    Wrong("optional as a string", entry(optional="yes"), "must be of type boolean", structural=True),
    Wrong("a path that ends in a dot", entry(property="db."), "names separated by dots such as db.password"),
    Wrong("an empty path", entry(property=""), "should be at least 1 chars long", structural=True),
    Wrong("an unknown format", entry(property="a", format="TOML"), 'supported values: "JSON", "YAML"', structural=True),
    Wrong("a format without a property", entry(format="YAML"), "format applies to the value that property selects"),
    Wrong("the default format without a property", entry(format="JSON"), "add property, or omit format"),
    Wrong("a path into variables", entry(property="/DB", format="Env"), "must be the name of a variable"),
    Wrong(
        "a previous key of a pinned version",
        entry(version=VERSION, previousKey="old"),
        "previousKey and version exclude each other",
    ),
    Wrong("a previous key with a space", entry(previousKey="o l d"), "letters, digits, '-', '_' and '.'"),
    Wrong("a source without a kind", source(), "must have exactly one of object, find and certificate"),
    Wrong("a source with two kinds", source(object="a", certificate="b"), "must have exactly one of object, find and"),
    Wrong("an empty find", source(find={}), "find must have names or tags"),
    Wrong("a find with empty tags", source(find={"tags": {}}), "find must have names or tags"),
    Wrong("a find with a slash", source(find={"names": "shop/*"}), "and the wildcards * and ?"),
    Wrong("a find of all certificates", source(find={"managed": True}), "find must have names or tags"),
    Wrong("managed as a string", source(find={"names": "*", "managed": "no"}), "of type boolean", structural=True),
    Wrong(
        "an encoding of a certificate", source(certificate="a", encoding="Utf8"), "encoding applies to object and find"
    ),
    Wrong("a version of a find", source(find={"names": "a*"}, version=VERSION), "omit it with find"),
    Wrong("an object with an underscore", source(object="app_config"), "letters, digits and hyphens"),
    Wrong("a prefix with a slash", source(object="a", prefix="a/"), "must be a prefix for keys"),
    Wrong("a rename without the group", source(object="a", rename="^app_(.*)$"), "with a group named key"),
    Wrong(
        "a rename that looks ahead",
        source(object="a", rename="^(?!tmp-)(?P<key>.*)$"),
        "must not look ahead or behind, since RE2 cannot: match the text around the group key outside of it, leave",
    ),
    Wrong("a rename that looks behind", source(object="a", rename=r"(?P<key>\\(?<=a).*)"), "look ahead or behind"),
    Wrong(
        "an unknown keyCase",
        source(object="a", keyCase="Camel"),
        'supported values: "Upper", "Lower", "UpperSnake", "LowerSnake"',
        structural=True,
    ),
    Wrong("a name with an invalid key", source(object="a", keys={"b": "b c"}), "letters, digits, '-', '_' and '.'"),
    Wrong("a key for a name that is too long", source(object="a", keys={"b" * 254: "b"}), "at most 253 characters"),
    Wrong(
        "too many keys of single names",
        source(object="a", keys={f"a{number}": "a" for number in range(33)}),
        "must have at most 32 items",
        structural=True,
    ),
    Wrong("a question mark in a name to leave out", source(object="a", omit=["a?"]), "with the wildcard *"),
    Wrong("too many wildcards of names to leave out", source(object="a", omit=["*a*"] * 9), "at most 16 wildcards"),
    Wrong("an empty pattern to leave out", source(object="a", omit=[""]), "at least 1 chars long", structural=True),
    Wrong(
        "a certificate with names to leave out", source(certificate="a", omit=["tls.key"]), "the keys of a certificate"
    ),
    Wrong("a certificate in upper case", source(certificate="a", keyCase="Upper"), "the keys of a certificate are"),
    Wrong("a certificate with a prefix", source(certificate="a", prefix="a"), "the keys of a certificate are tls.crt"),
    Wrong("a format of a find", source(find={"names": "a*"}, format="Env"), "format applies to object only"),
    Wrong("a format of a certificate", source(certificate="a", format="JSON"), "format applies to object only"),
    Wrong("a root for an object", source(object="a", ca=True), "apply to certificate only"),
    Wrong(
        "a key store for an object",
        source(object="a", keyStore={"key": "a", "passwordKey": "b"}),
        "apply to certificate only",
    ),
    Wrong(
        "a store without a password",
        source(certificate="a", trustStore={"key": "a"}),
        "passwordKey: Required value",
        structural=True,
    ),
    Wrong(
        "an unknown onCollision",
        source(object="a", onCollision="Merge"),
        'supported values: "Fail", "Replace"',
        structural=True,
    ),
    Wrong(
        "too many sources",
        spec(dataFrom=[{"object": "a"}] * 33),
        "must have at most 32 items",
        structural=True,
    ),
    Wrong("a template for a key with a space", target(template={"a b": ""}), "each key must be a valid key of a"),
    Wrong(
        "a template for a key with a parent path", target(template={"../a": ""}), "each key must be a valid key of a"
    ),
    Wrong(
        "a template that is too long",
        target(template={"a": "x" * 16385}),
        "spec.target.template.a: Too long",
        structural=True,
    ),
    Wrong("immutable as a string", target(immutable="yes"), "must be of type boolean", structural=True),
    Wrong("an interval that is too short", spec(refreshInterval="5s"), "must be a duration between 10s and 24h"),
    Wrong("an interval that is too long", spec(refreshInterval="24h1s"), "must be a duration between 10s and 24h"),
    Wrong("an interval without a unit", spec(refreshInterval="120"), "such as 30s, 2m or 1h30m"),
    Wrong("an interval in days", spec(refreshInterval="1d"), "such as 30s, 2m or 1h30m"),
    Wrong("an interval as a number", spec(refreshInterval=120), "must be of type string", structural=True),
    Wrong("an unknown onDelete", spec(onDelete="Keep"), 'supported values: "Delete", "Retain"', structural=True),
    Wrong(
        "an unknown onSourceDeleted",
        spec(onSourceDeleted="Keep"),
        'supported values: "Retain", "Delete"',
        structural=True,
    ),
    Wrong("a grace period that is too short", spec(deleteAfter="59s"), "must be a duration between 1m and 720h"),
    Wrong("a grace period in days", spec(deleteAfter="7d"), "such as 30s, 2m or 1h30m"),
    Wrong("a workload that is not a list", spec(restart="Deployment/web"), "must be of type array", structural=True),
    Wrong("a pod to restart", spec(restart=[{"kind": "Pod", "name": "web"}]), '"Deployment"', structural=True),
    Wrong("a workload without a name", spec(restart=[{"kind": "Deployment"}]), "name: Required value", structural=True),
    Wrong("a workload in capitals", spec(restart=[WORKLOAD | {"name": "Web"}]), "must be a workload's name"),
    Wrong(
        "a restart interval that is too short",
        spec(restart=[WORKLOAD | {"minInterval": "1s"}]),
        "must be a duration between 10s",
    ),
    Wrong("one workload twice", spec(restart=[WORKLOAD, WORKLOAD]), "Duplicate value", structural=True),
    Wrong(
        "too many workloads",
        spec(restart=[WORKLOAD | {"name": f"web-{number}"} for number in range(17)]),
        "must have at most 16 items",
        structural=True,
    ),
    Wrong("suspend as a string", spec(suspend="true"), "must be of type boolean", structural=True),
    Wrong("a target in capitals", target(name="DB"), "must be a Secret's name: lower-case letters"),
    Wrong("an empty type", target(type=""), "should be at least 1 chars long", structural=True),
    Wrong(
        "a service account token",
        target(type="kubernetes.io/service-account-token"),
        "such a Secret is a credential for the Kubernetes API",
    ),
    Wrong("a bootstrap token", target(type="bootstrap.kubernetes.io/token"), "is a credential for the Kubernetes API"),
    Wrong(
        "a token type in capitals", target(type="Kubernetes.io/Service-Account-Token"), "such a Secret is a credential"
    ),
    Wrong("a type that ends with a blank", target(type="Opaque "), "must be a type such as Opaque"),
    Wrong("a certificate without its key", target(type="kubernetes.io/tls"), "needs keys that data lacks"),
    Wrong(
        "registry credentials without their key",
        target(type="kubernetes.io/dockerconfigjson"),
        ".dockerconfigjson for kubernetes.io/dockerconfigjson",
    ),
    Wrong(
        "basic-auth without its keys",
        entry(key="token") | {"target": {"type": "kubernetes.io/basic-auth"}},
        "username or password for kubernetes.io/basic-auth",
    ),
    Wrong("a reserved label to copy", target(copyLabels=["vaultsync.dev/owner-name"]), "vaultsync sets them itself"),
    Wrong("a label to copy with a space", target(copyLabels=["a b"]), "each key must be a name of at most 63"),
    Wrong(
        "too many labels to copy",
        target(copyLabels=[f"a{number}" for number in range(17)]),
        "at most 16",
        structural=True,
    ),
    Wrong(
        "a label that is also copied",
        target(labels={"team": "a"}, copyLabels=["team"]),
        "must not have a label of copyLabels in labels or metadataFrom",
    ),
    Wrong(
        "a label that is also copied from the vault",
        target(metadataFrom={"labels": {"team": "a"}}, copyLabels=["team"]),
        "must not have a label of copyLabels in labels or metadataFrom",
    ),
    Wrong("a reserved label", target(labels={"vaultsync.dev/owner-uid": "me"}), "vaultsync sets them itself"),
    Wrong(
        "the managed-by label",
        target(labels={"app.kubernetes.io/managed-by": "me"}),
        "must not contain app.kubernetes.io/managed-by",
    ),
    Wrong("a reserved annotation", target(annotations={"vaultsync.dev/applied": "{}"}), "vaultsync sets them itself"),
    Wrong("a label's key with a space", target(labels={"my team": "x"}), "for example team or example.com/team"),
    Wrong("a label's value with a space", target(labels={"team": "my shop"}), "use annotations for other text"),
    Wrong(
        "a label value that is too long",
        target(labels={"team": "x" * 64}),
        "spec.target.labels.team: Too long",
        structural=True,
    ),
    Wrong("an annotation without a name", target(annotations={"example.com/": "x"}), "each key must be a name"),
    Wrong(
        "too many annotations",
        target(annotations={f"note-{number}": "" for number in range(33)}),
        "must have at most 32 items",
        structural=True,
    ),
)

RIGHT: Final = {
    "minimal": spec(),
    "the vault's URI as the portal shows it": spec(vaultUrl="https://Shop.vault.azure.net/"),
    "a vault on a port": spec(vaultUrl="https://localhost:65535"),
    "keys of all kinds": spec(
        data=[{"key": key, "secretName": "a"} for key in ("tls.crt", ".hidden", "A_b-9", "-", "a..b")]
    ),
    "every field": spec(
        data=[
            ENTRY
            | {
                "version": VERSION,
                "property": "db.password",
                "format": "YAML",
                "encoding": "Base64",
                "optional": True,
            }
        ],
        dataFrom=[
            {
                "object": "app",
                "format": "YAML",
                "version": VERSION,
                "optional": True,
                "omit": ["tmp_*", "a b", "*" * 15],
                "keys": {"ä.url": "URL"},
                "rename": r"^x_(?P<key>.*)\(?=?$",
                "keyCase": "UpperSnake",
                "encoding": "Auto",
                "prefix": "app_",
            },
            {
                "find": {"names": "shop-*", "tags": {"tier": "web"}, "managed": False},
                "optional": True,
                "encoding": "Hex",
                "onCollision": "Replace",
            },
            {
                "certificate": "shop-tls",
                "passwordKey": "password",
                "ca": True,
                "keyStore": {"key": "key.p12", "passwordKey": "password"},
                "trustStore": {"key": "trust.p12", "passwordKey": "password"},
                "onCollision": "Fail",
            },
        ],
        target={
            "name": "db.credentials",
            "type": "example.com/credentials",
            "labels": {"team": "shop", "example.com/tier": "", "a": "A.b_c-9"},
            "annotations": {"example.com/note": "some words, with é"},
            "copyLabels": ["cost-center", "example.com/owner"],
            "template": {"DSN": "postgres://{{ password | url_encode }}@db"},
            "immutable": True,
            "replaceImmutable": True,
            "adopt": True,
        },
        refreshInterval="1h30m",
        onSourceDeleted="Delete",
        deleteAfter="30m",
        onDelete="Retain",
        restart=[WORKLOAD, {"kind": "StatefulSet", "name": "web", "minInterval": "10s"}],
        suspend=True,
    ),
    "an encoding by the tag": entry(encoding="Auto"),
    "a JSON pointer": entry(property="/db/0/a~1b"),
    "a part of YAML": entry(property="hosts.0.name", format="YAML"),
    "a variable": entry(property="DB.password-2", format="Env"),
    "an object of variables": source(object="app", format="Env"),
    "the previous version": entry(previousKey="password.old"),
    "an object only": spec(data=None, dataFrom=[{"object": "app"}]),
    "a certificate from dataFrom": spec(
        data=None, dataFrom=[{"certificate": "shop-tls"}], target={"type": "kubernetes.io/tls"}
    ),
    "registry credentials from a template": spec(
        data=[ENTRY], target={"type": "kubernetes.io/dockerconfigjson", "template": {".dockerconfigjson": "{}"}}
    ),
    "the shortest interval": spec(refreshInterval="10s"),
    "the longest interval": spec(refreshInterval="1440m"),
    "the longest grace period": spec(onSourceDeleted="Delete", deleteAfter="720h"),
    "every kind of workload": spec(
        restart=[{"kind": kind, "name": "web"} for kind in ("Deployment", "StatefulSet", "DaemonSet")]
    ),
    "a certificate": spec(
        data=[{"key": "tls.crt", "secretName": "chain"}, {"key": "tls.key", "secretName": "key"}],
        target={"type": "kubernetes.io/tls"},
    ),
    "basic-auth": target(type="kubernetes.io/basic-auth"),
    "the maximum of entries": spec(data=[{"key": f"key-{number}", "secretName": "db"} for number in range(256)]),
}
"""Specs that must be accepted, by name."""


def documented(kind: str = KIND) -> dict[str, dict[str, Any]]:
    """Every object of a kind in the documentation, by page and line; in scripts, each variable is `shop`."""
    texts = [
        (block.place, text)
        for block in code_blocks()
        for text in ([block.text] if block.language == "yaml" else block.input if block.language in SHELL else [])
    ]
    return {
        place: document
        for place, text in texts
        for document in yaml.safe_load_all(_VARIABLE.sub("shop", text))
        if isinstance(document, dict) and document.get("kind") == kind
    }
