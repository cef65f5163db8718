"""Records where a Python program spends its CPU time, with py-spy, and draws it as a small flame graph.

https://github.com/benfred/py-spy
"""

import re
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Final

_RATE: Final = 200
_LEAST: Final = 0.004
"""The share of all samples below which a frame is not drawn."""

_WIDTH, _LINE = 1200, 16
_FRAME: Final = re.compile(r"(?P<function>.*) \((?P<file>[^)]*)\)$")
_COLOURS: Final[Mapping[str, str]] = {
    "vaultsync": "#79c0ff",
    "kvsecrets": "#a5d6ff",
    "kopf": "#ffa657",
    "kubernetes": "#d2a8ff",
    "aiohttp": "#e2c5ff",
    "httpx": "#7ee787",
    "httpcore": "#aff5b4",
    "h11": "#aff5b4",
    "anyio": "#aff5b4",
    "pydantic": "#ff7b72",
    "asyncio": "#d0d7de",
    "ssl": "#d0d7de",
    "uvloop": "#d0d7de",
}

Stack = tuple[str, ...]
"""The frames of a sample, the outermost first, such as `reconcile (vaultsync/controller/reconcile.py)`."""


class NoProfiler(Exception):
    """There is no py-spy."""


@dataclass(slots=True)
class Profile:
    """How often each stack was found; complete once the recording has ended."""

    stacks: Counter[Stack] = field(default_factory=Counter)

    def read(self, lines: Iterable[str]) -> None:
        """Take in what py-spy writes as `raw`: a stack in a line, and its number."""
        for line in lines:
            stack, _, count = line.rstrip().rpartition(" ")
            self.stacks[tuple(map(_without_line, stack.split(";")))] += int(count)

    def draw(self, title: str, file: Path) -> None:
        """Draw the flame graph as SVG, without frames that are too narrow to read."""
        root = _Node(title)
        for stack, count in self.stacks.items():
            root.add(stack, count)
        drawn = list(root.drawn(0, 0.0, 1.0))
        height = _LINE * (max(depth for _, depth, _, _ in drawn) + 2)
        svg = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}">',
            "<style>text{font:11px sans-serif}rect{stroke:#fff;stroke-width:.5}</style>",
            *(_frame(node, depth, left, share) for node, depth, left, share in drawn),
            "</svg>",
        ]
        file.write_text("\n".join(svg) + "\n")

    def top(self, number: int) -> list[tuple[str, float, float]]:
        """Return the functions with the largest share of their own: that, and the share with all that they call."""
        return self._shares(lambda frame: frame, number, least=0.0)

    def by_package(self) -> list[tuple[str, float, float]]:
        """Return the same of packages."""
        return self._shares(_package, 20, least=0.01)

    def _shares(self, name: Callable[[str], str], number: int, *, least: float) -> list[tuple[str, float, float]]:
        own: Counter[str] = Counter()
        whole: Counter[str] = Counter()
        for stack, count in self.stacks.items():
            own[name(stack[-1])] += count
            for each in set(map(name, stack)):
                whole[each] += count
        total = self.stacks.total()
        shares = [(each, count / total, whole[each] / total) for each, count in own.most_common(number)]
        return [share for share in shares if share[1] >= least]


def profiler(named: str | None = None) -> str:
    """Return the path of py-spy.

    Raises:
        NoProfiler: It is not installed.
    """
    found = shutil.which(named or "py-spy")
    if found is None:
        raise NoProfiler("py-spy is not installed: name it with --py-spy, or `pip install py-spy`")
    return found


@contextmanager
def recorded(pid: int, program: str) -> Iterator[Profile]:
    """Record while the block lasts. It slows the recorded program down a little."""
    profile = Profile()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "stacks"
        options = ("--rate", str(_RATE), "--format", "raw", "--output", file, "--nonblocking")
        command: list[str | Path] = [program, "record", "--pid", str(pid), *options]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as recorder:
            try:
                yield profile
            finally:
                recorder.send_signal(signal.SIGINT)
                recorder.wait()
        profile.read(file.read_text().splitlines())


class _Node:
    """A frame below its callers, with all that it calls."""

    def __init__(self, frame: str) -> None:
        self.frame = frame
        self.count = 0
        self._children: dict[str, _Node] = {}

    def add(self, stack: Stack, count: int) -> None:
        node = self
        node.count += count
        for frame in stack:
            node = node._children.setdefault(frame, _Node(frame))
            node.count += count

    def drawn(self, depth: int, left: float, share: float) -> Iterator[tuple["_Node", int, float, float]]:
        """Yield the frames that are wide enough, with their depth, place and width."""
        if share < _LEAST:
            return
        yield self, depth, left, share
        for child in sorted(self._children.values(), key=lambda each: -each.count):
            part = share * child.count / self.count
            yield from child.drawn(depth + 1, left, part)
            left += part


def _frame(node: _Node, depth: int, left: float, share: float) -> str:
    x, y, width = left * _WIDTH, depth * _LINE, share * _WIDTH
    match = _FRAME.match(node.frame)
    name = match["function"] if match else node.frame
    colour = _COLOURS.get(_package(node.frame), "#f0d9a8")
    letters = int(width / 6.2)
    shown = name if len(name) <= letters else f"{name[: letters - 1]}…" if letters > 3 else ""
    text = f'<text x="{x + 2:.1f}" y="{y + 12}">{escape(shown)}</text>' if shown else ""
    return (
        f'<g><title>{escape(node.frame)}: {share:.1%}</title><rect x="{x:.1f}" y="{y}" width="{width:.1f}" '
        f'height="{_LINE}" fill="{colour}"/>{text}</g>'
    )


def _package(frame: str) -> str:
    """Return the top-level package or module of a frame; that of the interpreter for what is none."""
    match = _FRAME.match(frame)
    return match["file"].partition("/")[0].removesuffix(".py") if match else "the interpreter"


def _without_line(frame: str) -> str:
    return re.sub(r":\d+\)$", ")", frame) or "the interpreter"
