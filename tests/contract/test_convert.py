"""docs/convert.md: the command prints what the page shows, and the page names the functions and options there are."""

import re
from pathlib import Path
from typing import Final

import pytest

from vaultsync.__main__ import parser
from vaultsync.convert.core import CONVERTED, UNUSABLE, WITH_FINDINGS, Options, convert
from vaultsync.convert.go_templates import FUNCTIONS
from vaultsync.convert.reading import MAX_BYTES

PAGE: Final = (Path(__file__).parents[2] / "docs" / "convert.md").read_text()
_EXAMPLE: Final = re.compile(
    r"```yaml\n(?P<given>.*?)```\n\n```yaml\n(?P<printed>.*?)```\n(?:\n```text\n(?P<findings>.*?)```\n)?", re.DOTALL
)
EXAMPLES: Final = list(_EXAMPLE.finditer(PAGE))


@pytest.mark.parametrize("example", EXAMPLES, ids=[str(number) for number in range(len(EXAMPLES))])
def test_an_example_is_what_the_command_prints(example: re.Match[str]) -> None:
    file = re.search(r"\(([a-z0-9-]+\.yaml):", example["printed"])
    assert file is not None
    conversion = convert({file[1]: example["given"]}, Options())

    assert conversion.text == example["printed"]
    assert "".join(f"{finding}\n" for finding in conversion.findings) == (example["findings"] or "")


def test_each_peer_has_an_example() -> None:
    kinds = set(re.findall(r"^kind: (\w+)$", "".join(example["given"] for example in EXAMPLES), re.MULTILINE))

    assert kinds >= {"ExternalSecret", "AzureKeyVaultSecret", "SecretProviderClass", "SecretSync"}


def test_the_functions_of_templates_are_those_that_are_translated() -> None:
    sentence = PAGE.split("functions:")[1].split(".\n")[0]

    assert set(re.findall(r"`(\w+)`", sentence)) == FUNCTIONS


def test_the_options_are_those_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["convert", "--help"])

    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert options == set(re.findall(r"`[^`]*(--[a-z-]+)", PAGE.split("| option |")[1].split("\n\n")[0]))


def test_exit_codes_and_the_limit_are_those_of_the_page() -> None:
    assert (CONVERTED, WITH_FINDINGS, UNUSABLE) == (0, 1, 2)
    assert f"{MAX_BYTES // 2**20} MiB" in PAGE
