"""The code blocks of all pages: shells, programs and the chart accept them. Other tests run many of them."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
import yaml

from tests.chart.renders import CHART
from tests.controlplane.build import ensure_tools
from tests.pages import SHELL, Block, code_blocks
from vaultsync.__main__ import parser

ROOT: Final = Path(__file__).parents[2]
VALUES: Final = json.loads((CHART / "values.schema.json").read_text())
LANGUAGES: Final = SHELL | {"", "hcl", "json", "lua", "promql", "python", "text", "yaml"}


def of(*languages: str) -> list[Block]:
    return [block for block in code_blocks() if block.language in languages]


def of_program(*names: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of the program, by its place."""
    for block in of(*SHELL):
        for command in block.commands:
            if command[: len(names)] == list(names):
                yield block.place, command[len(names) :]


def options(words: list[str]) -> list[str]:
    """The options among the words, without their values, and without those of a command after `--`."""
    own = words[: words.index("--")] if "--" in words else words
    return [word.split("=")[0] for word in own if re.match(r"--?[a-zA-Z]", word)]


def test_blocks_are_of_a_known_language() -> None:
    assert {block.place for block in code_blocks() if block.language not in LANGUAGES} == set()


def test_bash_can_parse_each_script() -> None:
    script = "\n".join(f"{{ : {shlex.quote(block.place)}\n{block.script}\n}}" for block in of(*SHELL))

    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)

    assert done.stderr == ""


def test_packages_of_this_repository_are_installed_from_it() -> None:
    """They are not on PyPI, where anybody could register their names."""
    installs = [*of_program("pip", "install"), *of_program("pipx", "install"), *of_program("uv", "tool", "install")]

    assert [(place, one) for place, words in installs for one in words if re.match("vaultsync|kvsecrets", one)] == []
    assert {one for _, words in installs for one in words} >= {".[cli]", "./operator/kvsecrets"}


def test_yaml_is_yaml() -> None:
    for block in of("yaml"):
        assert list(yaml.safe_load_all(block.text)), block.place


def values() -> dict[str, Any]:
    """The blocks that are values of the chart, by their places."""
    return {
        block.place: document
        for block in of("yaml")
        for document in yaml.safe_load_all(block.text)
        if isinstance(document, dict) and document.keys() <= VALUES["properties"].keys()
    }


@pytest.mark.parametrize("example", values().values(), ids=values())
def test_values_are_those_of_the_chart(example: dict[str, Any]) -> None:
    jsonschema.validate(example, VALUES)


def test_verbs_of_make_exist() -> None:
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    unknown = {
        place: word for place, words in of_program("make") for word in words if "=" not in word and word not in known
    }

    assert unknown == {}


@pytest.mark.parametrize("program", [("vaultsync",), ("kubectl", "vaultsync")])
def test_our_own_commands_are_accepted(program: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(place, words) for place, words in of_program(*program) if words]
    assert found
    for place, words in found:
        monkeypatch.setattr(sys, "argv", [place])
        parser().parse_args(words)


@pytest.mark.cluster
@pytest.mark.parametrize("program", ["helm", "kubectl"])
def test_options_of_programs_exist(program: str) -> None:
    path = ensure_tools(os.environ, sys.stderr)[program]  # noqa: TID251 - where programs are built
    everywhere = printed(path, "options") if program == "kubectl" else ""

    unknown = {
        f"{place}: {option}"
        for place, words in of_program(program)
        if words[0] != "vaultsync"
        for option in options(words)
        if not re.search(rf"(?<![\w-]){option}\b", everywhere + printed(path, *verbs(program, words), "--help"))
    }

    assert unknown == set()


def verbs(program: str, words: list[str]) -> list[str]:
    """The part of a command by which its help is found."""
    is_nested = program == "kubectl" and words[0] in {"auth", "config", "create", "rollout"}
    return words[: 3 if is_nested and words[1:2] == ["secret"] else 2 if is_nested else 1]


@cache
def printed(program: Path, *words: str) -> str:
    return subprocess.run([program, *words], capture_output=True, text=True, check=True).stdout
