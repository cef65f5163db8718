"""VaultSecret manifests for tests: right ones, wrong ones with what people are told, and those of the documentation."""

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from vaultsync.api import API_VERSION, KIND

Spec = dict[str, Any]

_ROOT: Final = Path(__file__).parents[1]
_YAML: Final = re.compile(r"^```ya?ml\n(?P<content>.*?)^```", re.MULTILINE | re.DOTALL)

URL: Final = "https://shop.vault.azure.net"
ENTRY: Final = {"key": "password", "secretName": "db-password"}
WORKLOAD: Final = {"kind": "Deployment", "name": "web"}
VERSION: Final = "0f4a7c9be2d84a6c8c1f7e5d3b2a1908"


def spec(**changes: Any) -> Spec:  # noqa: ANN401 - wrong specs hold anything
    """A spec that is right but for the changes; None leaves a field out."""
    fields = {"vaultUrl": URL, "data": [ENTRY]} | changes
    return {name: copy.deepcopy(value) for name, value in fields.items() if value is not None}


def entry(**changes: Any) -> Spec:  # noqa: ANN401 - the same
    """A spec whose one entry is right but for the changes."""
    return spec(data=[ENTRY | changes])


def source(**fields: Any) -> Spec:  # noqa: ANN401 - the same
    """A right spec with one line of dataFrom beside its entry."""
    return spec(dataFrom=[fields])


def target(**fields: Any) -> Spec:  # noqa: ANN401 - the same
    """A right spec with such a target."""
    return spec(target=fields)


def manifest(spec: object, *, name: str = "db", namespace: str = "shop") -> dict[str, Any]:
    """A VaultSecret as a user writes it."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def as_stored(written: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with what the API server adds to its metadata."""
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
    """A spec that must be refused, and part of the sentence that says what to do.

    `structural`: the API server says it in words of its own, and so does pydantic.
    """

    what: str
    spec: object
    told: str
    structural: bool = False

    def __str__(self) -> str:
        return self.what


WRONG: Final = (
    Wrong("no spec", None, "spec: Required value", structural=True),
    Wrong("no vault", spec(vaultUrl=None), "spec.vaultUrl: Required value", structural=True),
    Wrong("a vault without TLS", spec(vaultUrl="http://shop.vault.azure.net"), "must be the vault's URI, https://"),
    Wrong("a vault's bare name", spec(vaultUrl="shop"), "for example https://shop.vault.azure.net"),
    Wrong("a secret's identifier for a vault", spec(vaultUrl=f"{URL}/secrets/db"), "and nothing after it"),
    Wrong("a vault with a user", spec(vaultUrl="https://me@shop.vault.azure.net"), "and nothing after it"),
    Wrong("a vault with a query", spec(vaultUrl=f"{URL}?api-version=7.4"), "and nothing after it"),
    Wrong("a port beyond ports", spec(vaultUrl=f"{URL}:65536"), "must be the vault's URI"),
    Wrong("nothing wanted", spec(data=None), "must have at least one line in data or dataFrom"),
    Wrong("empty lists", spec(data=[], dataFrom=[]), "say which secrets of the vault are wanted"),
    Wrong(
        "too much data",
        spec(data=[{"key": f"key-{number}", "secretName": "db"} for number in range(257)]),
        "must have at most 256 items",
        structural=True,
    ),
    Wrong("one key twice", spec(data=[ENTRY, ENTRY]), 'Duplicate value: {"key":"password"}', structural=True),
    Wrong("an entry without a key", spec(data=[{"secretName": "db"}]), "key: Required value", structural=True),
    Wrong("an entry without a secret", spec(data=[{"key": "a"}]), "secretName: Required value", structural=True),
    Wrong("a key with a space", entry(key="pass word"), "letters, digits, '-', '_' and '.'"),
    Wrong("a key that climbs", entry(key="../etc"), "must be a key that a Kubernetes Secret allows"),
    Wrong("a key of two dots", entry(key=".."), "neither '.' alone nor two dots at the start"),
    Wrong("an underscore in the vault", entry(secretName="db_password"), "letters, digits and hyphens"),
    Wrong("an endless name", entry(secretName="a" * 128), "may not be more than 127 bytes", structural=True),
    Wrong("a version in words", entry(version="latest"), "or be left out to follow the newest version"),
    Wrong(
        "a version in capitals", entry(version=VERSION.upper()), "must be a version id, 32 digits and letters a to f"
    ),
    Wrong("an unknown encoding", entry(encoding="Hex"), 'supported values: "Utf8", "Base64"', structural=True),
    Wrong("optional in words", entry(optional="yes"), "must be of type boolean", structural=True),
    Wrong("a path that ends in a dot", entry(property="db."), "names with dots between them, as in db.password"),
    Wrong("no path", entry(property=""), "should be at least 1 chars long", structural=True),
    Wrong(
        "a version before a pinned one",
        entry(version=VERSION, previousKey="old"),
        "leave out version, or previousKey",
    ),
    Wrong("a key for the version before with a space", entry(previousKey="o l d"), "letters, digits, '-', '_' and '.'"),
    Wrong("a source of nothing", source(), "must have exactly one of object, find and certificate"),
    Wrong("a source of two kinds", source(object="a", certificate="b"), "must have exactly one of object, find and"),
    Wrong("a search for anything", source(find={}), "find must have names or tags"),
    Wrong("a search by no tags", source(find={"tags": {}}), "find must have names or tags"),
    Wrong("a search by a path", source(find={"names": "shop/*"}), "in which * and ? may stand for other characters"),
    Wrong("a version of what is found", source(find={"names": "a*"}, version=VERSION), "leave it out beside find"),
    Wrong("an object by an odd name", source(object="app_config"), "letters, digits and hyphens"),
    Wrong("a prefix with a slash", source(object="a", prefix="a/"), "must be the beginning of a key"),
    Wrong("a pattern without its group", source(object="a", rename="^app_(.*)$"), "with a group named key"),
    Wrong("a certificate with a prefix", source(certificate="a", prefix="a"), "keys are tls.crt and tls.key"),
    Wrong("an object's root", source(object="a", ca=True), "are for a certificate: leave them out otherwise"),
    Wrong(
        "an object's store",
        source(object="a", keyStore={"key": "a", "passwordKey": "b"}),
        "are for a certificate: leave them out otherwise",
    ),
    Wrong(
        "a store without a password",
        source(certificate="a", trustStore={"key": "a"}),
        "passwordKey: Required value",
        structural=True,
    ),
    Wrong(
        "an unknown way out of a collision",
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
    Wrong("a template for a key with a space", target(template={"a b": ""}), "each template's key must be one"),
    Wrong("a template for a key that climbs", target(template={"../a": ""}), "each template's key must be one"),
    Wrong(
        "an endless template",
        target(template={"a": "x" * 16385}),
        "may not be more than 16384 bytes",
        structural=True,
    ),
    Wrong("immutable in words", target(immutable="yes"), "must be of type boolean", structural=True),
    Wrong("a hasty interval", spec(refreshInterval="5s"), "must be a duration between 10s and 24h"),
    Wrong("a lazy interval", spec(refreshInterval="24h1s"), "must be a duration between 10s and 24h"),
    Wrong("an interval without a unit", spec(refreshInterval="120"), "written like 30s, 2m or 1h30m"),
    Wrong("an interval in days", spec(refreshInterval="1d"), "written like 30s, 2m or 1h30m"),
    Wrong("an interval as a number", spec(refreshInterval=120), "must be of type string", structural=True),
    Wrong("an unknown fate", spec(onDelete="Keep"), 'supported values: "Delete", "Retain"', structural=True),
    Wrong(
        "an unknown fate of what is deleted",
        spec(onSourceDeleted="Keep"),
        'supported values: "Retain", "Delete"',
        structural=True,
    ),
    Wrong("a hasty deletion", spec(deleteAfter="59s"), "must be a duration between 1m and 720h"),
    Wrong("a deletion in days", spec(deleteAfter="7d"), "written like 30s, 2m or 1h30m"),
    Wrong("a workload for a list", spec(restart="Deployment/web"), "must be of type array", structural=True),
    Wrong("a pod to restart", spec(restart=[{"kind": "Pod", "name": "web"}]), '"Deployment"', structural=True),
    Wrong("a nameless workload", spec(restart=[{"kind": "Deployment"}]), "name: Required value", structural=True),
    Wrong("a workload in capitals", spec(restart=[WORKLOAD | {"name": "Web"}]), "must be a workload's name"),
    Wrong(
        "restarts without a pause", spec(restart=[WORKLOAD | {"minInterval": "1s"}]), "must be a duration between 10s"
    ),
    Wrong("one workload twice", spec(restart=[WORKLOAD, WORKLOAD]), "Duplicate value", structural=True),
    Wrong(
        "too many workloads",
        spec(restart=[WORKLOAD | {"name": f"web-{number}"} for number in range(17)]),
        "must have at most 16 items",
        structural=True,
    ),
    Wrong("suspend in words", spec(suspend="true"), "must be of type boolean", structural=True),
    Wrong("a target in capitals", target(name="DB"), "must be a Secret's name: lower-case letters"),
    Wrong("an empty type", target(type=""), "should be at least 1 chars long", structural=True),
    Wrong(
        "a login to the cluster",
        target(type="kubernetes.io/service-account-token"),
        "Kubernetes would turn such a Secret into a login to the cluster",
    ),
    Wrong("a node's login", target(type="bootstrap.kubernetes.io/token"), "into a login to the cluster"),
    Wrong("a certificate without its key", target(type="kubernetes.io/tls"), "needs the keys tls.crt and tls.key"),
    Wrong("a registry without its login", target(type="kubernetes.io/dockerconfigjson"), "needs the key .dockerconfig"),
    Wrong(
        "a login without a user",
        entry(key="token") | {"target": {"type": "kubernetes.io/basic-auth"}},
        "needs the key username or password",
    ),
    Wrong("our label", target(labels={"vaultsync.dev/owner-uid": "me"}), "vaultsync sets them itself"),
    Wrong("our mark", target(labels={"app.kubernetes.io/managed-by": "me"}), "leave out app.kubernetes.io/managed-by"),
    Wrong("our annotation", target(annotations={"vaultsync.dev/applied": "{}"}), "vaultsync sets them itself"),
    Wrong("a label's key with a space", target(labels={"my team": "x"}), "for example team or example.com/team"),
    Wrong("a label's value with a space", target(labels={"team": "my shop"}), "other text belongs into annotations"),
    Wrong("a label's endless value", target(labels={"team": "x" * 64}), "not be more than 63 bytes", structural=True),
    Wrong("an annotation without a name", target(annotations={"example.com/": "x"}), "each key must be a name"),
    Wrong(
        "too many annotations",
        target(annotations={f"note-{number}": "" for number in range(33)}),
        "must have at most 32 items",
        structural=True,
    ),
)

RIGHT: Final = {
    "the least": spec(),
    "the vault's URI as the portal shows it": spec(vaultUrl="https://Shop.vault.azure.net/"),
    "a vault on a port": spec(vaultUrl="https://localhost:65535"),
    "keys of all kinds": spec(
        data=[{"key": key, "secretName": "a"} for key in ("tls.crt", ".hidden", "A_b-9", "-", "a..b")]
    ),
    "every field": spec(
        data=[ENTRY | {"version": VERSION, "property": "db.password", "encoding": "Base64", "optional": True}],
        dataFrom=[
            {"object": "app", "version": VERSION, "optional": True, "prefix": "app_", "rename": "^x_(?P<key>.*)$"},
            {"find": {"names": "shop-*", "tags": {"tier": "web"}}, "optional": True, "onCollision": "Replace"},
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
    "a JSON pointer": entry(property="/db/0/a~1b"),
    "the version before": entry(previousKey="password.old"),
    "nothing but an object": spec(data=None, dataFrom=[{"object": "app"}]),
    "a certificate as the vault keeps it": spec(
        data=None, dataFrom=[{"certificate": "shop-tls"}], target={"type": "kubernetes.io/tls"}
    ),
    "a login by a template": spec(
        data=[ENTRY], target={"type": "kubernetes.io/dockerconfigjson", "template": {".dockerconfigjson": "{}"}}
    ),
    "the shortest interval": spec(refreshInterval="10s"),
    "the longest interval": spec(refreshInterval="1440m"),
    "the most patient deletion": spec(onSourceDeleted="Delete", deleteAfter="720h"),
    "every kind of workload": spec(
        restart=[{"kind": kind, "name": "web"} for kind in ("Deployment", "StatefulSet", "DaemonSet")]
    ),
    "a certificate": spec(
        data=[{"key": "tls.crt", "secretName": "chain"}, {"key": "tls.key", "secretName": "key"}],
        target={"type": "kubernetes.io/tls"},
    ),
    "a login": target(type="kubernetes.io/basic-auth"),
    "the most entries": spec(data=[{"key": f"key-{number}", "secretName": "db"} for number in range(256)]),
}
"""Specs that must be accepted, by what they show."""


def documented() -> dict[str, dict[str, Any]]:
    """Every VaultSecret that the documentation shows, by the place where it stands."""
    return {
        f"{page.relative_to(_ROOT)}:{text.count(chr(10), 0, block.start()) + 1}": document
        for page in sorted([_ROOT / "README.md", *(_ROOT / "docs").rglob("*.md")])
        for text in [page.read_text()]
        for block in _YAML.finditer(text)
        for document in yaml.safe_load_all(block["content"])
        if isinstance(document, dict) and document.get("kind") == KIND
    }
