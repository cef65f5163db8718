"""Keeps the memory of this process, which holds secrets, from core dumps and other processes; knows no secret."""

import ctypes
import resource
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4
"""https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html"""

_M_PERTURB: Final = -6
"""https://man7.org/linux/man-pages/man3/mallopt.3.html"""

_FILLER: Final = 0xA5


def protect_memory() -> None:
    """Allow no core dump and no access by other processes of the same user, and overwrite memory that is freed.

    Neither a debugger nor `/proc` then shows what the process has in memory or in its environment, except to root. A
    program that this process executes is not protected: it calls this itself. On other systems than Linux only core
    dumps are prevented, and another C library than glibc overwrites nothing.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    # The limit does not hold for core dumps that the kernel pipes to a program; this does.
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")
    overwrite_freed_memory()


def overwrite_freed_memory() -> None:
    """Let glibc overwrite blocks of memory when they are freed, of more than a kilobyte.

    Smaller ones are kept for reuse, by CPython and by glibc, and are overwritten only then.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_PERTURB, _FILLER)
