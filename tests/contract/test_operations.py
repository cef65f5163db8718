"""docs/operations.md documents every permission and log line, and links between the pages work."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.chart.renders import operator_rules, render
from tests.controlplane.helm import Helm
from tests.pages import pages

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "operations.md"
LEVELS: Final = {"debug", "info", "warning", "error", "exception"}


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    section = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_page_lists_the_permissions_that_the_chart_grants(helm: Helm) -> None:
    documented = {
        (*re.findall("`([^`]+)`", objects), *sorted(verbs.split(", "))) for objects, verbs, _why in rows("Rights")
    }

    granted = operator_rules(render(helm, values={"rbac": {"restartWorkloads": True}}))
    assert documented == {(*rule["resources"], *sorted(rule["verbs"])) for rule in granted}


def logged(module: Path) -> Iterator[tuple[str, str]]:
    """Every message that a module logs, with its level."""
    for node in ast.walk(ast.parse(module.read_text())):
        if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
            continue
        match node.func:
            case ast.Attribute(value=ast.Name(id="logger"), attr=level) if level in LEVELS:
                yield str(node.args[0].value), level.replace("exception", "error")
            case ast.Name(id="_log_error"):
                yield str(node.args[0].value), "error"


def test_the_page_lists_each_log_line_and_no_others() -> None:
    documented = {(message.strip("`"), level) for message, level, _fields, _when in rows("Logs")}

    modules = (ROOT / "operator" / "vaultsync").rglob("*.py")
    assert documented == {line for module in modules for line in logged(module)}


def test_links_between_the_pages_work() -> None:
    broken = {
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages()
        for link in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text())
        if not _exists(page, link)
    }

    assert broken == set()


def _exists(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path) if path else page
    return target.exists() and (not anchor or anchor in _anchors(target))


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
