"""Numbers are formatted as Grafana formats them."""

import pytest

from demo.dashboard.numbers import readable


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        pytest.param(0, "", "0", id="nothing"),
        pytest.param(38, "", "38", id="a count"),
        pytest.param(1234, "short", "1.23 K", id="thousands"),
        pytest.param(0.25, "short", "0.25", id="a part"),
        pytest.param(0, "s", "0 s", id="no time"),
        pytest.param(0.0045, "s", "4.5 ms", id="milliseconds"),
        pytest.param(1.5, "s", "1.5 s", id="seconds"),
        pytest.param(777_600, "s", "9 days", id="days"),
        pytest.param(-7200, "s", "-2 hours", id="a time that is over"),
        pytest.param(128 * 2**20, "bytes", "128 MiB", id="memory"),
        pytest.param(7.5, "reqps", "7.5 req/s", id="a rate of calls"),
        pytest.param(2500, "ops", "2.5 K ops/s", id="thousands a second"),
        pytest.param(0.985, "percentunit", "98.5 %", id="a share"),
    ],
)
def test_a_number_is_formatted_with_three_digits_and_its_unit(value: float, unit: str, text: str) -> None:
    assert readable(value, unit) == text
