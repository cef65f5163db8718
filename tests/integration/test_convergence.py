"""The scenarios that test the operator with an API server in memory, few and short, with a real one."""

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.controlplane.plane import ControlPlane
from tests.convergence.real_cluster import RealConvergence

FEW = settings(
    max_examples=5,
    stateful_step_count=20,
    deadline=None,
    database=None,
    # The same in every run: new ones are for the API server in memory. Shrinking one would take minutes.
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_the_operator_converges_with_a_real_api_server_whatever_happens(controlplane: ControlPlane) -> None:
    class Here(RealConvergence):
        kubeconfig = controlplane.kubeconfig

    run_state_machine_as_test(Here, settings=FEW)
