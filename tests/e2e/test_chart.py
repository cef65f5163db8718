"""The chart, installed, upgraded and uninstalled by helm, with the operator that its Deployment describes."""

import json
import re
import shutil
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.chart.renders import CHART, IMAGE, LEASE_NAMESPACE, NAMESPACE, RELEASE
from tests.controlplane.audit import refusals, rights_of, used_rights
from tests.controlplane.cluster import KubectlFailed
from tests.controlplane.helm import HelmFailed
from tests.e2e.chart_environment import ChartEnvironment, uid
from tests.e2e.harness import PATIENCE, entry, eventually
from tests.e2e.installation import RESTARTS, Installation, settings_here
from tests.manifests import URL, grant, manifest, spec
from vaultsync.api.v1alpha1 import WorkloadKind

pytestmark = pytest.mark.cluster

_RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"
_CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_CRD: Final = f"{_CRDS}/vaultsecrets.vaultsync.dev"
_GRANTS: Final = "/apis/vaultsync.dev/v1alpha1/vaultgrants"
_ALL: Final = f"{_GRANTS}/all-namespaces-shop.vault.azure.net"


@pytest.fixture(scope="module")
def env(chart_environment: ChartEnvironment) -> ChartEnvironment:
    """The environment of all tests of this module."""
    return chart_environment


@pytest.fixture(scope="module")
def notes(env: ChartEnvironment) -> str:
    """The notes that helm prints when it installs the chart without values."""
    return Installation(env.helm, env.plane, NAMESPACE, RELEASE).install({})


@pytest.fixture(scope="module")
def installed(env: ChartEnvironment, notes: str) -> Installation:
    """The chart, installed without values."""
    # The garbage collector discovers new kinds every 30 seconds, and when it starts.
    env.plane.controllers.restart()
    return Installation(env.helm, env.plane, NAMESPACE, RELEASE)


def pod_of(installation: Installation) -> dict[str, Any]:
    """The pod of the Deployment."""
    template = installation.deployment()["spec"]["template"]
    metadata = {**template["metadata"], "name": "vaultsync", "namespace": installation.namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def admit(env: ChartEnvironment, pod: dict[str, Any]) -> None:
    """Check a pod by the API server's admission. Raises `KubectlFailed`."""
    env.plane.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))


def change_lease(env: ChartEnvironment, namespace: str, name: str) -> None:
    """Change a Lease of the operator, which so has to read it again; return when it has written it."""
    env.plane.kubectl("label", "lease", "-n", namespace, name, "team=platform")
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}"

    def is_renewed() -> bool:
        lease = env.api.get(path)
        return lease is not None and "team" not in lease["metadata"].get("labels", {})

    eventually(is_renewed, "the Lease is renewed")


def create_crds_as(refusal: HelmFailed, env: ChartEnvironment) -> None:
    """Run the command that a refusal names: `helm template …`, with its output to `kubectl apply …`."""
    (command,) = [line.strip() for line in str(refusal).splitlines() if line.strip().startswith("helm template ")]
    render, apply = command.replace("CHART", str(CHART)).split(" | ")
    env.plane.kubectl(*apply.split()[1:], stdin=env.helm(*render.split()[1:]))
    env.plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "vaultgrants.vaultsync.dev")


def remove_all(installation: Installation, env: ChartEnvironment) -> None:
    """Uninstall, and delete the CRDs with all that is of their kinds."""
    installation.uninstall()
    env.plane.kubectl("delete", "crd", "vaultsecrets.vaultsync.dev", "vaultgrants.vaultsync.dev")


def test_a_first_installation_with_grants_names_the_command_to_run_before(env: ChartEnvironment) -> None:
    installation = Installation(env.helm, env.plane, NAMESPACE, RELEASE)
    shop = {"name": "shop", "spec": grant("shop", URL)["spec"]}

    with pytest.raises(HelmFailed, match="cannot create them together with their CustomResourceDefinition") as refusal:
        installation.install({"grants": [shop]})
    create_crds_as(refusal.value, env)
    installation.install({"grants": [shop], "grantAllNamespaces": [URL]})

    assert env.api.get(f"{_GRANTS}/shop") is not None
    assert env.api.get(_ALL) is not None
    remove_all(installation, env)


def test_an_upgrade_from_a_version_without_grants_does_not_leave_vaultsecrets_without_any(
    env: ChartEnvironment,
) -> None:
    installation = Installation(env.helm, env.plane, NAMESPACE, RELEASE)
    installation.install({})
    env.plane.kubectl("delete", "crd", "vaultgrants.vaultsync.dev")
    env.plane.apply(manifest(spec(), namespace=NAMESPACE))
    granted = {"grantAllNamespaces": [URL]}

    with pytest.raises(HelmFailed, match=r"grantAllNamespaces=\{https://shop\.vault\.azure\.net\}"):
        installation.upgrade({})
    with pytest.raises(HelmFailed, match="Create that first, then repeat this command") as refusal:
        installation.upgrade(granted)
    create_crds_as(refusal.value, env)
    installation.upgrade(granted)

    assert env.api.get(_ALL) is not None
    # The release's own grants are no reason to leave them out. Without any values, helm takes those of the last time.
    others: dict[str, object] = {"commonLabels": {"team": "platform"}}
    with pytest.raises(HelmFailed, match="upgradeWithoutGrants=true"):
        installation.upgrade(others)
    assert env.api.get(_ALL) is not None
    env.plane.apply(grant("by-others", URL))
    installation.upgrade(others)
    assert env.api.get(_ALL) is None
    remove_all(installation, env)


def test_vaultsecrets_that_are_not_granted_do_not_hold_up_an_upgrade(env: ChartEnvironment) -> None:
    installation = Installation(env.helm, env.plane, NAMESPACE, RELEASE)
    installation.install({"settings": settings_here()})
    env.plane.apply(manifest(spec(vaultUrl="https://shop.invalid"), namespace=NAMESPACE))

    with pytest.raises(HelmFailed, match="upgradeWithoutGrants=true"):
        installation.upgrade({"settings": settings_here()})
    installation.upgrade({"settings": settings_here(), "upgradeWithoutGrants": True})
    with env.operator(installation):
        not_granted = "jsonpath={.status.conditions[?(@.type=='Ready')].reason}=NotGranted"
        env.plane.kubectl("wait", f"--for={not_granted}", "--timeout=60s", "vaultsecret", "db", "-n", NAMESPACE)
    installation.upgrade({"settings": settings_here()})

    remove_all(installation, env)


def test_the_notes_say_how_to_wait_for_the_operator(notes: str) -> None:
    assert f"kubectl --namespace {NAMESPACE} rollout status deployment/{RELEASE}" in notes


def test_the_notes_say_who_leads(notes: str) -> None:
    assert f"kubectl --namespace {LEASE_NAMESPACE} get leases {RELEASE}.{NAMESPACE}-0\n" in notes


def test_the_objects_in_the_notes_are_accepted(notes: str, env: ChartEnvironment) -> None:
    shown = [textwrap.dedent(part.partition("   EOF")[0]) for part in notes.split("<<EOF\n")[1:]]

    for document in shown:
        env.plane.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=document)
    assert [yaml.safe_load(document)["kind"] for document in shown] == ["VaultGrant", "VaultSecret"]


def test_pod_security_restricted_admits_the_operators_pod(installed: Installation, env: ChartEnvironment) -> None:
    admit(env, pod_of(installed))


def test_pod_security_restricted_is_enforced_here(installed: Installation, env: ChartEnvironment) -> None:
    pod = pod_of(installed)
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True

    with pytest.raises(KubectlFailed, match='violates PodSecurity "restricted'):
        admit(env, pod)


def test_helm_test_passes_when_its_pod_finds_the_operator_ready(installed: Installation, env: ChartEnvironment) -> None:
    """There is no kubelet: the test runs the command of the pod, and says how it ended."""
    installed.upgrade({"settings": settings_here()})
    pod = f"{RELEASE}-test"

    def is_there(kind: str) -> bool:
        return env.api.get(f"/api/v1/namespaces/{NAMESPACE}/{kind}/{pod}") is not None

    with ThreadPoolExecutor() as pool, env.operator(installed):
        verdict = pool.submit(env.helm, "test", RELEASE, "--namespace", NAMESPACE, "--timeout", f"{PATIENCE:g}s")
        eventually(lambda: is_there("pods"), "the pod is there")
        assert is_there("services")
        created = json.loads(env.plane.kubectl("get", "pod", pod, "-n", NAMESPACE, "-o", "json"))
        (container,) = created["spec"]["containers"]
        (python, *flags), (script, host, *more) = container["command"], container["args"]
        command = [sys.executable, *flags, script, "127.0.0.1", *more]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        status = json.dumps({"status": {"phase": "Succeeded"}})
        env.plane.kubectl("patch", "pod", pod, "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", status)
        printed = verdict.result()

    assert (python, host) == ("python3", f"{pod}.{NAMESPACE}.svc")
    assert ended.stdout == "127.0.0.1: ready\n"
    assert re.search(r"Phase: +Succeeded", printed)
    assert not is_there("pods")
    assert not is_there("services")


def test_the_operator_uses_all_rights_that_the_chart_grants_and_needs_no_others(
    installed: Installation, env: ChartEnvironment
) -> None:
    harness = env.harness()
    installed.upgrade({"settings": settings_here(), "rbac": RESTARTS})
    with env.operator(installed):
        made = harness.put()
        harness.apply()
        harness.await_content(password=made)
        harness.tamper(stringData={"password": "changed", "added": "too"})
        harness.await_content(password=made)
        harness.api.delete(harness.path("secrets", "db"))
        harness.await_content(password=made)
        harness.api.create(
            harness.path("secrets"), {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "foreign"}}
        )
        harness.apply(name="foreign")
        harness.await_reason("TargetConflict", name="foreign")
        sealed = {"immutable": True, "replaceImmutable": True}
        harness.apply(entry("before"), name="sealed", target=sealed)
        harness.await_content("sealed", before=made)
        harness.apply(entry("after"), name="sealed", target=sealed)
        harness.await_content("sealed", after=made)
        for kind in WorkloadKind:
            harness.run(kind)
        harness.apply(name="watched", restart=[{"kind": kind, "name": "web"} for kind in WorkloadKind])
        harness.await_synced("watched")
        rotated = harness.put()
        harness.await_content("watched", password=rotated)
        eventually(lambda: all(harness.rollouts(kind) == 1 for kind in WorkloadKind), "each workload is restarted")

        change_lease(env, LEASE_NAMESPACE, f"{RELEASE}.{NAMESPACE}-0")

    granted = env.api.get(f"{_RBAC}/clusterroles/{RELEASE}.{NAMESPACE}.operator")
    elected = env.api.get(f"{_RBAC}/namespaces/{LEASE_NAMESPACE}/roles/{RELEASE}.{NAMESPACE}.shards")
    assert granted is not None
    assert elected is not None
    assert refusals(env.plane.audit_log, installed.user) == []
    assert used_rights(env.plane.audit_log, installed.user) == rights_of(granted["rules"] + elected["rules"])


def test_with_shards_the_operator_uses_all_rights_to_leases_of_its_pods_and_needs_no_others(
    installed: Installation, env: ChartEnvironment
) -> None:
    installed.upgrade({"settings": settings_here(), "shards": 2})
    folder = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
    with env.operator(installed):
        eventually(lambda: len(env.api.list(folder)) == 1, "the pod has a Lease")
        (member,) = env.api.list(folder)
        change_lease(env, NAMESPACE, member["metadata"]["name"])

    role = env.api.get(f"{_RBAC}/namespaces/{NAMESPACE}/roles/{RELEASE}.{NAMESPACE}.members")
    assert role is not None
    assert env.api.list(folder) == []
    assert refusals(env.plane.audit_log, installed.user) == []
    used = used_rights(env.plane.audit_log, installed.user, namespace=NAMESPACE)
    assert {right for right in used if right.resource == "leases"} == rights_of(role["rules"])


def test_an_upgrade_keeps_vaultsecrets_and_their_secrets(installed: Installation, env: ChartEnvironment) -> None:
    harness = env.harness()
    installed.upgrade({"settings": settings_here()})
    with env.operator(installed):
        made = harness.put()
        before = uid(harness.apply())
        secret = uid(harness.await_content(password=made))

    installed.upgrade({"settings": settings_here(concurrency=8), "commonLabels": {"team": "platform"}})

    assert uid(harness.vault_secret()) == before
    assert uid(harness.secret()) == secret
    with env.operator(installed):
        harness.apply(name="later")
        harness.await_content("later", password=made)


def test_an_upgrade_from_a_version_with_one_pod_can_be_rolled_back(env: ChartEnvironment, tmp_path: Path) -> None:
    """A strategy without the field `rollingUpdate` is refused if the field is there: helm must remove it again."""
    earlier = shutil.copytree(CHART, tmp_path / "vaultsync")
    template = earlier / "templates" / "deployment.yaml"
    before, strategy, after = re.split(r"(?m)^  (?=replicas:|selector:)", template.read_text(), maxsplit=2)
    assert "RollingUpdate" in strategy
    template.write_text(f"{before}  replicas: 1\n  strategy:\n    type: Recreate\n  {after}")
    release = ("vaultsync-earlier", "--namespace", "second")
    values = (
        "--set",
        f"image.repository={IMAGE},crds.enabled=false,rbac.aggregateToView=false,rbac.aggregateToEdit=false",
    )

    def deployed() -> tuple[int, str]:
        deployment = env.api.get("/apis/apps/v1/namespaces/second/deployments/vaultsync-earlier")
        assert deployment is not None
        return deployment["spec"]["replicas"], deployment["spec"]["strategy"]["type"]

    env.helm("install", release[0], earlier, *release[1:], *values)
    assert deployed() == (1, "Recreate")
    env.helm("upgrade", release[0], CHART, *release[1:], *values)
    assert deployed() == (2, "RollingUpdate")
    env.helm("rollback", release[0], "1", *release[1:])
    assert deployed() == (1, "Recreate")
    env.helm("uninstall", *release, "--wait")


def test_a_grant_to_all_namespaces_of_the_values_is_all_that_a_vaultsecret_needs(
    installed: Installation, env: ChartEnvironment
) -> None:
    harness = env.harness()
    env.api.delete(f"{_GRANTS}/{harness.namespace}-1")
    installed.upgrade({"settings": settings_here(), "grantAllNamespaces": [harness.vault.url]})

    with env.operator(installed):
        made = harness.put()
        harness.apply()
        harness.await_content(password=made)


def test_with_named_namespaces_the_operator_works_there_and_has_no_rights_elsewhere(
    installed: Installation, env: ChartEnvironment
) -> None:
    here, elsewhere = env.harness(), env.harness()
    # The status of VaultSecrets has one writer: a release for all namespaces and others do not go together.
    installed.upgrade({"settings": settings_here(watchNamespaces=[elsewhere.namespace])})
    second = Installation(env.helm, env.plane, "second", RELEASE)
    second.install({"settings": settings_here(watchNamespaces=[here.namespace]), "crds": {"enabled": False}})
    for harness in (here, elsewhere):
        harness.put()
        harness.apply()

    with env.operator(second):
        here.await_synced()

    assert elsewhere.ready() is None
    assert refusals(env.plane.audit_log, second.user) == []
    with pytest.raises(KubectlFailed):
        env.plane.kubectl("auth", "can-i", "list", "secrets", "-n", elsewhere.namespace, f"--as={second.user}")
    second.uninstall()


@pytest.mark.parametrize(
    ("role", "verbs"),
    [("view", {"list"}), ("edit", {"list", "create", "delete"}), ("admin", {"list", "create", "delete"})],
)
def test_the_roles_of_users_include_vaultsecrets_and_nothing_else(
    role: str, verbs: set[str], installed: Installation, env: ChartEnvironment
) -> None:
    harness = env.harness()
    env.plane.kubectl("create", "rolebinding", "users", "-n", harness.namespace, f"--clusterrole={role}", "--user=jo")

    def jo_may(verb: str, resource: str, *more: str) -> bool:
        what = (verb, f"{resource}.vaultsync.dev", *more)
        try:
            env.plane.kubectl("auth", "can-i", *what, "-n", harness.namespace, "--as=jo")
        except KubectlFailed:
            return False
        return True

    eventually(lambda: all(jo_may(verb, "vaultsecrets") for verb in verbs), f"jo may {verbs} VaultSecrets")
    assert [verb for verb in {"create", "delete"} - verbs if jo_may(verb, "vaultsecrets")] == []
    assert not jo_may("patch", "vaultsecrets", "--subresource=status")
    assert not jo_may("create", "vaultgrants")
    assert not jo_may("list", "vaultgrants")


def test_uninstalling_keeps_vaultsecrets_and_installing_again_syncs_them(
    installed: Installation, env: ChartEnvironment
) -> None:
    harness = env.harness()
    installed.upgrade({"settings": settings_here()})
    with env.operator(installed):
        made = harness.put()
        before = uid(harness.apply())
        secret = uid(harness.await_content(password=made))

    installed.uninstall()

    assert env.api.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{RELEASE}") is None
    assert env.api.get(f"{_RBAC}/clusterroles/{RELEASE}.{NAMESPACE}.operator") is None
    assert uid(harness.vault_secret()) == before
    assert uid(harness.secret()) == secret

    installed.install({"settings": settings_here()})
    with env.operator(installed):
        harness.apply(name="later")
        harness.await_content("later", password=made)
    assert uid(harness.secret()) == secret


def test_uninstalling_with_the_crds_deletes_secrets_that_are_not_to_be_retained(
    installed: Installation, env: ChartEnvironment
) -> None:
    harness = env.harness()
    installed.upgrade({"settings": settings_here(), "crds": {"keep": False}})
    with env.operator(installed):
        harness.put()
        harness.apply(name="goes")
        harness.apply(name="stays", onDelete="Retain")
        harness.await_synced("goes")
        harness.await_synced("stays")

    installed.uninstall()

    eventually(lambda: env.api.get(_CRD) is None, "the CRD is deleted")
    eventually(lambda: harness.secret("goes") is None, "the Secret of the deleted VaultSecret is deleted")
    assert harness.secret("stays") is not None
