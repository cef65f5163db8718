"""Hooks of MkDocs: pages keep their places in the repository, so that links work there and in the site.

The source of each page is its path in the repository, such as `docs/guide.md` or `bench/README.md`: a relative link
means the same file for a code host and for MkDocs. The addresses in the site leave `docs/` out.

https://www.mkdocs.org/user-guide/configuration/#hooks
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parents[1]

FROM_OUTSIDE: Final = ("*.md", "bench/*.md", "charts/vaultsync/README.md")
"""The pages of the site that are not in the folder docs/."""

_LINK: Final = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
_FENCE: Final = re.compile(r" *(```+|~~~+)")
_CODE: Final = re.compile(r"(`+)(.+?)\1")
_ITEM: Final = re.compile(r" *(?:[-*]|[0-9]+[.]) +")
_PARAGRAPH: Final = re.compile(r"(?! |[-*] |[0-9]+[.] |[#|<])")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Replace each folder in the navigation by its pages."""
    config.nav = [expanded(item) for item in config.nav or []]
    return config


def expanded(item: Any) -> Any:  # noqa: ANN401 - an item of YAML: a path, or a title with a path or a list
    """Return a part of the navigation with the pages of each folder, the README first."""
    if not isinstance(item, dict):
        return item
    ((title, inside),) = item.items()
    if isinstance(inside, list):
        return {title: [expanded(each) for each in inside]}
    if isinstance(inside, str) and inside.endswith("/"):
        pages = sorted((ROOT / inside).glob("*.md"), key=lambda page: (page.name != "README.md", page.name))
        return {title: [page.relative_to(ROOT).as_posix() for page in pages]}
    return item


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Return the files of docs/, the pages from outside of it, and what they link to, by paths in the repository."""
    of_theme = [file for file in files if file.src_dir != config.docs_dir]
    own = {f"docs/{file.src_uri}" for file in files if file.src_dir == config.docs_dir}
    own |= {path.relative_to(ROOT).as_posix() for pattern in FROM_OUTSIDE for path in ROOT.glob(pattern)}
    linked = {name for page in own if page.endswith(".md") for name in _linked(ROOT / page)}
    return Files([*of_theme, *(_file(name, config) for name in sorted(own | linked))])


def _linked(page: Path) -> Iterator[str]:
    """The files that a page links to, other than pages, as far as they exist."""
    for link in _LINK.findall(page.read_text()):
        target = (page.parent / link).resolve()
        if target.is_file() and target.suffix != ".md" and target.is_relative_to(ROOT):
            yield target.relative_to(ROOT).as_posix()


def _file(name: str, config: MkDocsConfig) -> File:
    file = File(
        name,
        str(ROOT),
        config.site_dir,
        use_directory_urls=config.use_directory_urls,
        inclusion=InclusionLevel.INCLUDED,
    )
    file.dest_uri = file.dest_uri.removeprefix("docs/")
    return file


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - by name
    """Return the page for the parser of MkDocs."""
    return as_python_markdown(markdown)


def as_python_markdown(markdown: str) -> str:
    """Return a text of CommonMark, with tables, that Python-Markdown renders as CommonMark is rendered.

    Lists nest by four spaces and follow an empty line, pipes in the code of a table have no backslash, and Markdown
    inside of HTML is marked.
    """
    lines: list[str] = []
    fence = ""
    columns: list[int] = []  # where the text of each list item begins that the line is in
    has_paragraphs = False  # whether the last of these items has an empty line
    for line in markdown.splitlines():
        if not line.strip():
            lines.append("")
            has_paragraphs = bool(columns)
            continue
        if not fence:
            while columns and len(line) - len(line.lstrip(" ")) < columns[-1]:
                columns.pop()
        item = None if fence else _ITEM.match(line)
        if item is not None and lines and (has_paragraphs or _PARAGRAPH.match(lines[-1])):
            lines.append("")
        lines.append(" " * (4 * len(columns)) + line[columns[-1] if columns else 0 :])
        if item is not None:
            columns.append(len(item[0]))
            has_paragraphs = False
        marks = _FENCE.match(line)
        if marks is not None and (not fence or line.strip() == fence):
            fence = "" if fence else marks[1]
        if not fence:
            lines[-1] = _inline(lines[-1])
    return "\n".join(lines) + "\n"


def _inline(line: str) -> str:
    if line.lstrip().startswith("|"):
        return _CODE.sub(lambda code: code[0].replace("\\|", "|"), line)
    return line.replace("<details>", '<details markdown="1">') if line.startswith("<") else line
