"""Figures and their output: a line while it runs, a table at the end, JSON, a section of the README."""

import json
import math
import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bench import machine

HERE = Path(__file__).parent
README = HERE / "README.md"


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that was measured: a number, or several of the same kind.

    `goal` is the largest value that is aimed for; `must_be` is the only value that is acceptable.
    """

    what: str
    values: Sequence[float]
    unit: str = ""
    goal: float | None = None
    must_be: float | None = None

    @property
    def holds(self) -> bool:
        """Whether it has the required value."""
        return self.must_be is None or all(value == self.must_be for value in self.values)

    @property
    def text(self) -> str:
        """The number with its unit; of several the median and the range."""
        return text_of(self.values, self.unit)

    @property
    def goal_text(self) -> str:
        """The goal, and whether it is reached."""
        if self.must_be is not None:
            return f"{short(self.must_be)} {'✓' if self.holds else '✗'}"
        if self.goal is None:
            return ""
        unit = f" {self.unit}" if self.unit else ""
        return f"≤ {short(self.goal)}{unit} {'✓' if statistics.median(self.values) <= self.goal else '✗'}"


@dataclass(slots=True)
class Report:
    """The figures of one run, in sections."""

    conditions: str
    sections: dict[str, list[Figure]] = field(default_factory=dict)
    measured_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def section(self, title: str) -> None:
        """Start a section."""
        self.sections[title] = []
        print(f"\n{title}", flush=True)

    def add(self, figure: Figure) -> None:
        """Add a figure, and print it."""
        list(self.sections.values())[-1].append(figure)
        print(f"   {figure.what}: {figure.text}  {figure.goal_text}", flush=True)

    @property
    def failures(self) -> Sequence[Figure]:
        """The figures without the required value."""
        return [figure for figures in self.sections.values() for figure in figures if not figure.holds]

    def table(self) -> str:
        """Write all figures as Markdown, with a column of goals if there are any."""
        goals = any(figure.goal_text for figures in self.sections.values() for figure in figures)
        return "\n".join(["| " + " | ".join(row[: 3 if goals else 2]) + " |" for row in self._rows()])

    def text(self) -> str:
        """Write the conditions and the table."""
        return f"{self.conditions} {machine.description()}; {self.measured_at:%Y-%m-%d}.\n\n{self.table()}"

    def _rows(self) -> Iterator[tuple[str, str, str]]:
        yield "", "vaultsync", "goal"
        yield "---", "---", "---"
        for title, figures in self.sections.items():
            yield f"_{title}_", "", ""
            for figure in figures:
                yield figure.what, figure.text, figure.goal_text

    def write_json(self, path: Path) -> None:
        """Write all figures as JSON."""
        sections = {title: [asdict(figure) for figure in figures] for title, figures in self.sections.items()}
        write_json(path, self.measured_at, {"conditions": self.conditions, "figures": sections})


def write_json(path: Path, measured_at: datetime, content: dict[str, object]) -> None:
    """Write figures as JSON, with the time and the machine."""
    path.parent.mkdir(exist_ok=True)
    where = {"measuredAt": measured_at.isoformat(timespec="seconds"), "machine": machine.description()}
    path.write_text(json.dumps(where | content, indent=2, ensure_ascii=False) + "\n")


def rewrite(section: str, text: str, readme: Path = README) -> None:
    """Replace the text of the README between `<!-- SECTION -->` and `<!-- /SECTION -->`."""
    before = readme.read_text()
    pattern = re.compile(rf"(<!-- {section} -->\n).*?(<!-- /{section} -->)", re.DOTALL)
    after, count = pattern.subn(lambda match: f"{match[1]}{text.rstrip()}\n{match[2]}", before)
    if count != 1:
        raise ValueError(f"{readme} has no place for {section}")
    readme.write_text(after)


def text_of(values: Sequence[float], unit: str = "") -> str:
    """Write a number with its unit; of several the median and the range."""
    suffix = f" {unit}" if unit else ""
    low, middle, high = min(values), statistics.median(values), max(values)
    if low == high:
        return f"{short(low)}{suffix}"
    return f"{short(middle)}{suffix} ({short(low)} to {short(high)})"


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that so large a share of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


def short(value: float) -> str:
    """Format a number with three significant digits."""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
