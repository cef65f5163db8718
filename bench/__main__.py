"""`python -m bench`: measures what bench/README.md claims; `python -m bench operator --quick` one part, in brief."""

import argparse
import importlib
import signal
import sys
from typing import Final, Protocol, cast

PARTS: Final = {
    "operator": "bench.operator",
    "memory": "bench.memory",
    "searches": "bench.searches",
    "image": "bench.image",
    "scrapes": "bench.scrapes",
    "certificates": "bench.certificates",
    "clients": "bench.clients",
    "grants": "bench.grants",
}


class Part(Protocol):
    """The interface of each part's module."""

    def run(self, arguments: list[str]) -> int:
        """Measure, with the options of that part; returns the exit code, 1 if a claim does not hold."""
        ...


def main(arguments: list[str]) -> int:
    """Run one part, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("part", nargs="?", choices=sorted(PARTS), help="which part; all of them if left out")
    parser.add_argument("--quick", action="store_true", help="less of everything: to try it, not to cite it")
    parser.add_argument("--write", action="store_true", help="put the figures into bench/README.md")
    options, others = parser.parse_known_args(arguments)
    flags = [flag for flag, given in (("--quick", options.quick), ("--write", options.write)) if given]
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that what was started is ended
    parts = [options.part] if options.part else list(PARTS)
    return max(cast("Part", importlib.import_module(PARTS[part])).run([*flags, *others]) for part in parts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
