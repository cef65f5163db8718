"""What comes of a rule that may refuse, as one value; a mark by which a leak is known; programs that may be missing."""

import shutil
from collections.abc import Callable
from typing import Final, TypeVar

import pytest

from vaultsync.errors import SyncError

MARK: Final = "m4rked-v4lue"
"""A text that stands for a secret: no message may hold it."""

Result = TypeVar("Result")


def attempt(work: Callable[[], Result]) -> Result | SyncError:
    """Gives what the rule gives, or its refusal; any other exception is the test's to fail of."""
    try:
        return work()
    except SyncError as refusal:
        return refusal


def told_by(refusal: SyncError) -> str:
    """All that whoever logs the refusal could see: its text, and what came along as cause or context."""
    view: list[str] = []
    error: BaseException | None = refusal
    while error is not None:
        view += [str(error), repr(error), repr(error.args)]
        error = error.__cause__ or error.__context__
    return "\n".join(view)


def needs(program: str) -> pytest.MarkDecorator:
    """Leaves a test out where the program that proves it is not installed."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"there is no {program} here")
