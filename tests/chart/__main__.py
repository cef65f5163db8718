"""`python -m tests.chart`: writes the table of values in the chart's README, its dashboard, and the golden renders."""

import os
import sys
import tempfile
from pathlib import Path

from tests.chart.commented import commented_values, table
from tests.chart.dashboard import FILE, dashboard_json
from tests.chart.renders import GOLDEN, README, VALUE_SETS, VALUES, golden, readme_with, render_set, without_crds
from tests.controlplane.build import TOOLS, ensure_tools
from tests.controlplane.helm import Helm


def main() -> None:
    """Write all files."""
    FILE.write_text(dashboard_json())
    README.write_text(readme_with(table(commented_values(VALUES.read_text()))))
    only_helm = tuple(tool for tool in TOOLS if tool.name == "helm")
    program = ensure_tools(os.environ, sys.stderr, only_helm)["helm"]  # noqa: TID251 - where programs are built
    for leftover in set(GOLDEN.glob("*.yaml")) - {golden(name) for name in VALUE_SETS}:
        leftover.unlink()
    with tempfile.TemporaryDirectory() as home:
        helm = Helm(program, Path(home))
        for name in VALUE_SETS:
            golden(name).write_text(without_crds(render_set(helm, name)))


if __name__ == "__main__":
    main()
