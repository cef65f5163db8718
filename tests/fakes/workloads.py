"""The workloads of a cluster in memory, as vaultsync sees them: when they were made, and when they were restarted.

No pods run. tests/contract/test_workloads.py holds it to what the real Kubernetes API does.
"""

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from vaultsync.api import ObjectKey
from vaultsync.api.restarts import WorkloadKind
from vaultsync.errors import SyncError
from vaultsync.policy.rollout import Workload

_Identity = tuple[WorkloadKind, ObjectKey]


class FakeWorkloads:
    """Workloads, the hands of others on them, and what has become of them.

    `refusal` is raised by each call as long as it is set; `calls` counts them; `restarts` tells all that there were.
    """

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self.calls = 0
        self.refusal: SyncError | None = None
        self.restarts: list[tuple[WorkloadKind, ObjectKey, datetime]] = []
        self._now = now
        self._workloads: dict[_Identity, Workload] = {}
        self._numbers = itertools.count(1)

    # as vaultsync sees them

    async def observe(self, kind: WorkloadKind, key: ObjectKey) -> Workload | None:
        self._called()
        return self._workloads.get((kind, key))

    async def restart(self, kind: WorkloadKind, key: ObjectKey, workload: Workload, *, at: datetime) -> bool:
        self._called()
        found = self._workloads.get((kind, key))
        if found is None or (found.uid, found.resource_version) != (workload.uid, workload.resource_version):
            return False
        moment = at.replace(microsecond=0)
        self._workloads[kind, key] = replace(found, resource_version=self._next(), restarted=moment)
        self.restarts.append((kind, key, moment))
        return True

    def _called(self) -> None:
        self.calls += 1
        if self.refusal is not None:
            raise self.refusal

    # in other people's hands

    def make(self, kind: WorkloadKind, key: ObjectKey) -> None:
        self._workloads[kind, key] = Workload(
            uid=f"uid-{self._next()}",
            resource_version=self._next(),
            created=self._now().replace(microsecond=0),
            restarted=None,
        )

    def touch(self, kind: WorkloadKind, key: ObjectKey) -> None:
        """Change something that is of no interest here."""
        self._workloads[kind, key] = replace(self._workloads[kind, key], resource_version=self._next())

    def delete(self, kind: WorkloadKind, key: ObjectKey) -> None:
        del self._workloads[kind, key]

    def _next(self) -> str:
        return str(next(self._numbers))
