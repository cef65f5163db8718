"""A grant with a workload identity, for a vault behind a domain of its own: no variable and no client secret."""

from tests.e2e.concurrency import scenario
from tests.e2e.lifecycle.harness import OperatorHarness
from tests.e2e.operators import RunningOperator
from tests.manifests import grant
from vaultsync.api import API_VERSION, GRANT_PLURAL

CLIENT = "1dea0000-0000-4000-8000-000000000001"
TOKENS = {"apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": ["reader"], "verbs": ["create"]}


@scenario
def test_a_vault_behind_its_own_domain_is_read_with_an_identity_of_the_namespace(harness: OperatorHarness) -> None:
    for number in range(30):  # a listing of two pages
        harness.put(f"shop-{number}")
    harness.plane.kubectl("create", "serviceaccount", "reader", "-n", harness.namespace)
    subject = f"system:serviceaccount:{harness.namespace}:reader"
    harness.emulator.register(CLIENT, subjects=[subject])
    workload = {"tenantId": harness.emulator.tenant_id, "clientId": CLIENT, "serviceAccountName": "reader"}
    harness.grant(harness.vault.url)
    name = f"{harness.namespace}-1"
    made = grant(name, harness.vault.url, harness.namespace)
    made["spec"]["identity"] = {"workloadIdentity": workload}
    harness.api.apply(f"/apis/{API_VERSION}/{GRANT_PLURAL}/{name}", made)
    kubectl = harness.plane.kubectl
    kubectl("create", "clusterrole", name, "--verb=get,list,watch", "--resource=vaultgrants.vaultsync.dev,namespaces")
    account = f"--serviceaccount={harness.namespace}:vaultsync"
    kubectl("create", "clusterrolebinding", name, f"--clusterrole={name}", account)
    environ = {
        "KUBECONFIG": str(harness.user([*harness.rules, TOKENS])),
        **harness.scope(),
        "VAULTSYNC_CA_FILE": str(harness.emulator.ca_file),
        "VAULTSYNC_VAULT_AUTHORITIES": f"localhost={harness.emulator.login_url}",
        "VAULTSYNC_VAULT_RESOURCES": "localhost=https://localhost",
    }

    with RunningOperator.start(environ, harness.log) as running:
        running.await_ready()
        harness.apply(data=[], dataFrom=[{"find": {"names": "shop-*"}}])

        secret = harness.await_synced()

        assert len(secret["data"]) == 30
