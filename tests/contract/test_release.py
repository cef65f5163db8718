"""One version for all parts: where it is written, how the next one is written, and what is published at it."""

import datetime as dt
import re
import shutil
from pathlib import Path
from typing import Final

import pytest
import yaml

import kvsecrets
import vaultsync
from tests.release import CHANGELOG, PLACES, ROOT, VALUES, ReleaseError, check, notes, set_image, set_version

TODAY: Final = dt.date(2030, 1, 2)
FILES: Final = {*(place.file for place in PLACES), str(VALUES)}
CHANGES: Final = "### Added\n\n- Something\n"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The files that have the version, in a folder of their own, and changes since the last one."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    older = "## [0.0.1] - 2029-01-02\n\n- Something else\n"
    (tmp_path / CHANGELOG).write_text(f"# Changelog\n\n## [Unreleased]\n\n{CHANGES}\n{older}")
    return tmp_path


def test_all_parts_have_one_version() -> None:
    check(vaultsync.__version__)
    assert kvsecrets.__version__ == vaultsync.__version__


def test_each_text_that_has_the_version_is_a_place_of_it() -> None:
    texts = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("charts/**/*.*"), ROOT / "Dockerfile"]
    pattern = re.compile(rf"(?<![\d.]){re.escape(vaultsync.__version__)}(?![\d.]*\d)")

    having = {str(one.relative_to(ROOT)) for one in texts if pattern.search(one.read_text())}

    assert having - {str(CHANGELOG)} <= FILES


def test_a_release_writes_the_version_everywhere_and_the_changes_under_it(copy: Path) -> None:
    set_version("7.8.9", TODAY, copy)

    check("7.8.9", copy)
    assert notes("7.8.9", copy) == CHANGES
    assert "## [7.8.9] - 2030-01-02\n" in (copy / CHANGELOG).read_text()
    assert notes("Unreleased", copy).strip() == ""
    left = [name for name in sorted(FILES) if vaultsync.__version__ in (copy / name).read_text()]
    assert left == []


def test_a_tag_of_another_version_is_refused_with_the_files(copy: Path) -> None:
    with pytest.raises(ReleaseError, match=r"Not at version 9\.9\.9.*Chart\.yaml"):
        check("9.9.9", copy)


def test_the_changelog_has_a_place_for_the_changes_of_the_next_release() -> None:
    notes("Unreleased")


@pytest.mark.parametrize("wrong", ["1.2", "v1.2.0", "1.2.0rc1", ""])
def test_what_is_no_version_of_python_and_helm_alike_is_refused(wrong: str, copy: Path) -> None:
    with pytest.raises(ReleaseError, match="no version such as"):
        set_version(wrong, TODAY, copy)


def test_a_release_without_changes_is_refused(copy: Path) -> None:
    set_version("7.8.9", TODAY, copy)

    with pytest.raises(ReleaseError, match="no changes under Unreleased"):
        set_version("7.9.0", TODAY, copy)


def test_the_packaged_chart_has_the_image_of_its_release(copy: Path) -> None:
    digest = f"sha256:{'a' * 64}"

    set_image("ghcr.io/example/vaultsync", digest, copy)

    before, after = (yaml.safe_load((folder / VALUES).read_text()) for folder in (ROOT, copy))
    assert after["image"] == before["image"] | {"repository": "ghcr.io/example/vaultsync", "digest": digest}
    assert after | {"image": None} == before | {"image": None}
