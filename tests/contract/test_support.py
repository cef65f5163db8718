"""The page of what is supported names what the tests pin, and the chart and the package claim no more."""

import re
import tomllib
from pathlib import Path
from typing import Final

import yaml

from tests.controlplane.build import MODULES, kubernetes_modules

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "charts" / "vaultsync"
PAGE: Final = (ROOT / "docs" / "support.md").read_text()


def table(heading: str) -> list[list[str]]:
    """The rows of the table below a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return rows[2:]


def pinned(module: str, package: str) -> str:
    """The version of a package in a go.mod."""
    found = re.search(rf"^\s*{re.escape(package)} v(\S+)", (MODULES / module / "go.mod").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def minor(version: str) -> tuple[int, ...]:
    """The first two numbers of a version."""
    return tuple(map(int, version.split(".")[:2]))


def test_every_version_of_kubernetes_that_is_pinned_is_listed_with_its_command() -> None:
    rows = {row[0]: row[2] for row in table("Kubernetes")}
    default, *others = kubernetes_modules().items()

    expected = {pinned(default[1], "k8s.io/kubernetes"): "`make test`"}
    for version, module in others:
        expected[pinned(module, "k8s.io/kubernetes")] = f"`make test-kubernetes KUBERNETES={version}`"
    assert rows == expected


def test_the_oldest_kubernetes_that_was_run_is_the_oldest_that_the_chart_installs_on() -> None:
    oldest = min((row[0] for row in table("Kubernetes")), key=minor)
    claimed = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"]

    assert claimed == f">={'.'.join(oldest.split('.')[:2])}.0-0"
    for folder in (ROOT, CHART):
        assert f"Kubernetes {'.'.join(oldest.split('.')[:2])} or newer" in (folder / "README.md").read_text()


def test_the_pythons_are_those_that_the_package_names() -> None:
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]

    assert table("Python")[0][0].split(", ") == [
        found[1] for text in classifiers if (found := re.search(r":: (3\.\d+)$", text))
    ]


def test_the_helm_of_the_tests_is_listed_and_the_oldest_one_is_what_the_chart_requires() -> None:
    versions = [row[0] for row in table("Helm")]

    assert pinned("helm", "helm.sh/helm/v3") in versions
    oldest = ".".join(min(versions, key=minor).split(".")[:2])
    assert f"Helm {oldest} or newer" in (CHART / "README.md").read_text()
