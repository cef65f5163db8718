"""The site of the documentation: no broken link, each page in the navigation, nothing from other hosts.

Each page reads as a code host shows it, although MkDocs has another parser of Markdown.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import pytest
from markdown_it import MarkdownIt
from mkdocs.utils.yaml import yaml_load

from tests.pages import pages
from website.generated import generated_pages
from website.hooks import expanded

ROOT: Final = Path(__file__).parents[2]

CODE_HOST: Final = MarkdownIt("commonmark").enable("table")
PARTS: Final = re.compile("a|blockquote|code|h[1-4]|img|li|ol|pre|strong|table|t[dh]|ul")


def files() -> Iterator[tuple[str, str]]:
    """The source of each page, and its file in the site."""
    for name in (page.relative_to(ROOT).as_posix() for page in pages()):
        folder = Path(name.removeprefix("docs/")).with_suffix("")
        yield name, str((folder.parent if folder.name == "README" else folder) / "index.html")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a warning of MkDocs fails."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = dict(os.environ) | {"NO_MKDOCS_2_WARNING": "1"}  # noqa: TID251 - MkDocs runs as for a developer
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Reading(HTMLParser):
    """What a reader sees: the words, and the elements that carry meaning."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self._of_site = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if PARTS.fullmatch(tag) and ("class", "headerlink") not in attrs:
            self.text += f"<{tag}>"

    def handle_data(self, data: str) -> None:
        self.text += re.sub(r"[\s¶]+", "", data)


def reading(html: str) -> list[str]:
    reader = Reading()
    reader.feed(html)
    return re.findall(r"<[^>]*>[^<]{0,60}", reader.text)


def listed(item: object) -> Iterator[str]:
    """The pages of a part of the navigation."""
    match item:
        case str():
            yield item
        case list():
            yield from (page for part in item for page in listed(part))
        case dict():
            yield from (page for part in item.values() for page in listed(part))


def test_each_page_has_one_place_in_the_navigation() -> None:
    with (ROOT / "mkdocs.yml").open() as file:
        navigation = yaml_load(file)["nav"]

    assert sorted(listed([expanded(item) for item in navigation])) == sorted(name for name, _ in files())


def test_generated_pages_are_up_to_date() -> None:
    stale = {path.name for path, text in generated_pages().items() if not path.exists() or path.read_text() != text}

    assert stale == set(), "run `python -m website`"


@pytest.mark.slow
def test_each_page_reads_as_on_a_code_host(site: Path) -> None:
    for name, file in files():
        article = (site / file).read_text().split("<article", 1)[1].split(">", 1)[1].split("</article>")[0]
        assert reading(article) == reading(CODE_HOST.render((ROOT / name).read_text())), name


@pytest.mark.slow
def test_the_site_requests_nothing_from_other_hosts(site: Path) -> None:
    requested = re.compile(r'<(?:link|script|img|iframe)\b[^>]*?\b(?:href|src)="((?:https?:)?//[^"]*)"')
    in_styles = re.compile(r"(?:url\(|@import )[\"']?((?:https?:)?//[^\"') ]*)")

    assert {
        f"{path.relative_to(site)}: {found}"
        for path in site.rglob("*")
        if path.suffix in {".html", ".css"}
        for found in (requested if path.suffix == ".html" else in_styles).findall(path.read_text())
    } == set()
