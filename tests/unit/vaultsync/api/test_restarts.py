"""The workloads of `restart`: how they are read; what is wrong with them is told in the table of wrong manifests."""

from datetime import timedelta

from tests.manifests import WORKLOAD
from vaultsync.api.restarts import Restart, WorkloadKind


def test_a_workload_is_read() -> None:
    restart = Restart.parse(WORKLOAD | {"minInterval": "1m30s"})

    assert (restart.kind, restart.name, restart.min_interval) == (
        WorkloadKind.DEPLOYMENT,
        "web",
        timedelta(seconds=90),
    )


def test_an_interval_that_is_left_out_stays_out() -> None:
    """A default within a list would be a difference for ever to tools that compare manifests."""
    assert Restart.parse(WORKLOAD).min_interval is None
