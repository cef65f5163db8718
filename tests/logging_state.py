"""Puts back what the operator's logging sets for the whole process."""

import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from vaultsync.adapters.logs import OURS


@contextmanager
def restored_logging() -> Iterator[None]:
    """Restore handlers, levels and hooks when the block ends."""
    root, raising = logging.getLogger(), logging.raiseExceptions
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in OURS}
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning
    try:
        yield
    finally:
        sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning = hooks
        root.handlers[:], root.level, logging.raiseExceptions = handlers, level, raising
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)
