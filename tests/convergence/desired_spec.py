"""The spec of VaultSecret `db` as a few aspects, each of which a scenario may change."""

from dataclasses import dataclass
from typing import Any, Final

Line = dict[str, Any]

PASSWORD: Final = {"key": "password", "secretName": "db-password"}
PASSWORD_AND_PREVIOUS: Final = {**PASSWORD, "previousKey": "password.old"}
PINNED_NAME: Final = "db-root"
PINNED: Final = {"key": "pinned", "secretName": PINNED_NAME, "version": None}
"""Its version is the newest when the manifest is applied."""
UPPER_CASE: Final = {"key": "PASSWORD", "secretName": "DB-Password"}
TOKEN: Final = {"key": "token", "secretName": "api-token"}
OPTIONAL_TOKEN: Final = {**TOKEN, "optional": True}
CONFIG: Final = {"object": "app-config"}
OPTIONAL_CONFIG: Final = {**CONFIG, "optional": True, "prefix": "app."}
SHOP: Final = {"find": {"names": "shop-*"}}
OPTIONAL_SHOP: Final = {**SHOP, "optional": True, "prefix": "found."}

DATA: Final[dict[str, list[Line]]] = {
    "password": [PASSWORD],
    "password and token": [PASSWORD, TOKEN],
    "optional token, password": [OPTIONAL_TOKEN, PASSWORD],
    "password and previous, optional token": [PASSWORD_AND_PREVIOUS, OPTIONAL_TOKEN],
    "password and previous, token": [PASSWORD_AND_PREVIOUS, TOKEN],
    "password, pinned": [PASSWORD, PINNED],
    "upper case": [UPPER_CASE],
    "nothing": [],
}
SOURCES: Final[dict[str, list[Line]]] = {
    "nothing": [],
    "config": [CONFIG],
    "optional config": [OPTIONAL_CONFIG],
    "shop": [SHOP],
    "optional shop": [OPTIONAL_SHOP],
    "optional config, shop": [OPTIONAL_CONFIG, SHOP],
}
TEMPLATE: Final = {"DSN": "db://{{ password }}"}
"""It uses `password`, which may be missing."""

NAMES: Final = ("db-password", "api-token", "app-config", "shop-user", "shop-color", "db-root")
"""The secrets that `db` may name."""

BULK: Final = tuple(f"bulk-{number}" for number in range(8))
"""The secrets that VaultSecret `bulk` finds: most of what the vault has."""

TARGETS: Final = ("db", "other", "third")
OTHERS_LABEL: Final = "others.example/label"
WORKLOAD: Final = {"kind": "Deployment", "name": "web", "minInterval": "5m"}


@dataclass(frozen=True, slots=True)
class DesiredSpec:
    """The spec of VaultSecret `db`; `refresh` is an annotation."""

    data: str = "password"
    pin: str = ""
    """The version of a pinned secret."""
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
        """The lines of `data`; there is at least one."""
        lines = DATA[self.data] or ([] if SOURCES[self.sources] else [PASSWORD])
        return [{**line, "version": self.pin} if "version" in line else line for line in lines]

    @property
    def templates(self) -> dict[str, str]:
        return TEMPLATE if self.template else {}

    @property
    def annotations(self) -> dict[str, str]:
        return {} if self.refresh is None else {"vaultsync.dev/refresh-now": self.refresh}

    @property
    def spec(self) -> dict[str, Any]:
        """The manifest's spec, without the vault's URL and `data`."""
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
"""The aspects that may change, and their values."""
