"""docs/templates.md: each example gives its result, each filter has one, and standard Liquid is there or left out."""

import re
from pathlib import Path
from typing import Final

import liquid
import pytest
import yaml

from vaultsync.render.liquid.filters import FILTERS, OTHER_NAMES
from vaultsync.render.liquid.tags import TAGS
from vaultsync.render.password_hashes import password_hashes
from vaultsync.render.passwords import Passwords
from vaultsync.render.template import render

PAGE: Final = (Path(__file__).parents[2] / "docs" / "templates.md").read_text()
ENTRIES: Final = {
    key: text.encode() for key, text in yaml.safe_load(PAGE.split("```yaml\n")[1].split("```")[0]).items()
}
_ROW: Final = re.compile(r"^\| `(?P<source>.*[{%].*)` \| `(?P<result>.*)` \|$", re.MULTILINE)
EXAMPLES: Final = [
    (found["source"].replace("\\|", "|"), found["result"].replace("⏎", "\n")) for found in _ROW.finditer(PAGE)
]
LEFT_OUT: Final = frozenset(re.findall(r"`(\w+)`", PAGE.split("## What is left out")[1].split("## Limits")[0]))


def rendered(source: str) -> str:
    """Render a template with the page's keys, and with what its hashes become."""
    needed = Passwords("uid", [])
    render({"made": source}, ENTRIES, needed)
    hashes = dict(zip(needed.missing, password_hashes(tuple(needed.missing)), strict=True))
    return render({"made": source}, ENTRIES, Passwords("uid", [], hashes))["made"].decode()


@pytest.mark.parametrize(("source", "result"), EXAMPLES, ids=[source for source, _ in EXAMPLES])
def test_an_example_has_the_result_of_the_page(source: str, result: str) -> None:
    pattern = ".*".join(map(re.escape, result.split("…")))

    assert re.fullmatch(pattern, rendered(source), re.DOTALL)


def test_each_filter_has_an_example() -> None:
    used = {name for source, _ in EXAMPLES for name in re.findall(r"\| (\w+)", source)}

    assert used >= FILTERS.keys()


def test_each_filter_of_standard_liquid_is_there_or_left_out() -> None:
    standard = liquid.Environment().filters.keys()

    assert standard - FILTERS.keys() <= LEFT_OUT
    assert not LEFT_OUT & (FILTERS.keys() - {"b64encode", "b64decode", "split", "slice", "join"})


def test_each_tag_of_standard_liquid_is_there_or_left_out() -> None:
    standard = {name for name in liquid.Environment().tags if name.isalpha() and not name.isupper()}
    ours = {tag.name for tag in TAGS} | {"raw", "comment"}

    assert standard - ours - {"content", "illegal", "output", "statement"} <= LEFT_OUT


def test_names_of_other_languages_lead_to_filters_that_exist() -> None:
    assert set(OTHER_NAMES.values()) <= FILTERS.keys()
    assert not OTHER_NAMES.keys() & FILTERS.keys()
