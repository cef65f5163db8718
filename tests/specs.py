"""Hypothesis strategies for specs of VaultSecrets around the limits of what is valid."""

import copy
from typing import Any, Final

from hypothesis import strategies as st

from tests.manifests import ENTRY, RIGHT, URL, VERSION


def _near(right: st.SearchStrategy[Any], letters: str, longest: int = 6, prefix: str = "") -> st.SearchStrategy[Any]:
    """Valid values, and texts that are almost valid."""
    return right | st.text(letters, max_size=longest).map(lambda text: prefix + text)


_JUNK: Final[st.SearchStrategy[Any]] = st.one_of(
    st.text(max_size=4),
    st.integers(-3, 3),
    st.booleans(),
    st.lists(st.text(max_size=2), max_size=2),
    st.dictionaries(st.text(max_size=2), st.text(max_size=2), max_size=2),
)
"""Any value except null: the API server drops or keeps null fields, depending on their defaults."""

_QUALIFIED: Final = _near(
    st.sampled_from(
        ["team", "example.com/team", "vaultsync.dev/x", "app.kubernetes.io/managed-by", "x" * 63, "x" * 64]
    ),
    "aZ9-._/ ",
)

_KEYS: Final = _near(st.sampled_from(["a", "store.p12"]), "aZ9._-/ é")
_STORES: Final = st.fixed_dictionaries({"key": _KEYS}, optional={"passwordKey": _KEYS})
_SOURCES: Final = st.fixed_dictionaries(
    {},
    optional={
        "object": _near(st.just("app"), "aZ9-_é"),
        "format": st.sampled_from(["JSON", "YAML", "Env", "env"]),
        "find": st.fixed_dictionaries(
            {},
            optional={
                "names": _near(st.just("shop-*"), "a*?-_/"),
                "tags": st.dictionaries(st.text(max_size=2), st.text(max_size=2), max_size=2),
                "managed": st.booleans(),
            },
        ),
        "certificate": _near(st.just("tls"), "aZ9-_é"),
        "version": st.just(VERSION),
        "optional": st.booleans(),
        "prefix": _near(st.just("app_"), "a._/ "),
        "omit": st.lists(_near(st.sampled_from(["tmp-*", "a" * 253, "a" * 254, "*" * 8]), "aé*?[ \n"), max_size=3),
        "keys": st.dictionaries(_near(st.sampled_from(["a", "a" * 253, "a" * 254]), "aé *"), _KEYS, max_size=2),
        "rename": _near(st.sampled_from(["^(?P<key>.*)$", "(.*)"]), "(?<=!\\\n[", prefix="(?P<key>"),
        "keyCase": st.sampled_from(["Upper", "LowerSnake", "upper"]),
        "encoding": st.sampled_from(["Utf8", "Auto", "auto"]),
        "passwordKey": _KEYS,
        "ca": st.booleans(),
        "keyStore": _STORES,
        "trustStore": _STORES,
        "onCollision": st.sampled_from(["Fail", "Replace", "fail"]),
    },
)

_RESTARTS: Final = st.fixed_dictionaries(
    {"kind": st.sampled_from(["Deployment", "StatefulSet", "Pod"]), "name": _near(st.just("web"), "aZ9-._")},
    optional={"minInterval": _near(st.sampled_from(["10s", "9s", "24h"]), "0159hmsd.-", 7)},
)

_NEAR: Final[dict[tuple[str, ...], st.SearchStrategy[Any]]] = {
    ("vaultUrl",): _near(st.sampled_from([URL, f"{URL}:8443/"]), "aZ0.:/-@?# _é", 12, prefix="https://"),
    ("refreshInterval",): _near(st.sampled_from(["10s", "1h30m", "24h", "9s", "23h60m1s"]), "0159hmsd.-", 7),
    ("onDelete",): st.sampled_from(["Delete", "Retain", "delete", ""]),
    ("onSourceDeleted",): st.sampled_from(["Delete", "Retain", "delete", ""]),
    ("deleteAfter",): _near(st.sampled_from(["1m", "59s", "720h", "720h1s"]), "0159hmsd.-", 7),
    ("restart",): st.lists(_RESTARTS, max_size=2),
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
    ("target", "metadataFrom"): st.dictionaries(
        st.sampled_from(["labels", "annotations"]), st.dictionaries(_QUALIFIED, st.text(max_size=5), max_size=2)
    ),
    ("target", "copyLabels"): st.lists(_QUALIFIED, max_size=2),
    ("target", "adopt"): st.booleans(),
    ("target", "immutable"): st.booleans(),
    ("target", "template"): st.dictionaries(
        _near(st.sampled_from(["DSN", "tls.crt", "a" * 253, "a" * 254]), "aZ9._-/ é"), st.text(max_size=5), max_size=2
    ),
    ("dataFrom",): st.lists(_SOURCES, max_size=2),
    ("entry", "property"): _near(st.sampled_from(["db.password", "/db/0", "a" * 1025]), "a./0é ~"),
    ("entry", "format"): st.sampled_from(["JSON", "YAML", "Env", "env"]),
    ("entry", "previousKey"): _near(st.just("old"), "aZ9._-/ é"),
    ("entry", "key"): _near(st.sampled_from(["a", "tls.crt", "tls.key", "username", ".."]), "aZ9._-/ é\n"),
    ("entry", "secretName"): _near(st.sampled_from(["db-password", "a" * 127, "a" * 128]), "aZ9-_é\n"),
    ("entry", "version"): _near(st.just(VERSION), "0aF", 34),
    ("entry", "encoding"): st.sampled_from(["Utf8", "Base64", "Hex", "Auto", "utf8"]),
    ("entry", "optional"): st.booleans(),
}


@st.composite
def specs(draw: st.DrawFn) -> object:
    """Specs around the limits of what is valid: about half are invalid, mostly in one field."""
    base = draw(st.sampled_from(list(RIGHT.values())[:-1]))
    made: Any = copy.deepcopy(base)
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
        made["data"] = [*made.get("data", ()), dict(ENTRY), dict(ENTRY)]
    return made


def _holder(made: Any, place: tuple[str, ...]) -> Any:  # noqa: ANN401 - the same
    match place[0]:
        case "target" if len(place) > 1:
            return made.setdefault("target", {})
        case "entry":
            return made.setdefault("data", [dict(ENTRY)])[0]
        case _:
            return made
