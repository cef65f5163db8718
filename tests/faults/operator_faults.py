"""What can happen to the operator's own process."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.faults.fault import Fault
from tests.faults.harness import World
from tests.faults.resource_limits import full_disk, no_more_files

_HOURS: Final = 2 * 3600


@contextmanager
def _killed(world: World) -> Iterator[None]:
    (instance,) = world.instances
    instance.kill()
    try:
        yield
    finally:
        instance.start(wait=False)


@contextmanager
def _stopped(world: World) -> Iterator[None]:
    """The event loop stalls, and everything else too."""
    (instance,) = world.instances
    instance.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        instance.signal(signal.SIGCONT)


@contextmanager
def _without_files(world: World) -> Iterator[None]:
    (instance,) = world.instances
    with no_more_files(instance.running):
        instance.api.cut()
        yield


@contextmanager
def _full_disk(world: World) -> Iterator[None]:
    (instance,) = world.instances
    with full_disk(instance.running.pid, instance.log):
        yield


def _jump(name: str, seconds: int) -> Fault:
    @contextmanager
    def breaking(world: World) -> Iterator[None]:
        (instance,) = world.instances
        instance.clock.jump_to(seconds)
        try:
            yield
        finally:
            instance.clock.jump_to(0)

    return Fault.of(name, "process", breaking)


CLOCK_AHEAD: Final = _jump("clock ahead", _HOURS)

FAULTS: Final = (
    Fault.of("killed", "process", _killed),
    Fault.of("stopped", "process", _stopped),
    Fault.of("no file descriptors", "process", _without_files),
    Fault.of("disk full for logs", "process", _full_disk),
    CLOCK_AHEAD,
    _jump("clock behind", -_HOURS),
)
