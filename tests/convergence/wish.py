"""What the user of the story asks for: a VaultSecret's spec in a few strokes, each of which the story may change."""

from dataclasses import dataclass
from typing import Any, Final

Line = dict[str, Any]

PASSWORD: Final = {"key": "password", "secretName": "db-password"}
AND_THE_ONE_BEFORE: Final = {**PASSWORD, "previousKey": "password.old"}
CAPITALS: Final = {"key": "PASSWORD", "secretName": "DB-Password"}
TOKEN: Final = {"key": "token", "secretName": "api-token"}
TOKEN_IF_THERE: Final = {**TOKEN, "optional": True}
CONFIG: Final = {"object": "app-config"}
CONFIG_IF_THERE: Final = {**CONFIG, "optional": True, "prefix": "app."}
SHOP: Final = {"find": {"names": "shop-*"}}
SHOP_IF_ANY: Final = {**SHOP, "optional": True, "prefix": "found."}

DATA: Final[dict[str, list[Line]]] = {
    "password": [PASSWORD],
    "password and token": [PASSWORD, TOKEN],
    "token if there, password": [TOKEN_IF_THERE, PASSWORD],
    "password and the one before": [AND_THE_ONE_BEFORE, TOKEN_IF_THERE],
    "PASSWORD": [CAPITALS],
    "nothing": [],
}
SOURCES: Final[dict[str, list[Line]]] = {
    "nothing": [],
    "config": [CONFIG],
    "config if there": [CONFIG_IF_THERE],
    "shop": [SHOP],
    "shop if any": [SHOP_IF_ANY],
    "config if there, shop": [CONFIG_IF_THERE, SHOP],
}
TEMPLATE: Final = {"DSN": "db://{{ password }}"}
"""Beside `password`, which may be what is not there."""

NAMES: Final = ("db-password", "api-token", "app-config", "shop-user", "shop-color")
"""The secrets of the vault that the story is about."""

TARGETS: Final = ("db", "other", "third")
WORKLOAD: Final = {"kind": "Deployment", "name": "web", "minInterval": "5m"}


@dataclass(frozen=True, slots=True)
class Wish:
    """The spec of VaultSecret `db`; `anew` and `refresh` are no part of it, but stand beside it as annotations."""

    data: str = "password"
    sources: str = "nothing"
    template: bool = False
    label: str = "shop"
    immutable: bool = False
    replace: bool = False
    adopt: bool = False
    target: str = "db"
    deletes: bool = False
    retains: bool = False
    suspend: bool = False
    restarts: bool = False
    interval: str = "1m"
    refresh: str | None = None

    @property
    def lines(self) -> list[Line]:
        """The lines of `data`; there is always something that is wanted."""
        return DATA[self.data] or ([] if SOURCES[self.sources] else [PASSWORD])

    @property
    def templates(self) -> dict[str, str]:
        return TEMPLATE if self.template else {}

    @property
    def annotations(self) -> dict[str, str]:
        return {} if self.refresh is None else {"vaultsync.dev/refresh-now": self.refresh}

    @property
    def spec(self) -> dict[str, Any]:
        """As the manifest has it, but for the vault's URL and the lines."""
        return {
            "dataFrom": SOURCES[self.sources],
            "target": {
                "name": self.target,
                "labels": {"team": self.label},
                "template": self.templates,
                "immutable": self.immutable,
                "replaceImmutable": self.replace,
                "adopt": self.adopt,
            },
            "onSourceDeleted": "Delete" if self.deletes else "Retain",
            "deleteAfter": "30m",
            "onDelete": "Retain" if self.retains else "Delete",
            "suspend": self.suspend,
            "restart": [WORKLOAD] if self.restarts else [],
            "refreshInterval": self.interval,
        }


ASPECTS: Final[dict[str, tuple[Any, ...]]] = {
    "data": tuple(DATA),
    "sources": tuple(SOURCES),
    "template": (True, False),
    "label": ("shop", "depot"),
    "immutable": (True, False),
    "replace": (True, False),
    "adopt": (True, False),
    "target": TARGETS,
    "deletes": (True, False),
    "retains": (True, False),
    "suspend": (True, False),
    "restarts": (True, False),
    "interval": ("10s", "1m", "10m"),
    "refresh": ("now", "and again"),
}
"""What may be changed, and to what."""
