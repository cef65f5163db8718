"""Everything that `vaultsync convert` prints passes the API server's dry run, with its admission rules."""

import re
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.controlplane.plane import ControlPlane
from tests.unit.vaultsync.convert.samples import SAMPLES
from vaultsync.convert.core import Options, convert

EXAMPLES: Final = re.findall(
    r"```yaml\n(.*?)```\n\n```yaml\n", (Path(__file__).parents[2] / "docs" / "convert.md").read_text(), re.DOTALL
)
"""What the page about it converts."""

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("adopt", [False, True])
def test_the_api_server_accepts_what_is_printed(adopt: bool, controlplane: ControlPlane) -> None:
    given = {**SAMPLES, **{f"example {number}": text for number, text in enumerate(EXAMPLES)}}
    printed = [convert({name: text}, Options(adopt=adopt)).text for name, text in given.items()]
    made = [one for text in printed for one in yaml.safe_load_all(text)]
    for one in made:
        if one["kind"] == "VaultSecret":
            one["metadata"]["namespace"] = "default"

    answers = controlplane.kubectl(
        "apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump_all(made)
    ).splitlines()

    assert len(answers) == len(made)
    assert all(answer.endswith("created (server dry run)") for answer in answers)
