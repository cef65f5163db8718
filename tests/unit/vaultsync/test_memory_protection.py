"""The protection of the process's memory, each in a process of its own: it cannot be taken back."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

SOURCE: Final = Path(__file__).parents[3] / "operator"

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /proc")

IS_DUMPABLE: Final = "ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)"

STARTS: Final = f"""
import ctypes, resource
from vaultsync import __main__, manager
manager.main = lambda environ: print({IS_DUMPABLE}, *resource.getrlimit(resource.RLIMIT_CORE)) or 0
__main__.main(["run"])
"""

VALUES: Final = """
import sys
from vaultsync.memory_protection import overwrite_freed_memory
if sys.argv[2] == "overwrite":
    overwrite_freed_memory()
values = [sys.argv[1][::-1] * 64 for _ in range(64)]
kept = bytearray(4096)  # the end of the heap is not given back
del values
print("freed", flush=True)
sys.stdin.read()
"""


def python(*arguments: str) -> "subprocess.Popen[str]":
    """Start Python with this checkout's modules."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={"PYTHONPATH": str(SOURCE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@linux
def test_the_operator_starts_with_its_memory_protected() -> None:
    with python("-c", STARTS) as process:
        output, _ = process.communicate()

    assert output == "0 0 0\n"


@linux
@pytest.mark.parametrize("overwrite", [False, True])
def test_memory_that_held_long_values_is_overwritten_when_it_is_freed(overwrite: bool) -> None:
    mark = "0123456789abcdef0123456789ABCDEF"
    with python("-c", VALUES, mark, "overwrite" if overwrite else "keep") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "freed\n"
        found = occurrences(mark[::-1] * 32, process.pid)
        process.communicate()

    assert (found > 0) is not overwrite


def occurrences(text: str, pid: int) -> int:
    """How often a text is in the writable memory of a process."""
    found = 0
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            addresses, permissions = line.split()[:2]
            if permissions.startswith("rw"):
                begin, end = (int(address, 16) for address in addresses.split("-"))
                memory.seek(begin)
                found += memory.read(end - begin).count(text.encode())
    return found


def test_a_limit_that_is_lowered_already_is_no_error() -> None:
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0));"
        "from vaultsync.memory_protection import protect_memory; protect_memory(); protect_memory()"
    )
    with python("-c", script) as process:
        process.communicate()

    assert process.returncode == 0
