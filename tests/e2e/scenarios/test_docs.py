"""The guides are true: each section is run step by step, and all is observed that it shows."""

from pathlib import Path
from typing import Final

import pytest

from tests.e2e.concurrency import scenario
from tests.e2e.harness import Harness
from tests.e2e.scenarios.guide import Section, sections
from tests.e2e.scenarios.guide_runner import GuideRunner

_DOCS: Final = Path(__file__).parents[3] / "docs"


@scenario
@pytest.mark.parametrize("section", sections(_DOCS / "guide.md"), ids=lambda section: section.title)
def test_the_secret_holds_what_the_guide_shows(harness: Harness, section: Section) -> None:
    runner = GuideRunner(harness)

    runner.run(section)

    assert harness.await_reason("Synced", name=runner.name).status == "True"


@scenario
@pytest.mark.parametrize("section", sections(_DOCS / "changes.md"), ids=lambda section: section.title)
def test_changes_have_the_effects_that_the_guide_shows(harness: Harness, section: Section) -> None:
    GuideRunner(harness).run(section)
