"""What survives when the chart comes and goes: CustomResourceDefinitions of others, and every object at an upgrade.

The chart before is `previous/vaultsync-*.tgz`, made by `helm package` and replaced by that of each release.
"""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.chart.renders import CHART, IMAGE, NAMESPACE, with_image
from tests.controlplane.helm import HelmFailed
from tests.e2e.chart_environment import ChartEnvironment, uid
from tests.e2e.installation import RESTARTS, Installation, settings_here
from tests.e2e.kubernetes import Object
from tests.emulator.client import ROOT
from tests.manifests import URL, grant
from vaultsync.api import API_VERSION, GRANT_PLURAL

pytestmark = pytest.mark.cluster

_CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_GRANTS: Final = f"/apis/{API_VERSION}/{GRANT_PLURAL}"
_NAMES: Final = ("vaultgrants.vaultsync.dev", "vaultsecrets.vaultsync.dev")
_RELEASE: Final = "vaultsync-kept"
_OTHER: Final = "vaultsync-other"
_KEEP: Final = "helm.sh/resource-policy"
_MARKS: Final = ("meta.helm.sh/release-name", "meta.helm.sh/release-namespace")


class Releases:
    """Releases of the chart without admission policies, which take their time to be enforced, in one namespace."""

    def __init__(self, env: ChartEnvironment) -> None:
        self._env: Final = env

    def helm(self, verb: str, release: str = _RELEASE, **values: object) -> str:
        """Install or upgrade with these values; what helm prints. Raises `HelmFailed`."""
        given = with_image({"admissionPolicies": {"enabled": False}, **values})
        arguments = (verb, release, CHART, "--namespace", NAMESPACE, "--values", "-")
        return self._env.helm(*arguments, stdin=json.dumps(given))

    def uninstall(self, release: str = _RELEASE) -> None:
        """Uninstall; return when the objects are deleted."""
        self._env.helm("uninstall", release, "--namespace", NAMESPACE, "--wait")

    def apply_crds(self) -> None:
        """Do what users did who read `kubectl apply -f crds/` somewhere."""
        self._env.plane.install(ROOT / "crds")

    def crds(self) -> dict[str, Object]:
        """The definitions that there are, by name."""
        found = {each["metadata"]["name"]: each for each in self._env.api.list(_CRDS)}
        return {name: found[name] for name in _NAMES if name in found}

    def uids(self) -> dict[str, str]:
        """Which definitions these are."""
        return {name: uid(each) for name, each in self.crds().items()}

    def mark(self, *marks: str) -> None:
        """Annotate the definitions; `name-` removes an annotation."""
        self._env.plane.kubectl("annotate", "--overwrite", "crd", *_NAMES, *marks)

    def remove(self) -> None:
        """Delete the definitions."""
        self._env.plane.kubectl("delete", "crd", "--ignore-not-found", *_NAMES)


@pytest.fixture
def releases(chart_environment: ChartEnvironment) -> Iterator[Releases]:
    """Releases, and at first no definitions."""
    releases = Releases(chart_environment)
    releases.remove()
    yield releases
    installed = chart_environment.helm("list", "--namespace", NAMESPACE, "--short").split()
    for release in {_RELEASE, _OTHER} & set(installed):
        releases.uninstall(release)
    releases.remove()


def hand_over(env: ChartEnvironment, printed: str) -> None:
    """Run the commands by which notes or an error hand definitions over."""
    commands = re.findall(r"^ +kubectl ((?:label|annotate) --overwrite crd .*)$", printed, re.MULTILINE)
    assert commands
    for command in commands:
        env.plane.kubectl(*shlex.split(command))


def shipped(name: str) -> Object:
    """A definition as this version has it."""
    definition: Object = yaml.safe_load((ROOT / "crds" / f"{name.partition('.')[0]}.yaml").read_text())
    return definition


def versions(crd: Object) -> list[Object]:
    """The versions of a definition, without selectable fields, which Kubernetes 1.30 leaves out."""
    return [{**one, "selectableFields": None} for one in crd["spec"]["versions"]]


def marks(crd: Object) -> list[str | None]:
    """The marks of the release that a definition belongs to."""
    return [crd["metadata"]["annotations"].get(mark) for mark in _MARKS]


def test_definitions_that_kubectl_applied_before_are_left_as_they_are(releases: Releases) -> None:
    releases.apply_crds()
    before = releases.crds()
    shop = {"name": "shop", "spec": grant("shop", URL)["spec"]}

    notes = releases.helm("install", grants=[shop])
    again = releases.helm("upgrade", grants=[shop], replicaCount=1)
    assert all(f"{name}, created by kubectl\n" in text for text in (notes, again) for name in _NAMES)
    assert releases.crds() == before

    releases.mark(f"{_KEEP}-")
    with pytest.raises(HelmFailed, match="invalid ownership metadata"):
        releases.helm("upgrade", grants=[shop])
    releases.uninstall()
    assert releases.uids() == {name: uid(crd) for name, crd in before.items()}


def test_messages_say_how_a_release_takes_definitions_over_and_upgrades_them(
    releases: Releases, chart_environment: ChartEnvironment
) -> None:
    releases.apply_crds()
    field = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/suspend"
    change = [{"op": "remove", "path": field}]
    chart_environment.plane.kubectl("patch", "crd", _NAMES[1], "--type=json", "-p", json.dumps(change))
    before = releases.uids()

    with pytest.raises(HelmFailed, match=f"{_NAMES[1]} was created by kubectl, and lacks fields") as refusal:
        releases.helm("install")
    hand_over(chart_environment, str(refusal.value))
    notes = releases.helm("install")
    assert re.findall(r"([a-z.]+), created by kubectl\n", notes) == [_NAMES[0]]
    hand_over(chart_environment, notes)
    assert "created by" not in releases.helm("upgrade")

    assert releases.uids() == before
    for name, crd in releases.crds().items():
        assert versions(crd) == versions(shipped(name))
        assert marks(crd) == [_RELEASE, NAMESPACE]
    releases.uninstall()
    assert releases.uids() == before


def test_an_upgrade_restores_definitions_that_were_replaced_and_deletes_none_that_lost_their_marks(
    releases: Releases,
) -> None:
    releases.helm("install")
    before = releases.uids()
    lost = [f"{mark}-" for mark in _MARKS]

    # As `kubectl replace` with the files of a version before they said to be kept.
    releases.mark(f"{_KEEP}-", *lost)
    releases.helm("upgrade")
    assert releases.uids() == before
    assert [marks(crd) for crd in releases.crds().values()] == [[_RELEASE, NAMESPACE]] * len(_NAMES)

    releases.mark(*lost)
    assert "created by kubectl" in releases.helm("upgrade")
    assert releases.uids() == before
    releases.uninstall()
    assert releases.uids() == before


def test_a_release_of_another_name_uses_the_definitions_that_one_has_left(releases: Releases) -> None:
    releases.helm("install")
    releases.uninstall()
    before = releases.uids()

    notes = releases.helm("install", _OTHER)

    assert f"created by the release {_RELEASE} in namespace {NAMESPACE}\n" in notes
    assert releases.uids() == before


# An upgrade from the chart before


class Earlier:
    """A release of the chart before, which is upgraded."""

    def __init__(self, env: ChartEnvironment) -> None:
        (self._chart,) = Path(__file__).parent.glob("previous/vaultsync-*.tgz")
        self._env: Final = env
        self.installation: Final = Installation(env.helm, env.plane, NAMESPACE, _RELEASE)

    def install(self) -> None:
        """Install the chart before, and then a grant, which it could not create together with the definition."""
        image = {"repository": IMAGE}
        self._run("install", self._chart, {"image": image, "rbac": RESTARTS, "settings": settings_here()})
        self._run("upgrade", self._chart, {"grantAllNamespaces": [URL]}, "--reuse-values")

    def upgrade(self) -> None:
        """Upgrade to the chart, with the values of the last time."""
        self._run("upgrade", CHART, {}, "--reset-then-reuse-values")

    def roll_back(self) -> None:
        """Go back to the chart before."""
        self._env.helm("rollback", _RELEASE, "--namespace", NAMESPACE)
        self._env.plane.await_policies()

    def _run(self, verb: str, chart: Path, values: Mapping[str, object], *more: str) -> None:
        where = ("--namespace", NAMESPACE, "--values", "-")
        self._env.helm(verb, _RELEASE, chart, *where, *more, stdin=json.dumps(values))
        self._env.plane.await_policies()


def test_an_upgrade_from_the_chart_before_touches_no_object_of_users_and_can_be_rolled_back(
    releases: Releases, chart_environment: ChartEnvironment
) -> None:
    env, earlier = chart_environment, Earlier(chart_environment)
    earlier.install()
    harness = env.harness()

    def kept() -> dict[str, Any]:
        """What users have written, which objects these are, and the Secret as a whole."""
        vault_secret = harness.vault_secret()
        assert vault_secret is not None
        return {
            "definitions": releases.uids(),
            "grants": {each["metadata"]["name"]: (uid(each), each["spec"]) for each in env.api.list(_GRANTS)},
            "VaultSecret": (uid(vault_secret), vault_secret["spec"]),
            "Secret": harness.secret(),
        }

    harness.apply()
    before = kept()

    earlier.upgrade()
    assert kept() == before
    for name, crd in releases.crds().items():
        assert versions(crd) == versions(shipped(name))
    made = harness.put()
    with env.operator(earlier.installation):
        harness.await_content(password=made)
        harness.await_synced()
    before = kept()

    earlier.roll_back()
    assert kept() == before
    earlier.upgrade()
    assert kept() == before
    with env.operator(earlier.installation):
        # It is reconciled after the first, which the operator finds at its start.
        harness.apply(name="later")
        harness.await_content("later", password=made)
        assert kept() == before

    earlier.installation.uninstall()
    ours = kept()
    assert before["grants"].keys() - ours["grants"].keys() == {"all-namespaces-shop.vault.azure.net"}
    assert {**before, "grants": ours["grants"]} == ours
