"""What can happen to etcd besides being killed, which is `plane.etcd.stop`: it is full; it is restored from a backup.

https://etcd.io/docs/v3.6/op-guide/maintenance/#space-quota
"""

import base64
import shutil
from pathlib import Path
from typing import Any, Final

import httpx

from tests.controlplane.plane import ControlPlane

_GUARD_SECONDS: Final = 300.0
_FILLER: Final = b"filler"
"""A key outside of the API server's prefix."""

_PIECE: Final = b"x" * (1 << 20)
_NOSPACE: Final = "NOSPACE"


class Etcd:
    """The etcd of a control plane, through its own HTTP API.

    Args:
        plane: For `fill` it runs with a small `quota-backend-bytes`.
    """

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane

    def fill(self) -> None:
        """Write until there is no space, of which there is little: then etcd carries out no write but deletions."""
        piece = {"key": _base64(_FILLER), "value": _base64(_PIECE)}
        with self._http() as http:
            while (answer := http.post("/v3/kv/put", json=piece)).is_success:
                pass
            assert "space exceeded" in answer.text, answer.text

    def free(self) -> None:
        """Make space again, as an administrator does: delete, compact, defragment, disarm."""
        with self._http() as http:
            deleted = _call(http, "kv/deleterange", key=_base64(_FILLER))
            _call(http, "kv/compaction", revision=deleted["header"]["revision"], physical=True)
            _call(http, "maintenance/defragment")
            for alarm in _call(http, "maintenance/alarm", action="GET").get("alarms", ()):
                _call(http, "maintenance/alarm", action="DEACTIVATE", memberID=alarm["memberID"], alarm=_NOSPACE)

    def back_up(self, folder: Path) -> None:
        """Copy the data of the stopped etcd, which starts again."""
        self._plane.etcd.stop()
        shutil.copytree(self._plane.etcd_data, folder)
        self._plane.etcd.start()

    def restore(self, folder: Path) -> None:
        """Restore a backup as an administrator does: everything stops, and starts with the old data.

        Resource versions go back, and are given once more to other states.
        """
        self._plane.stop()
        shutil.rmtree(self._plane.etcd_data)
        shutil.copytree(folder, self._plane.etcd_data)
        self._plane.start()

    def _http(self) -> httpx.Client:
        return httpx.Client(base_url=self._plane.etcd_url, trust_env=False, timeout=_GUARD_SECONDS)


def _call(http: httpx.Client, method: str, **arguments: object) -> dict[str, Any]:
    answer = http.post(f"/v3/{method}", json=arguments)
    assert answer.is_success, answer.text
    document: dict[str, Any] = answer.json()
    return document


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
