"""`python -m bench image`: the size of the image beside its base, by buildah and on Debian; needs root."""

import argparse
import shutil
import tempfile
from pathlib import Path

from bench.figures import Figure, Report
from tests.e2e.image import debian
from tests.e2e.image.buildah import built, megabytes

_LARGEST = 5
"""How many of its packages are named."""


def run(arguments: list[str]) -> int:
    """Build the image, and measure; a machine that cannot build it measures nothing."""
    parser = argparse.ArgumentParser(prog="python -m bench image", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the same: there is no less of it")
    parser.add_argument("--write", action="store_true", help="put the figures into bench/README.md")
    options = parser.parse_args(arguments)
    if reason := debian.why_impossible() or (None if shutil.which("buildah") else "it needs buildah"):
        print(f"The image cannot be built here: {reason}.")
        return 0
    conditions = f"Debian {debian.SUITE} with its Python as base, as unpacked files; built on"
    with (
        Report.of_a_run("image", conditions, quick=options.quick, write=options.write) as report,
        tempfile.TemporaryDirectory() as folder,
        built(Path(folder)) as image,
    ):
        report.section("The image beside its base")
        report.add(Figure("size", [megabytes(image.own)], "MB", goal=90))
        (packages,) = image.own.glob("lib/python3.*/site-packages")
        sizes = {path.name: megabytes(path) for path in packages.iterdir()}
        for name in sorted(sizes, key=lambda each: -sizes[each])[:_LARGEST]:
            report.add(Figure(f"of which {name}", [sizes[name]], "MB"))
    return 0
