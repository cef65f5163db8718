"""Which workloads are restarted when a Secret's content changes; restarts nothing itself."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from vaultsync.api.checks import refusal
from vaultsync.api.fields import RestartInterval, WorkloadName
from vaultsync.api.model import Model

MAX_RESTARTS: Final = 16
DEFAULT_RESTART_INTERVAL: Final = timedelta(minutes=5)


class WorkloadKind(StrEnum):
    """What runs pods and can replace them one after the other."""

    DEPLOYMENT = "Deployment"
    STATEFUL_SET = "StatefulSet"
    DAEMON_SET = "DaemonSet"


class Restart(Model):
    """A workload of the VaultSecret's namespace whose pods read the Secret only when they start."""

    kind: WorkloadKind
    """Deployment, StatefulSet or DaemonSet."""
    name: WorkloadName
    """Its name."""
    min_interval: RestartInterval | None = None
    """The shortest time between two restarts, from 10s to 24h: changes that come sooner wait and share one. Left out,
    it is 5m."""


def _each_once(restarts: tuple[Restart, ...]) -> tuple[Restart, ...]:
    # The list's type says the same to the API server.
    if len({(restart.kind, restart.name) for restart in restarts}) < len(restarts):
        raise refusal("must not name a workload twice")
    return restarts


Restarts = Annotated[
    tuple[Restart, ...],
    Field(
        max_length=MAX_RESTARTS,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["kind", "name"]},
    ),
    AfterValidator(_each_once),
]
