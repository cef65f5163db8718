"""Figures and their output: a line while it runs, a table at the end, JSON, a section of the README."""

import json
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

    `peer` is what another program needs for the same; `must_be` is the only value that is acceptable.
    """

    what: str
    values: Sequence[float]
    unit: str = ""
    peer: str = ""
    must_be: float | None = None

    @property
    def holds(self) -> bool:
        """Whether it has the required value."""
        return self.must_be is None or all(value == self.must_be for value in self.values)

    @property
    def text(self) -> str:
        """The number with its unit; of several the median and the range."""
        unit = f" {self.unit}" if self.unit else ""
        if len(self.values) == 1:
            return f"{_short(self.values[0])}{unit}"
        low, middle, high = min(self.values), statistics.median(self.values), max(self.values)
        return f"{_short(middle)}{unit} ({_short(low)} to {_short(high)})"


@dataclass(slots=True)
class Report:
    """The figures of one run, in sections."""

    conditions: str
    peer: str = ""
    """The name of the other program; without one its figures are left out."""
    sections: dict[str, list[Figure]] = field(default_factory=dict)
    measured_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def section(self, title: str) -> None:
        """Start a section."""
        self.sections[title] = []
        print(f"\n{title}", flush=True)

    def add(self, figure: Figure) -> None:
        """Add a figure, and print it."""
        list(self.sections.values())[-1].append(figure)
        mark = " " if figure.must_be is None else "✓" if figure.holds else "✗"
        print(f" {mark} {figure.what}: {figure.text}", flush=True)

    @property
    def failures(self) -> Sequence[Figure]:
        """The figures without the required value."""
        return [figure for figures in self.sections.values() for figure in figures if not figure.holds]

    def table(self) -> str:
        """Write all figures as Markdown; required values are bold."""
        return "\n".join(["| " + " | ".join(row[: 3 if self.peer else 2]) + " |" for row in self._rows()])

    def _rows(self) -> Iterator[tuple[str, str, str]]:
        yield "", "vaultsync", self.peer
        yield "---", "---", "---"
        for title, figures in self.sections.items():
            yield f"_{title}_", "", ""
            for figure in figures:
                yield figure.what, figure.text if figure.must_be is None else f"**{figure.text}**", figure.peer

    def write_json(self, path: Path) -> None:
        """Write all figures as JSON."""
        path.parent.mkdir(exist_ok=True)
        sections = {title: [asdict(figure) for figure in figures] for title, figures in self.sections.items()}
        document = {
            "measuredAt": self.measured_at.isoformat(timespec="seconds"),
            "machine": machine.description(),
            "conditions": self.conditions,
            "figures": sections,
        }
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def rewrite(section: str, text: str, readme: Path = README) -> None:
    """Replace the text of the README between `<!-- SECTION -->` and `<!-- /SECTION -->`."""
    before = readme.read_text()
    pattern = re.compile(rf"(<!-- {section} -->\n).*?(<!-- /{section} -->)", re.DOTALL)
    after, count = pattern.subn(lambda match: f"{match[1]}{text.rstrip()}\n{match[2]}", before)
    if count != 1:
        raise ValueError(f"{readme} has no place for {section}")
    readme.write_text(after)


def _short(value: float) -> str:
    """Format a number with three significant digits."""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
