"""The stories that test the operator against a cluster in memory, few and short, against a real API server."""

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.controlplane.plane import ControlPlane
from tests.convergence.real import RealConvergence

FEW = settings(
    max_examples=5,
    stateful_step_count=20,
    deadline=None,
    database=None,
    # The same in every run: new ones are for the cluster in memory. To shrink one would take minutes.
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_whatever_happens_a_real_cluster_finds_its_peace(controlplane: ControlPlane) -> None:
    class Here(RealConvergence):
        kubeconfig = controlplane.kubeconfig

    run_state_machine_as_test(Here, settings=FEW)
