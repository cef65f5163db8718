"""The report of doctor: its lines, its JSON and its exit code."""

import io

import pytest

from vaultsync.cli.doctor.findings import Finding, Report, document, exit_code, failed, ok, unknown
from vaultsync.cli.output import Output

FINE, OPEN, WRONG = (
    ok("cluster", "Fine."),
    unknown("cluster", "Not known.", "Ask."),
    failed("rights", "Wrong.", "Mend."),
)


@pytest.mark.parametrize(
    ("findings", "code"), [([], 0), ([FINE], 0), ([FINE, OPEN], 0), ([OPEN, WRONG], 1), ([WRONG, FINE], 1)]
)
def test_only_what_is_wrong_is_an_error(findings: list[Finding], code: int) -> None:
    assert exit_code(findings) == code
    assert document(findings)["healthy"] is (code == 0)


def test_each_line_has_a_mark_and_what_to_do() -> None:
    stream = io.StringIO()
    report = Report(Output(stream))

    for finding in (FINE, OPEN, WRONG):
        report.add(finding)

    assert stream.getvalue() == (
        "cluster\n  ✓ Fine.\n  \N{EN DASH} Not known.\n    → Ask.\nrights\n  ✗ Wrong.\n    → Mend.\n"
    )


def test_a_finding_as_json() -> None:
    assert document([WRONG])["findings"] == [
        {"area": "rights", "result": "failed", "text": "Wrong.", "advice": "Mend."}
    ]
