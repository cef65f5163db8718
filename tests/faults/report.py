"""The figures of a soak, their table, and `python -m tests.faults.report`, which puts the last one's into the docs."""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Final

from tests.emulator.client import ROOT

REPORT: Final = ROOT / "build" / "soak" / "report.json"
PAGE: Final = ROOT / "docs" / "reliability.md"
_SECTION: Final = re.compile(r"(?<=<!-- soak: begin -->\n).*(?=<!-- soak: end -->)", re.DOTALL)


@dataclass(slots=True)
class Resources:
    """The most that an operator used: memory in MiB, open files, threads."""

    mebibytes: float = 0.0
    files: int = 0
    threads: int = 0

    def take(self, used: "Resources") -> None:
        """Take one sample."""
        self.mebibytes = max(self.mebibytes, used.mebibytes)
        self.files = max(self.files, used.files)
        self.threads = max(self.threads, used.threads)

    def within(self, bounds: "Resources") -> bool:
        """Whether it is not more than these."""
        return self.mebibytes <= bounds.mebibytes and self.files <= bounds.files and self.threads <= bounds.threads


@dataclass(slots=True)
class Figures:
    """What happened in a soak."""

    seed: int
    minutes: float
    episodes: int = 0
    kills: int = 0
    writes_checked: int = 0
    events: dict[str, int] = field(default_factory=dict)
    """What users did, by kind."""
    recoveries: dict[str, list[float]] = field(default_factory=dict)
    """The seconds from the mending of a fault until all targets were right, by fault."""
    resources: Resources = field(default_factory=Resources)
    violations: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        """The figures as JSON."""
        return json.dumps(asdict(self), indent=2)

    def add(self, other: "Figures") -> None:
        """Add the figures of another world of the same soak."""
        self.episodes += other.episodes
        self.kills += other.kills
        self.writes_checked += other.writes_checked
        self.events = dict(Counter(self.events) + Counter(other.events))
        for fault, seconds in other.recoveries.items():
            self.recoveries.setdefault(fault, []).extend(seconds)
        self.resources.take(other.resources)
        self.violations += other.violations

    @classmethod
    def from_json(cls, text: str) -> "Figures":
        """Read what `to_json` returned."""
        fields = json.loads(text)
        return cls(**{**fields, "resources": Resources(**fields["resources"])})


def table(figures: Figures) -> str:
    """The figures in Markdown."""
    return "\n".join(_lines(figures))


def _lines(figures: Figures) -> Iterator[str]:
    acts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sorted(figures.events.items()))
    used = figures.resources
    yield f"A soak of {figures.minutes:g} minutes with the seed {figures.seed}:"
    yield ""
    yield f"- {figures.episodes} episodes with {len(figures.recoveries)} kinds of faults"
    yield f"- {figures.kills} times SIGKILL"
    yield f"- {sum(figures.events.values())} actions of users: {acts}"
    yield f"- {figures.writes_checked} writes checked, {len(figures.violations)} violations"
    yield f"- at most {used.mebibytes:.0f} MiB of memory, {used.files} open files and {used.threads} threads"
    yield ""
    yield "| fault | times | median in s | worst in s |"
    yield "|---|--:|--:|--:|"
    for fault, seconds in sorted(figures.recoveries.items()):
        yield f"| {fault} | {len(seconds)} | {median(seconds):.0f} | {max(seconds):.0f} |"


def publish(page: str, figures: Figures) -> str:
    """The page with these figures in place of those of an earlier soak."""
    text, count = _SECTION.subn(lambda _: f"{table(figures)}\n", page)
    assert count == 1, "the page has no place for the figures"
    return text


def main() -> int:
    """Put the figures of the last soak into the page."""
    PAGE.write_text(publish(PAGE.read_text(), Figures.from_json(REPORT.read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
