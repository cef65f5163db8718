"""Helpers for tests of errors: errors as values, a marker that shows leaks, and optional programs."""

import shutil
import time
from collections.abc import Callable
from typing import Final, TypeVar

import pytest

from vaultsync.errors import SyncError

MARK: Final = "m4rked-v4lue"
"""Stands for a secret value: no message may hold it."""

Result = TypeVar("Result")


def attempt(work: Callable[[], Result]) -> Result | SyncError:
    """Return the result, or the `SyncError`; any other exception fails the test."""
    try:
        return work()
    except SyncError as error:
        return error


def visible_text(error: SyncError) -> str:
    """Everything that a log could show of an error: its text, its arguments, and those of its causes and contexts."""
    texts: list[str] = []
    shown: BaseException | None = error
    while shown is not None:
        texts += [str(shown), repr(shown), repr(shown.args)]
        shown = shown.__cause__ or shown.__context__
    return "\n".join(texts)


def cpu_units(work: Callable[[], object]) -> float:
    """The CPU time of some work, in multiples of a fixed amount of work on the same machine."""
    begin = time.process_time()
    for _ in range(1_000_000):
        pass
    middle = time.process_time()
    work()
    return (time.process_time() - middle) / (middle - begin)


def needs(program: str) -> pytest.MarkDecorator:
    """Skip a test if the program that it needs is not installed."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")
