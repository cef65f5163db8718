"""Figures and their output: a line while it runs, a table at the end, JSON, a section of the README."""

import json
import math
import re
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from bench import machine

HERE = Path(__file__).parent
README = HERE / "README.md"
INCOMPLETE: Final = "The run has not measured all of it."


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
            return judged(short(self.must_be), reached=self.holds)
        if self.goal is None:
            return ""
        unit = f" {self.unit}" if self.unit else ""
        return judged(f"≤ {short(self.goal)}{unit}", reached=statistics.median(self.values) <= self.goal)


@dataclass(slots=True)
class Report:
    """The figures of one run, in sections; each section is saved once the next one begins, so no failure loses it.

    Args:
        name: The name of the JSON file in bench/out.
        conditions: What is measured, and on which machine, whose description follows.
        section_of_readme: The section of README.md, if the figures are to be put there.
        folder: Where that is, and the folder `out` of the JSON files.
    """

    name: str
    conditions: str
    section_of_readme: str | None = None
    folder: Path = HERE
    sections: dict[str, list[Figure]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    """Why sections have not all of their figures."""

    remarks: list[str] = field(default_factory=list)
    """Sentences below the table."""

    complete: bool = False
    measured_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _title: str = ""

    @classmethod
    @contextmanager
    def of_a_run(cls, name: str, conditions: str, *, quick: bool, write: bool) -> Iterator[Self]:
        """Save the figures while the block lasts, and print them in the end, whatever ends it."""
        report = cls(f"{name}-quick" if quick else name, conditions, name if write and not quick else None)
        try:
            yield report
            report.complete = not report.failed
        finally:
            report.save()
            print(f"\n{report.text()}", flush=True)

    def section(self, title: str) -> None:
        """Start a section, or go on with one."""
        self.save()
        self._title = title
        self.sections.setdefault(title, [])
        print(f"\n{title}", flush=True)

    def add(self, figure: Figure) -> None:
        """Add a figure, or values to one that the section has, and print it."""
        print(f"   {figure.what}: {figure.text}  {figure.goal_text}", flush=True)
        figures = self.sections[self._title]
        for index, before in enumerate(figures):
            if before.what == figure.what:
                figures[index] = replace(figure, values=[*before.values, *figure.values])
                return
        figures.append(figure)

    def fail(self, error: Exception) -> None:
        """Say in the table that the section has not all of its figures."""
        self.failed[self._title] = one_line(error)
        print(f"   failed: {one_line(error)}", flush=True)
        self.save()

    @property
    def failures(self) -> Sequence[Figure]:
        """The figures without the required value."""
        return [figure for figures in self.sections.values() for figure in figures if not figure.holds]

    def table(self) -> str:
        """Write all figures as Markdown, with a column of goals if there are any."""
        goals = any(figure.goal_text for figures in self.sections.values() for figure in figures)
        return markdown(row[: 3 if goals else 2] for row in self._rows())

    def text(self) -> str:
        """Write the conditions and the table."""
        conditions = f"{self.conditions} {machine.description()}; {self.measured_at:%Y-%m-%d}."
        remarks = self.remarks if self.complete else [*self.remarks, INCOMPLETE]
        return "\n\n".join([conditions, self.table(), *remarks])

    def save(self) -> None:
        """Write what there is so far."""
        sections = {title: [asdict(figure) for figure in figures] for title, figures in self.sections.items()}
        content = {"conditions": self.conditions, "figures": sections, "failed": self.failed, "remarks": self.remarks}
        write_json(self.folder / "out" / f"{self.name}.json", self.measured_at, content)
        if self.section_of_readme and any(self.sections.values()):
            rewrite(self.section_of_readme, self.text(), self.folder / "README.md")

    def _rows(self) -> Iterator[tuple[str, str, str]]:
        yield "", "vaultsync", "goal"
        yield "---", "---", "---"
        for title, figures in self.sections.items():
            if figures or title in self.failed:
                yield f"_{title}_", "", ""
            for figure in figures:
                yield figure.what, figure.text, figure.goal_text
            if title in self.failed:
                yield "failed", self.failed[title], ""


def write_json(path: Path, measured_at: datetime, content: Mapping[str, object]) -> None:
    """Write figures as JSON, with the time and the machine."""
    path.parent.mkdir(exist_ok=True)
    where = {"measuredAt": measured_at.isoformat(timespec="seconds"), "machine": machine.description()}
    path.write_text(json.dumps({**where, **content}, indent=2, ensure_ascii=False) + "\n")


def rewrite(section: str, text: str, readme: Path = README) -> None:
    """Replace the text of the README between `<!-- SECTION -->` and `<!-- /SECTION -->`."""
    before = readme.read_text()
    pattern = re.compile(rf"(<!-- {section} -->\n).*?(<!-- /{section} -->)", re.DOTALL)
    after, count = pattern.subn(lambda match: f"{match[1]}{text.rstrip()}\n{match[2]}", before)
    if count != 1:
        raise ValueError(f"{readme} has no place for {section}")
    readme.write_text(after)


def markdown(lines: Iterable[Sequence[str]]) -> str:
    """Write the lines of a table as Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def text_of(values: Sequence[float], unit: str = "") -> str:
    """Write a number with its unit; of several the median, and the range if it shows in as many digits."""
    suffix = f" {unit}" if unit else ""
    low, middle, high = (short(value) for value in (min(values), statistics.median(values), max(values)))
    return f"{middle}{suffix}" if low == high else f"{middle}{suffix} ({low} to {high})"


def judged(goal: str, *, reached: bool) -> str:
    """Write a goal, and whether it is reached."""
    return f"{goal} ✓" if reached else f"{goal}: **missed**"


def one_line(error: Exception) -> str:
    """Write an error into a cell of a table."""
    return " ".join(f"{type(error).__name__}: {error}".replace("|", "/").split())[:200]


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that so large a share of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


def short(value: float) -> str:
    """Format a number with three significant digits."""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
