"""Whoever runs another process as the operator's user: its memory and its environment stay its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

SOURCE: Final = Path(__file__).parents[2] / "operator"

ATTACK: Final = '''
import ctypes, os, sys
from vaultsync.memory_protection import protect_memory

def read_by_another_process(file):
    """Whether a process of the same user can read a file of this one in /proc."""
    child = os.fork()
    if child == 0:
        try:
            with open(f"/proc/{os.getppid()}/{file}", "rb") as opened:
                opened.read(0)
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0

if os.geteuid() == 0:  # root may read everything
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as in a process that has just been started
before = [read_by_another_process(file) for file in sys.argv[1:]]
protect_memory()
print(before, [read_by_another_process(file) for file in sys.argv[1:]])
'''


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /proc")
def test_another_process_of_the_same_user_does_not_read_the_environment() -> None:
    """An attacker with a shell in the operator's container reads its client secret from its environment."""
    read = subprocess.run(
        [sys.executable, "-c", ATTACK, "environ"],
        env={"PYTHONPATH": str(SOURCE), "AZURE_CLIENT_SECRET": "secret"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert read.stdout == "[True] [False]\n"


@pytest.mark.skipif(not hasattr(os, "WCOREDUMP"), reason="this system has no core dumps")
def test_a_crash_leaves_no_core_dump(tmp_path: Path) -> None:
    """An attacker who can make the operator crash reads the values from its core dump."""
    script = (
        "import os, resource; from vaultsync.memory_protection import protect_memory;"
        "most = resource.getrlimit(resource.RLIMIT_CORE)[1]; resource.setrlimit(resource.RLIMIT_CORE, (most, most));"
        "protect_memory(); os.abort()"
    )
    process = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", f"import os; os.chdir({str(tmp_path)!r}); {script}"],
        {"PYTHONPATH": str(SOURCE)},
    )
    _, status = os.waitpid(process, 0)

    assert os.WIFSIGNALED(status)
    assert not os.WCOREDUMP(status)
    assert list(tmp_path.iterdir()) == []
