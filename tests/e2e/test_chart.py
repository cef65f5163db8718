"""The chart in an administrator's hands: installed, upgraded and uninstalled by helm; with the operator that it makes.

On a control plane of its own, since CustomResourceDefinitions come and go with the chart.
"""

import itertools
import json
import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.chart.renders import NAMESPACE, RELEASE
from tests.controlplane.audit import refusals, rights_of, used_rights
from tests.controlplane.build import ensure_tools
from tests.controlplane.cluster import KubectlFailed
from tests.controlplane.helm import Helm
from tests.controlplane.plane import ControlPlane
from tests.e2e.installation import RESTARTS, Installation, settings_here
from tests.e2e.kubernetes import KubernetesApi, Object
from tests.e2e.operators import RunningOperator
from tests.e2e.scene import NEXT_POLL, Scene, entry, eventually
from tests.emulator.client import Emulator
from vaultsync.api.restarts import WorkloadKind

pytestmark = pytest.mark.cluster

_ENVIRON: Final = os.environ  # noqa: TID251 - where the built programs are kept is the caller's choice
_RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"
_CRD: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/vaultsecrets.vaultsync.dev"


class Stage:
    """A control plane, helm, and the namespace where the chart goes, under the Pod Security Standard `restricted`."""

    def __init__(self, plane: ControlPlane, helm: Helm, api: KubernetesApi, emulator: Emulator, logs: Path) -> None:
        self.plane: Final = plane
        self.helm: Final = helm
        self.api: Final = api
        self.emulator: Final = emulator
        self._logs = (logs / f"operator-{number}.log" for number in itertools.count(1))

    def scene(self) -> Scene:
        """A namespace and a vault."""
        return Scene.new(self.api, self.emulator)

    @contextmanager
    def operator(self, installation: Installation) -> Iterator[RunningOperator]:
        """The operator that an installation describes."""
        environ = installation.environ() | self.emulator.environment()
        with RunningOperator.start(environ, next(self._logs), arguments=installation.arguments()) as running:
            running.await_ready()
            yield running


@pytest.fixture(scope="module")
def stage(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The stage of all tests here."""
    tools, folder = ensure_tools(_ENVIRON, sys.stderr), tmp_path_factory.mktemp("chart")
    with ControlPlane(tools, folder / "plane", audited=True) as plane, KubernetesApi(plane.kubeconfig) as api:
        for namespace in (NAMESPACE, "second"):
            labels = {"pod-security.kubernetes.io/enforce": "restricted"}
            metadata = {"name": namespace, "labels": labels}
            api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        yield Stage(plane, Helm(tools["helm"], folder / "helm", plane.environ()), api, emulator, folder)


@pytest.fixture(scope="module")
def notes(stage: Stage) -> str:
    """What helm told the user when it installed the chart without any values."""
    return Installation(stage.helm, stage.plane, NAMESPACE, RELEASE).install({})


@pytest.fixture(scope="module")
def installed(stage: Stage, notes: str) -> Installation:
    """The chart, installed without any values."""
    # The garbage collector looks for new kinds every 30 seconds, and when it starts.
    stage.plane.controllers.restart()
    return Installation(stage.helm, stage.plane, NAMESPACE, RELEASE)


def pod_of(installation: Installation) -> dict[str, Any]:
    """The pod that the Deployment would make, if there were nodes."""
    template = installation.deployment()["spec"]["template"]
    metadata = {**template["metadata"], "name": "vaultsync", "namespace": installation.namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def admit(stage: Stage, pod: dict[str, Any]) -> None:
    """Show a pod to every admission check of the API server. Raises `KubectlFailed`."""
    stage.plane.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))


def uid(thing: Object | None) -> str:
    """Which object it is; one that was made anew is another."""
    assert thing is not None
    identity: str = thing["metadata"]["uid"]
    return identity


def test_a_user_is_told_how_to_see_the_operator_start(notes: str) -> None:
    assert f"kubectl --namespace {NAMESPACE} rollout status deployment/{RELEASE}" in notes


def test_the_vaultsecret_that_a_user_is_shown_is_accepted(notes: str, stage: Stage) -> None:
    shown = textwrap.dedent(notes.partition("<<EOF\n")[2].partition("   EOF")[0])

    stage.plane.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=shown)


def test_pod_security_restricted_admits_the_operators_pod(installed: Installation, stage: Stage) -> None:
    admit(stage, pod_of(installed))


def test_pod_security_restricted_is_enforced_here(installed: Installation, stage: Stage) -> None:
    pod = pod_of(installed)
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True

    with pytest.raises(KubectlFailed, match='violates PodSecurity "restricted'):
        admit(stage, pod)


def test_the_installed_operator_needs_just_the_rights_that_the_chart_gives_it(
    installed: Installation, stage: Stage
) -> None:
    scene = stage.scene()
    installed.upgrade({"settings": settings_here(), "rbac": RESTARTS})
    with stage.operator(installed):
        made = scene.put()
        scene.apply()
        scene.await_content(password=made)
        scene.tamper(stringData={"password": "changed", "added": "too"})
        scene.await_content(password=made)
        scene.api.delete(scene.path("secrets", "db"))
        scene.await_content(password=made)
        scene.api.create(
            scene.path("secrets"), {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "of-somebody"}}
        )
        scene.apply(name="of-somebody")
        scene.await_reason("TargetConflict", "of-somebody")
        sealed = {"immutable": True, "replaceImmutable": True}
        scene.apply(entry("before"), name="sealed", target=sealed)
        scene.await_content("sealed", before=made)
        scene.apply(entry("after"), name="sealed", target=sealed)
        scene.await_content("sealed", after=made)
        for kind in WorkloadKind:
            scene.run(kind)
        scene.apply(name="watched", restart=[{"kind": kind, "name": "web"} for kind in WorkloadKind])
        scene.await_synced("watched")
        rotated = scene.put()
        scene.await_content("watched", password=rotated, within=NEXT_POLL)
        eventually(lambda: all(scene.rollouts(kind) == 1 for kind in WorkloadKind), "each workload is restarted")

    granted = stage.api.get(f"{_RBAC}/clusterroles/{RELEASE}")
    assert granted is not None
    assert refusals(stage.plane.audit_log, installed.user) == []
    assert used_rights(stage.plane.audit_log, installed.user) == rights_of(granted["rules"])


def test_an_upgrade_keeps_vaultsecrets_and_their_secrets(installed: Installation, stage: Stage) -> None:
    scene = stage.scene()
    installed.upgrade({"settings": settings_here()})
    with stage.operator(installed):
        made = scene.put()
        before = uid(scene.apply())
        secret = uid(scene.await_content(password=made))

    installed.upgrade({"settings": settings_here(concurrency=8), "commonLabels": {"team": "platform"}})

    assert uid(scene.vault_secret()) == before
    assert uid(scene.secret()) == secret
    with stage.operator(installed):
        scene.apply(name="later")
        scene.await_content("later", password=made)


def test_with_named_namespaces_the_operator_works_there_and_has_no_rights_elsewhere(
    installed: Installation, stage: Stage
) -> None:
    here, elsewhere = stage.scene(), stage.scene()
    second = Installation(stage.helm, stage.plane, "second", "vaultsync-second")
    second.install(
        {
            "settings": settings_here(watchNamespaces=[here.namespace]),
            "crds": {"enabled": False},
            "rbac": {"aggregateToView": False},
        }
    )
    for scene in (here, elsewhere):
        scene.put()
        scene.apply()

    with stage.operator(second):
        here.await_synced()

    assert elsewhere.ready() is None
    assert refusals(stage.plane.audit_log, second.user) == []
    with pytest.raises(KubectlFailed):
        stage.plane.kubectl("auth", "can-i", "list", "secrets", "-n", elsewhere.namespace, f"--as={second.user}")
    second.uninstall()


def test_whoever_has_the_role_view_sees_vaultsecrets(installed: Installation, stage: Stage) -> None:
    scene = stage.scene()
    stage.plane.kubectl("create", "rolebinding", "viewers", "-n", scene.namespace, "--clusterrole=view", "--user=jo")

    def jo_may(verb: str) -> bool:
        try:
            stage.plane.kubectl("auth", "can-i", verb, "vaultsecrets.vaultsync.dev", "-n", scene.namespace, "--as=jo")
        except KubectlFailed:
            return False
        return True

    eventually(lambda: jo_may("list"), "jo may list VaultSecrets")
    assert not jo_may("create")


def test_uninstalling_keeps_what_users_made_and_installing_again_takes_it_up(
    installed: Installation, stage: Stage
) -> None:
    scene = stage.scene()
    installed.upgrade({"settings": settings_here()})
    with stage.operator(installed):
        made = scene.put()
        before = uid(scene.apply())
        secret = uid(scene.await_content(password=made))

    installed.uninstall()

    assert stage.api.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{RELEASE}") is None
    assert stage.api.get(f"{_RBAC}/clusterroles/{RELEASE}") is None
    assert uid(scene.vault_secret()) == before
    assert uid(scene.secret()) == secret

    installed.install({"settings": settings_here()})
    with stage.operator(installed):
        scene.apply(name="later")
        scene.await_content("later", password=made)
    assert uid(scene.secret()) == secret


def test_uninstalling_with_the_crds_removes_secrets_unless_they_are_to_be_retained(
    installed: Installation, stage: Stage
) -> None:
    scene = stage.scene()
    installed.upgrade({"settings": settings_here(), "crds": {"keep": False}})
    with stage.operator(installed):
        scene.put()
        scene.apply(name="goes")
        scene.apply(name="stays", onDelete="Retain")
        scene.await_synced("goes")
        scene.await_synced("stays")

    installed.uninstall()

    eventually(lambda: stage.api.get(_CRD) is None, "the CRD is gone")
    eventually(lambda: scene.secret("goes") is None, "the Secret of a VaultSecret that went is gone", within=45)
    assert scene.secret("stays") is not None
