"""VaultSecret manifests for tests: right ones, wrong ones with what people are told, and any at random."""

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from hypothesis import strategies as st

from vaultsync.api import API_VERSION, KIND

Spec = dict[str, Any]

_ROOT: Final = Path(__file__).parents[1]
_YAML: Final = re.compile(r"^```ya?ml\n(?P<content>.*?)^```", re.MULTILINE | re.DOTALL)

URL: Final = "https://shop.vault.azure.net"
ENTRY: Final = {"key": "password", "secretName": "db-password"}
VERSION: Final = "0f4a7c9be2d84a6c8c1f7e5d3b2a1908"


def spec(**changes: Any) -> Spec:  # noqa: ANN401 - wrong specs hold anything
    """A spec that is right but for the changes; None leaves a field out."""
    fields = {"vaultUrl": URL, "data": [ENTRY]} | changes
    return {name: copy.deepcopy(value) for name, value in fields.items() if value is not None}


def entry(**changes: Any) -> Spec:  # noqa: ANN401 - the same
    """A spec whose one entry is right but for the changes."""
    return spec(data=[ENTRY | changes])


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
    Wrong("no data", spec(data=None), "spec.data: Required value", structural=True),
    Wrong("empty data", spec(data=[]), "should have at least 1 items", structural=True),
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
    Wrong("a hasty interval", spec(refreshInterval="5s"), "must be a duration between 10s and 24h"),
    Wrong("a lazy interval", spec(refreshInterval="24h1s"), "must be a duration between 10s and 24h"),
    Wrong("an interval without a unit", spec(refreshInterval="120"), "written like 30s, 2m or 1h30m"),
    Wrong("an interval in days", spec(refreshInterval="1d"), "written like 30s, 2m or 1h30m"),
    Wrong("an interval as a number", spec(refreshInterval=120), "must be of type string", structural=True),
    Wrong("an unknown fate", spec(onDelete="Keep"), 'supported values: "Delete", "Retain"', structural=True),
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
        data=[ENTRY | {"version": VERSION, "encoding": "Base64", "optional": True}],
        target={
            "name": "db.credentials",
            "type": "example.com/credentials",
            "labels": {"team": "shop", "example.com/tier": "", "a": "A.b_c-9"},
            "annotations": {"example.com/note": "some words, with é"},
            "adopt": True,
        },
        refreshInterval="1h30m",
        onDelete="Retain",
        suspend=True,
    ),
    "the shortest interval": spec(refreshInterval="10s"),
    "the longest interval": spec(refreshInterval="1440m"),
    "a certificate": spec(
        data=[{"key": "tls.crt", "secretName": "chain"}, {"key": "tls.key", "secretName": "key"}],
        target={"type": "kubernetes.io/tls"},
    ),
    "a login": target(type="kubernetes.io/basic-auth"),
    "the most entries": spec(data=[{"key": f"key-{number}", "secretName": "db"} for number in range(256)]),
}
"""Specs that must be accepted, by what they show."""


def _near(right: st.SearchStrategy[Any], letters: str, longest: int = 6, prefix: str = "") -> st.SearchStrategy[Any]:
    """Right values, and texts that are nearly right."""
    return right | st.text(letters, max_size=longest).map(lambda text: prefix + text)


_JUNK: Final[st.SearchStrategy[Any]] = st.one_of(
    st.text(max_size=4),
    st.integers(-3, 3),
    st.booleans(),
    st.lists(st.text(max_size=2), max_size=2),
    st.dictionaries(st.text(max_size=2), st.text(max_size=2), max_size=2),
)
"""Anything but null: a client may leave a field out by it, and the API server makes of it what it likes."""

_QUALIFIED: Final = _near(
    st.sampled_from(
        ["team", "example.com/team", "vaultsync.dev/x", "app.kubernetes.io/managed-by", "x" * 63, "x" * 64]
    ),
    "aZ9-._/ ",
)

_NEAR: Final[dict[tuple[str, ...], st.SearchStrategy[Any]]] = {
    ("vaultUrl",): _near(st.sampled_from([URL, f"{URL}:8443/"]), "aZ0.:/-@?# _é", 12, prefix="https://"),
    ("refreshInterval",): _near(st.sampled_from(["10s", "1h30m", "24h", "9s", "23h60m1s"]), "0159hmsd.-", 7),
    ("onDelete",): st.sampled_from(["Delete", "Retain", "delete", ""]),
    ("suspend",): st.booleans(),
    ("target", "name"): _near(st.sampled_from(["db", "db.credentials", "a" * 253, "a" * 254]), "az0-.A"),
    ("target", "type"): _near(
        st.sampled_from(
            [
                "Opaque",
                "kubernetes.io/tls",
                "kubernetes.io/ssh-auth",
                "kubernetes.io/basic-auth",
                "kubernetes.io/service-account-token",
            ]
        ),
        "a./ ",
    ),
    ("target", "labels"): st.dictionaries(_QUALIFIED, _near(st.just("shop"), "aZ9-._ é"), max_size=2),
    ("target", "annotations"): st.dictionaries(_QUALIFIED, st.text(max_size=5), max_size=2),
    ("target", "adopt"): st.booleans(),
    ("entry", "key"): _near(st.sampled_from(["a", "tls.crt", "tls.key", "username", ".."]), "aZ9._-/ é\n"),
    ("entry", "secretName"): _near(st.sampled_from(["db-password", "a" * 127, "a" * 128]), "aZ9-_é\n"),
    ("entry", "version"): _near(st.just(VERSION), "0aF", 34),
    ("entry", "encoding"): st.sampled_from(["Utf8", "Base64", "utf8"]),
    ("entry", "optional"): st.booleans(),
}


@st.composite
def specs(draw: st.DrawFn) -> object:
    """Specs around the edges of what is right: about half are wrong, mostly in one place."""
    wanted = draw(st.sampled_from(list(RIGHT.values())[:-1]))
    made: Any = copy.deepcopy(wanted)
    for place in draw(st.lists(st.sampled_from(list(_NEAR)), max_size=3, unique=True)):
        holder = _holder(made, place)
        holder[place[-1]] = draw(_NEAR[place])
    damage = draw(st.sampled_from(["none", "none", "none", "junk", "missing", "twice"]))
    place = draw(st.sampled_from([("data",), ("target",), *_NEAR]))
    if damage == "junk":
        _holder(made, place)[place[-1]] = draw(_JUNK)
    elif damage == "missing":
        _holder(made, place).pop(place[-1], None)
    elif damage == "twice":
        made["data"] = [*made["data"], dict(made["data"][0])]
    return made


def _holder(made: Any, place: tuple[str, ...]) -> Any:  # noqa: ANN401 - the same
    match place[0]:
        case "target" if len(place) > 1:
            return made.setdefault("target", {})
        case "entry":
            return made["data"][0]
        case _:
            return made


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
