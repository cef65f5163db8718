"""Bounds how long Python's garbage collector stops the process; it frees nothing that was in use a moment ago.

A full collection looks at all objects that can refer to others, and takes a second for each million of them. The caches
of 10,000 VaultSecrets have half a million, the imported modules a hundred thousand. They hardly ever become garbage in
cycles: everything else is freed as soon as nothing refers to it, frozen or not.

https://docs.python.org/3/library/gc.html#gc.freeze
"""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

MAX_OBJECTS: Final = 50_000
"""Objects that outlive a full collection and are not left out of the next one."""

MAX_FREEZES: Final = 100
"""Freezes after which everything is looked at once more: cycles of objects that were frozen may be garbage by then."""

_OLDEST: Final = 2


@contextmanager
def frozen() -> Iterator[None]:
    """Collect once at the end, not meanwhile, and leave what is left out of all collections: the imported modules."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
    gc.collect()
    gc.freeze()


@contextmanager
def bounded_pauses() -> Iterator[None]:
    """Bound the pauses of the collector while the block lasts."""
    bound = PauseBound()
    gc.callbacks.append(bound)
    try:
        yield
    finally:
        gc.callbacks.remove(bound)


class PauseBound:
    """Leaves what has outlived a full collection out of the next ones, if it is much; for `gc.callbacks`."""

    def __init__(self) -> None:
        self._freezes = 0

    def __call__(self, phase: str, info: Mapping[str, int]) -> None:
        """Freeze what a collection has left; called by Python before and after each."""
        if phase != "stop" or info["generation"] != _OLDEST or len(gc.get_objects(_OLDEST)) <= MAX_OBJECTS:
            return
        if self._freezes < MAX_FREEZES:
            gc.freeze()
            self._freezes += 1
        else:
            gc.unfreeze()
            self._freezes = 0
