"""The chart as a dependency of another, by its name and by aliases; the registry and the credentials of all charts."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.chart.renders import CHART, IMAGE, README, Manifest, container, manifests, render, the
from tests.controlplane.helm import Helm
from vaultsync import __version__

VERSION: Final = __version__


class Parent:
    """A chart that depends on ours."""

    def __init__(self, helm: Helm, folder: Path) -> None:
        self._helm = helm
        self._folder = folder
        shutil.copytree(CHART, folder / "charts" / "vaultsync")

    def render(self, values: Mapping[str, Any], *aliases: str) -> list[Manifest]:
        """What it installs with these values, with our chart by its name or by each of these aliases."""
        named = [{"alias": alias} for alias in aliases] or [{}]
        of_ours = {"name": "vaultsync", "version": VERSION, "repository": ""}
        conditions = [{"condition": f"{alias}.enabled"} for alias in aliases or ("vaultsync",)]
        dependencies = [{**of_ours, **name, **when} for name, when in zip(named, conditions, strict=True)]
        about = {"apiVersion": "v2", "name": "platform", "version": "1.0.0", "dependencies": dependencies}
        (self._folder / "Chart.yaml").write_text(json.dumps(about))
        arguments = ("template", "platform", self._folder, "--kube-version", "1.36.0", "--values", "-")
        return manifests(self._helm(*arguments, stdin=json.dumps(values)))


@pytest.fixture
def parent(helm: Helm, tmp_path: Path) -> Parent:
    """The chart `platform`, which depends on ours."""
    return Parent(helm, tmp_path)


def deployments(rendered: list[Manifest]) -> dict[str, Manifest]:
    """The Deployments, by name."""
    return {one["metadata"]["name"]: one for one in rendered if one["kind"] == "Deployment"}


def identity(manifest: Manifest) -> tuple[str, str | None, str]:
    """What tells an object from others."""
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace"), metadata["name"]


def test_values_of_the_parent_reach_the_operator(parent: Parent) -> None:
    shared = {"imageRegistry": "mirror.example.com", "imagePullSecrets": ["mirror"], "team": "platform"}
    own = {"image": {"repository": IMAGE}, "settings": {"concurrency": 8}}

    (deployment,) = deployments(parent.render({"global": shared, "vaultsync": own})).values()

    pod = deployment["spec"]["template"]["spec"]
    assert deployment["metadata"]["name"] == "platform-vaultsync"
    assert pod["containers"][0]["image"] == f"mirror.example.com/vaultsync:{VERSION}"
    assert pod["imagePullSecrets"] == [{"name": "mirror"}]
    assert {"name": "VAULTSYNC_CONCURRENCY", "value": "8"} in pod["containers"][0]["env"]


def test_the_condition_leaves_the_chart_out(parent: Parent) -> None:
    assert parent.render({"vaultsync": {"enabled": False}}) == []


def test_an_alias_names_all_objects_so_that_two_share_none(parent: Parent) -> None:
    def one(namespace: str) -> Manifest:
        return {
            "image": {"repository": IMAGE},
            "crds": {"enabled": False},
            "settings": {"watchNamespaces": [namespace]},
        }

    both = parent.render({"blue": one("shop"), "green": one("web")}, "blue", "green")

    assert len({identity(each) for each in both}) == len(both)
    for alias, other in (("blue", "green"), ("green", "blue")):
        deployment = deployments(both)[f"platform-{alias}"]
        selected = deployment["spec"]["selector"]["matchLabels"]
        assert selected["app.kubernetes.io/name"] == alias
        assert (
            not selected.items()
            <= deployments(both)[f"platform-{other}"]["spec"]["template"]["metadata"]["labels"].items()
        )
        assert {"name": "VAULTSYNC_INSTALLATION", "value": f"platform-{alias}.default"} in (
            deployment["spec"]["template"]["spec"]["containers"][0]["env"]
        )


def test_the_example_of_the_readme_is_such_a_parent(helm: Helm, tmp_path: Path) -> None:
    section = README.read_text().partition("## As a part of another chart")[2].partition("\n## ")[0]
    shown = re.findall(r"```yaml\n# (\S+)\n(.*?)```", section, re.DOTALL)
    shutil.copytree(CHART, tmp_path / "vaultsync")
    platform = tmp_path / "platform"
    platform.mkdir()
    for name, text in shown:
        (platform / name).write_text(text)
    with (platform / "Chart.yaml").open("a") as about:
        about.write("apiVersion: v2\nname: platform\nversion: 1.0.0\n")

    helm("dependency", "build", platform)
    rendered = manifests(helm("template", "platform", platform, "--kube-version", "1.36.0"))

    (deployment,) = deployments(rendered).values()
    pod = deployment["spec"]["template"]["spec"]
    assert deployment["metadata"]["name"] == "platform-secrets"
    assert pod["containers"][0]["image"] == f"mirror.example.com/vaultsync:{VERSION}"
    assert pod["imagePullSecrets"] == [{"name": "mirror"}]


@pytest.mark.parametrize(
    ("repository", "pulled"),
    [
        ("registry.example.com/team/vaultsync", "mirror.example.com/team/vaultsync"),
        ("registry:5000/vaultsync", "mirror.example.com/vaultsync"),
        ("localhost/vaultsync", "mirror.example.com/vaultsync"),
        ("team/vaultsync", "mirror.example.com/team/vaultsync"),
        ("vaultsync", "mirror.example.com/vaultsync"),
    ],
)
def test_the_shared_registry_replaces_that_of_the_image(repository: str, pulled: str, helm: Helm) -> None:
    digest = f"sha256:{'0' * 64}"

    def image(**more: str) -> str:
        values = {"image": {"repository": repository, **more}, "global": {"imageRegistry": "mirror.example.com/"}}
        found: str = container(render(helm, values=values))["image"]
        return found

    assert (image(tag="1.0"), image(digest=digest)) == (f"{pulled}:1.0", f"{pulled}@{digest}")


def test_credentials_of_all_charts_and_of_this_one_are_used_once_each(helm: Helm) -> None:
    values = {
        "global": {"imagePullSecrets": ["one", {"name": "two"}]},
        "imagePullSecrets": [{"name": "two"}, {"name": "three"}],
    }

    pod = the("Deployment", render(helm, values=values))["spec"]["template"]["spec"]

    assert pod["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}, {"name": "three"}]
