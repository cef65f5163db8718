"""Slopes of costs between two numbers."""

from bench.growth import Growth, Point


def test_what_grows_in_proportion_has_a_slope_of_one_and_what_is_fixed_has_none() -> None:
    growth = Growth()
    for seconds in (4.0, 5.0, 9.0):
        growth.add(1000, Point(1000, seconds, 2.0, 100.0, 3000, 1000))
    growth.add(10_000, Point(10_000, 50.0, 20.0, 100.0, 30_000, 10_000))
    slopes = {figure.what.partition(":")[0]: figure for figure in growth.slopes(1000, 10_000)}
    assert {what: figure.values for what, figure in slopes.items()} == {
        "CPU": [1.0],
        "memory": [0.0],
        "requests to the API server": [1.0],
        "calls to the vault": [1.0],
        "time": [1.0],
    }
    assert slopes["CPU"].goal_text == "≤ 1 ✓"
