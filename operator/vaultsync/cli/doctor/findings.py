"""What a check has found, how it is printed, and the exit code; checks nothing itself."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from vaultsync.cli.output import Cell, Output, Style
from vaultsync.cli.session import FAILED


class Result(StrEnum):
    """The result of a check."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """It could not be checked, or is right only if it is intended."""


_MARKS: Final = {
    Result.OK: ("✓", Style.GOOD),
    Result.FAILED: ("✗", Style.BAD),
    Result.UNKNOWN: ("\N{EN DASH}", Style.WARNING),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of the report."""

    area: str
    """What was checked: cluster, rights, operator, grants, a VaultSecret or a vault."""
    result: Result
    text: str
    advice: str = ""
    """What to do; empty if nothing is to be done."""


def ok(area: str, text: str) -> Finding:
    """Return the finding that something is as it should be."""
    return Finding(area, Result.OK, text)


def failed(area: str, text: str, advice: str = "") -> Finding:
    """Return the finding that something is wrong."""
    return Finding(area, Result.FAILED, text, advice)


def unknown(area: str, text: str, advice: str = "") -> Finding:
    """Return the finding that something could not be checked, or may be wanted."""
    return Finding(area, Result.UNKNOWN, text, advice)


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 1 if anything is wrong. What could not be checked is not an error."""
    return FAILED if any(one.result is Result.FAILED for one in findings) else 0


def document(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the report as JSON."""
    listed = [{"area": one.area, "result": str(one.result), "text": one.text, "advice": one.advice} for one in findings]
    return {"healthy": exit_code(findings) == 0, "findings": listed}


class Report:
    """Prints findings as they come, under the title of their area."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._area = ""

    def add(self, finding: Finding) -> None:
        """Print a finding."""
        if finding.area != self._area:
            self._area = finding.area
            self._output.line(Cell(finding.area, Style.BOLD))
        mark, style = _MARKS[finding.result]
        self._output.line(Cell(f"  {mark} ", style), Cell(finding.text))
        if finding.advice:
            self._output.line(Cell("    → "), Cell(finding.advice))
        self._output.flush()
