"""The workflows of the code host: valid, and the verbs of developers, on each version that is supported."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.controlplane.build import MODULES, kubernetes_modules

ROOT: Final = Path(__file__).parents[2]
WORKFLOWS: Final = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def jobs(name: str) -> dict[str, Any]:
    """The jobs of a workflow, by name."""
    found: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())["jobs"]
    return found


def test_actionlint_finds_nothing(actionlint: Path) -> None:
    # Without shellcheck, which not every machine has.
    done = subprocess.run([actionlint, "-shellcheck=", *WORKFLOWS], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_its_digest_beside_its_version(workflow: Path) -> None:
    used = re.findall(r"uses: (?!\./)(.*)", workflow.read_text())

    assert [text for text in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", text)] == []


def test_an_action_has_the_same_digest_everywhere() -> None:
    used = {text for path in WORKFLOWS for text in re.findall(r"uses: (?!\./)(.*)", path.read_text())}

    assert len(used) == len({text.partition("@")[0] for text in used})


def test_every_make_verb_of_a_workflow_exists() -> None:
    verbs = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = {
        verb
        for path in WORKFLOWS
        for line in re.findall(r"run: make (.*)", path.read_text())
        for verb in re.findall(r"\b[a-z-]+\b", line)
    }

    assert {"build", "check", "sbom", "test", "test-kubernetes", "test-python"} <= used <= verbs


def test_ci_runs_every_version_of_kubernetes_that_is_pinned_beside_the_default_one() -> None:
    assert jobs("ci.yml")["kubernetes"]["strategy"]["matrix"]["kubernetes"] == list(kubernetes_modules())[1:]


def test_ci_runs_every_version_of_python_that_the_package_names() -> None:
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    supported = [found[1] for text in classifiers if (found := re.search(r":: (3\.\d+)$", text))]

    assert jobs("ci.yml")["python"]["strategy"]["matrix"]["python"] == supported


def test_jobs_have_only_the_permissions_that_they_name() -> None:
    for path in WORKFLOWS:
        assert yaml.safe_load(path.read_text())["permissions"] == {}
        assert all("permissions" in job for job in jobs(path.name).values())


def test_a_step_fails_with_any_part_of_a_pipe() -> None:
    """The default shell of the code host runs steps without `pipefail`; `bash` by name has it."""
    for path in WORKFLOWS:
        steps = [step.get("run", "") for job in jobs(path.name).values() for step in job.get("steps", ())]
        has_pipe = any(re.search(r"[^|]\|[^|]", text) for text in steps)
        shell = yaml.safe_load(path.read_text()).get("defaults", {}).get("run", {}).get("shell")
        assert not has_pipe or shell == "bash", path.name


def test_dependabot_knows_every_go_mod_but_those_of_kubernetes_and_what_is_built_with_it() -> None:
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]
    (named,) = [update["directories"] for update in updates if update["package-ecosystem"] == "gomod"]

    with_kubernetes = {*kubernetes_modules().values(), "flux", "readers"}
    others = {path.parent.name for path in MODULES.glob("*/go.mod")} - with_kubernetes
    assert named == [f"/{(MODULES / name).relative_to(ROOT)}" for name in sorted(others)]
