"""`python -m demo.dashboard`: draws the chart's dashboard from ten minutes of a real operator, as docs/dashboard.svg.

What Prometheus has answered is kept in build/dashboard.json; with `--again` that is drawn, and nothing is started.
"""

import argparse
import json
import random
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from demo.dashboard.environment import Environment, environment
from demo.dashboard.page import draw
from demo.dashboard.panels import Panel, Query, panels_of
from demo.dashboard.record import Moment, Record, Series
from demo.dashboard.workload import SECONDS, VAULTS, Workload, run
from tests.chart.dashboard import FILE
from tests.controlplane.prometheus import History

ROOT: Final = Path(__file__).parents[2]
KEPT: Final = ROOT / "build" / "dashboard.json"
PICTURE: Final = ROOT / "docs" / "dashboard.svg"

_STEP: Final = 5.0
"""Seconds between two points of a line."""

_RATES_OVER: Final = "30s"
"""In the place of `$__rate_interval`: so many scrapes that chance does not show."""

_SEED: Final = 8


def main(arguments: list[str]) -> int:
    """Take the picture, or draw it again; 1 if a query shows nothing."""
    parser = argparse.ArgumentParser(prog="python -m demo.dashboard", description=__doc__)
    parser.add_argument("--again", action="store_true", help="draw what was answered the last time")
    parser.add_argument("file", nargs="?", type=Path, default=PICTURE, help="where to; .svg or .png")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # ends what was started
    panels = panels_of(json.loads(FILE.read_text()))
    if options.again and not KEPT.exists():
        parser.error(f"{KEPT.relative_to(ROOT)} is not there: draw once without --again")
    if not options.again:
        _watched(panels).write(KEPT)
    record = Record.read(KEPT)
    draw(panels, record, options.file)
    print(f"{options.file} has {options.file.stat().st_size / 1000:.0f} kB.")
    missing = [(panel.title, expression) for panel in panels for expression in record.unanswered(panel)]
    for title, expression in missing:
        print(f"The panel {title!r} shows nothing for {expression}", file=sys.stderr)
    return 1 if missing else 0


def _watched(panels: list[Panel]) -> Record:
    """Run the workload, and query Prometheus afterwards."""
    with environment(list(VAULTS)) as ready:
        workload = Workload(ready.api, ready.emulator, random.Random(_SEED))  # noqa: S311  no secret comes of it
        workload.prepare()
        began, started = time.time(), time.monotonic()  # noqa: TID251  Prometheus uses the machine's own time
        print(
            f"Ten minutes of workload, until {time.strftime('%H:%M:%S', time.localtime(began + SECONDS))}:", flush=True
        )
        moments = run(workload.actions(), clock=lambda: time.monotonic() - started, wait=time.sleep, say=_say)
        time.sleep(max(0.0, started + SECONDS - time.monotonic()))
        return _asked(ready, panels, moments, began)


def _say(at: float, text: str) -> None:
    print(f"  {at // 60:2.0f}:{at % 60:02.0f}  {text}", flush=True)


def _asked(ready: Environment, panels: list[Panel], moments: list[Moment], began: float) -> Record:
    names = {ready.emulator.vault_url(name): name for name in VAULTS}

    def answer(query: Query) -> list[Series]:
        """The series of a query; an instant query has the last point alone, in its own order."""
        asked = query.over(_RATES_OVER, f"{SECONDS:.0f}s")
        if query.instant:
            now = [History(each.labels, [(began + SECONDS, each.value)]) for each in ready.prometheus.query(asked)]
            return [_since(began, history, names) for history in now]
        over_time = ready.prometheus.history(asked, start=began, end=began + SECONDS, step=_STEP)
        return [_since(began, history, names) for history in over_time]

    answers = {query.expression: answer(query) for panel in panels for query in panel.queries}
    return Record(SECONDS, _STEP, moments, answers)


def _since(began: float, history: History, names: Mapping[str, str]) -> Series:
    """Count from the beginning, and call vaults by their names: the emulator's addresses say nothing."""
    labels = {label: names.get(text, text) for label, text in history.labels.items()}
    return Series(labels, [(moment - began, value) for moment, value in history.points])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
