"""`python -m tests.release set | check | notes | image`: one version for every part; publishes nothing.

The version is written once for each format that needs it. `PLACES` has all of them: `set` writes them, `check` compares
them.
"""

import argparse
import datetime as dt
import re
import sys
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
CHANGELOG: Final = Path("CHANGELOG.md")
VALUES: Final = Path("charts/vaultsync/values.yaml")

_VERSION: Final = r"\d+\.\d+\.\d+"
_UNRELEASED: Final = "## [Unreleased]\n"


class ReleaseError(Exception):
    """A file is not as a release needs it; the message says which, and what is expected."""


class Place(NamedTuple):
    """Where the version is: a file, and the text around it, each as often as it is there."""

    file: str
    before: str
    after: str = ""


PLACES: Final = (
    Place("pyproject.toml", '\nversion = "', '"\n'),
    Place("pyproject.toml", "kvsecrets[asyncio]==", '",'),
    Place("operator/vaultsync/__init__.py", '__version__ = "', '"\n'),
    Place("operator/kvsecrets/_version.py", '__version__ = "', '"\n'),
    Place("charts/vaultsync/Chart.yaml", "\nversion: ", "\n"),
    Place("charts/vaultsync/Chart.yaml", "\nappVersion: ", "\n"),
    Place("charts/vaultsync/README.md", "registry.example.com/vaultsync:", " ."),
    Place("charts/vaultsync/README.md", "{name: vaultsync, version: ", ", "),
    Place("Dockerfile", "registry.example.com/vaultsync:", " .\n"),
    Place("charts/vaultsync-emulator/Chart.yaml", "\nversion: ", "\n"),
    Place("charts/vaultsync-emulator/Chart.yaml", "\nappVersion: ", "\n"),
    Place("docs/azure.md", " --image vaultsync:", " .\n"),
    Place("docs/cli.md", " is that of vaultsync ", ".\n"),
    Place("docs/kvsecrets.md", " kvsecrets/", " Python/"),
)
"""Every place of the version; all others, such as those of golden renders, are generated from these."""


def versions(root: Path = ROOT) -> dict[Place, set[str]]:
    """The version at each place.

    Raises:
        ReleaseError: A place is not found.
    """
    found = {place: set(_pattern(place).findall((root / place.file).read_text())) for place in PLACES}
    if missing := [place for place in PLACES if not found[place]]:
        raise ReleaseError(f"No version is found at {missing}: correct PLACES in {Path(__file__).name}.")
    return found


def check(version: str, root: Path = ROOT) -> None:
    """Compare all places with a version.

    Raises:
        ReleaseError: Some have others.
    """
    wrong = [f"{place.file}: {', '.join(sorted(is_))}" for place, is_ in versions(root).items() if is_ != {version}]
    if wrong:
        raise ReleaseError(f"Not at version {version}, which `make release VERSION={version}` writes: {wrong}")


def set_version(version: str, today: dt.date, root: Path = ROOT) -> None:
    """Write a version at all places, and the changes since the last one under it.

    Raises:
        ReleaseError: This is no version, or there are no changes.
    """
    if not re.fullmatch(_VERSION, version):
        raise ReleaseError(f"{version!r} is no version such as 1.2.0, which Python and Helm write alike.")
    changelog = root / CHANGELOG
    text = changelog.read_text()
    if not _section(text, "Unreleased").strip():
        raise ReleaseError(f"{CHANGELOG} has no changes under Unreleased.")
    for place in versions(root):
        file = root / place.file
        file.write_text(_pattern(place).sub(version, file.read_text()))
    changelog.write_text(text.replace(_UNRELEASED, f"{_UNRELEASED}\n## [{version}] - {today.isoformat()}\n"))


def notes(version: str, root: Path = ROOT) -> str:
    """What the changelog says about a version.

    Raises:
        ReleaseError: It says nothing.
    """
    return _section((root / CHANGELOG).read_text(), version).strip() + "\n"


def set_image(repository: str, digest: str, root: Path = ROOT) -> None:
    """Make an image the default of the chart that is about to be packaged.

    Raises:
        ReleaseError: The chart has no such values.
    """
    values = root / VALUES
    text = values.read_text()
    for key, value in (("repository", repository), ("digest", digest)):
        text, count = re.subn(rf"(?<=\nimage:\n)((?:[ #].*\n)*?  {key}:) .*\n", rf"\1 {value}\n", text, count=1)
        if count != 1:
            raise ReleaseError(f"{VALUES} has no image.{key}.")
    values.write_text(text)


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.release", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, about in (
        ("set", "write a version everywhere, and under it the changes since the last one"),
        ("check", "whether every part has this version"),
        ("notes", "what the changelog says about a version"),
    ):
        verbs.add_parser(verb, help=about).add_argument("version")
    image = verbs.add_parser("image", help="make an image the chart's default")
    image.add_argument("repository")
    image.add_argument("digest")
    options = parser.parse_args()
    try:
        match options.verb:
            case "set":
                set_version(options.version, dt.datetime.now(dt.UTC).date())
            case "check":
                check(options.version)
            case "notes":
                sys.stdout.write(notes(options.version))
            case _:
                set_image(options.repository, options.digest)
    except ReleaseError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the command line prints
        return 1
    return 0


def _pattern(place: Place) -> re.Pattern[str]:
    return re.compile(f"(?<={re.escape(place.before)}){_VERSION}(?={re.escape(place.after)})")


def _section(changelog: str, version: str) -> str:
    found = re.search(rf"^## \[{re.escape(version)}\].*\n((?:(?!## ).*\n)*)", changelog, re.MULTILINE)
    if not found:
        raise ReleaseError(f"{CHANGELOG} has no section [{version}].")
    return found[1]


if __name__ == "__main__":
    sys.exit(main())
