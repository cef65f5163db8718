"""`python -m demo.recording`: runs the demo, and draws what its terminal showed; `--again` draws the last recording."""

import os
import sys
from pathlib import Path
from typing import Final

from demo.processes import ROOT, DemoProcesses
from demo.recording import cast
from demo.recording.svg import animated, rows_of, still
from demo.scenario import Scenario
from demo.terminal import Terminal

RECORDING: Final = ROOT / "docs" / "demo.cast"
STILL: Final = ROOT / "docs" / "kubectl.cast"
_ENVIRON: Final = os.environ  # noqa: TID251  a command reads its environment


def main(arguments: list[str]) -> int:
    """Record and draw; returns the exit code."""
    if arguments not in ([], ["--again"]):
        print("usage: python -m demo.recording [--again]", file=sys.stderr)
        return 2
    if not arguments:
        _record()
    for path, text in drawings().items():
        path.write_text(text)
        print(f"{path.relative_to(ROOT)}: {len(text) // 1024} KB")
    return 0


def drawings() -> dict[Path, str]:
    """The pictures by their files, drawn from what was recorded."""
    return {
        RECORDING.with_suffix(".svg"): animated(cast.load(RECORDING), "make demo"),
        STILL.with_suffix(".svg"): still(rows_of(cast.load(STILL)), "kubectl and vaultsync"),
    }


def _record() -> None:
    processes = DemoProcesses(ROOT / ".demo", _ENVIRON)
    try:
        processes.start()
        with cast.Recorder(sys.stdout) as screen:
            scenario = Scenario(processes, Terminal(processes.environ, screen))
            scenario.run()
            cast.save(screen.outputs, RECORDING)
        with cast.Recorder(sys.stdout) as screen:
            scenario.terminal = Terminal(processes.environ, screen)
            scenario.look()
            cast.save(screen.outputs, STILL)
    finally:
        processes.down()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
