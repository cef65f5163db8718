"""What the chart says about itself where it is published: links that work there, and what Artifact Hub shows."""

import json
import re
import shutil
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
import yaml

from tests.chart.published import CHART, changes, publish
from tests.controlplane.helm import Helm
from tests.release import CHANGELOG, ROOT
from vaultsync import __version__
from vaultsync.api.grants import VaultGrantSpec
from vaultsync.api.schema import crd_files
from vaultsync.api.v1alpha1 import VaultSecretSpec

URL: Final = "https://github.com/example/vaultsync"
VERSION: Final = __version__
CHARTS: Final = "ghcr.io/example/vaultsync/charts"
IMAGE: Final = f"ghcr.io/example/vaultsync@sha256:{'a' * 64}"


def about(chart: str) -> dict[str, Any]:
    """A Chart.yaml, with the YAML in its annotations read, too."""
    read: dict[str, Any] = yaml.safe_load(chart)
    annotations = {name.removeprefix("artifacthub.io/"): text for name, text in read["annotations"].items()}
    return {**read, "annotations": {name: yaml.safe_load(text) for name, text in annotations.items()}}


@pytest.fixture
def published(helm: Helm, tmp_path: Path) -> tuple[dict[str, Any], str]:
    """Chart.yaml and README of a package."""
    shutil.copytree(ROOT / CHART, tmp_path / CHART)
    (tmp_path / CHANGELOG).write_text(f"## [{VERSION}] - 2030-01-02\n\n### Added\n\n- More. And more.\n")
    publish(URL, VERSION, CHARTS, IMAGE, tmp_path)
    helm("package", tmp_path / CHART, "--destination", tmp_path)
    package = tmp_path / f"vaultsync-{VERSION}.tgz"
    helm("lint", "--strict", package, "--set", "image.repository=ghcr.io/example/vaultsync")
    return about(helm("show", "chart", package)), helm("show", "readme", package)


def test_links_of_the_package_are_absolute_and_point_to_files_of_its_version(
    published: tuple[dict[str, Any], str],
) -> None:
    _, readme = published

    links = re.findall(r"\]\(([^)]+)\)", readme)
    ours = [link for link in links if link.startswith(URL)]
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    assert len(ours) > 5
    paths = [link.removeprefix(f"{URL}/blob/v{VERSION}/").partition("#")[0] for link in ours]
    assert [path for path in paths if not (ROOT / path).is_file()] == []


def test_the_readme_of_the_package_installs_what_is_published(published: tuple[dict[str, Any], str]) -> None:
    _, readme = published

    command = re.search(r"^helm install .*(\n  --.*)*", readme, re.MULTILINE)
    assert command is not None
    assert f" oci://{CHARTS}/vaultsync --version {VERSION} --namespace" in command[0]
    assert "image.repository" not in command[0]
    assert "From a checkout" not in readme
    assert re.search(r"Kubernetes 1\.30 or newer .*\.\n\n```console\nhelm install", readme)
    assert f"The image is `{IMAGE}`." in readme


def test_the_package_says_where_it_is_from_and_what_it_installs(published: tuple[dict[str, Any], str]) -> None:
    chart, _ = published

    assert (chart["home"], chart["sources"]) == (URL, [URL])
    assert chart["icon"] == f"{URL}/raw/v{VERSION}/docs/icon.svg"
    assert (ROOT / "docs" / "icon.svg").is_file()
    says = chart["annotations"]
    assert says["changes"] == [{"kind": "added", "description": "More."}]
    assert [image["image"] for image in says["images"]] == [IMAGE]
    paths = [link["url"].removeprefix(f"{URL}/blob/v{VERSION}/") for link in says["links"]]
    assert [path for path in paths if not (ROOT / path).is_file()] == []


def test_changes_are_the_first_sentences_of_the_changelog_by_kind() -> None:
    section = (
        "\n### Added\n\n- `vaultsync`, an operator. It\n  does more.\n"
        "- The [guide](docs/guide.md) shows v1.5 of\n  each.\n\n"
        "### Security\n\n- A hole is closed.\n\n### How to read this\n\n- Slowly.\n"
    )

    assert changes(section) == [
        {"kind": "added", "description": "`vaultsync`, an operator."},
        {"kind": "added", "description": "The guide shows v1.5 of each."},
        {"kind": "security", "description": "A hole is closed."},
    ]


def test_the_real_changelog_has_changes_to_list() -> None:
    listed = changes((ROOT / CHANGELOG).read_text())

    assert listed
    assert len(json.dumps(listed)) < 100_000


def test_artifact_hub_shows_the_definitions_that_there_are() -> None:
    shown = about((ROOT / CHART / "Chart.yaml").read_text())["annotations"]["crds"]

    there = [yaml.safe_load(file) for file in crd_files().values()]
    assert {(each["name"], each["kind"], each["version"]) for each in shown} == {
        (crd["metadata"]["name"], crd["spec"]["names"]["kind"], version["name"])
        for crd in there
        for version in crd["spec"]["versions"]
    }
    assert all(each["displayName"] == each["kind"] and each["description"] for each in shown)


def test_the_examples_at_artifact_hub_are_valid() -> None:
    examples = about((ROOT / CHART / "Chart.yaml").read_text())["annotations"]["crdsExamples"]

    assert [each["kind"] for each in examples] == ["VaultGrant", "VaultSecret"]
    VaultGrantSpec.parse(examples[0]["spec"])
    VaultSecretSpec.parse(examples[1]["spec"])
    for crd in map(yaml.safe_load, crd_files().values()):
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        (example,) = [each for each in examples if each["kind"] == crd["spec"]["names"]["kind"]]
        jsonschema.validate(example, schema)
