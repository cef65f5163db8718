"""What can happen to the operator that leads, while another one stands by."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tests.faults.fault import Fault
from tests.faults.harness import World
from tests.faults.instance import Instance


def _lost(name: str, lose: Callable[[Instance], object], restore: Callable[[Instance], object]) -> Fault:
    """Make a fault of the one that leads when it begins."""

    @contextmanager
    def breaking(world: World) -> Iterator[None]:
        leader = world.leader()
        lose(leader)
        try:
            yield
        finally:
            restore(leader)

    return Fault.of(name, "leader", breaking)


def _start(instance: Instance) -> None:
    instance.start(wait=False)


FAULTS: Final = (
    _lost("leader killed", Instance.kill, _start),
    _lost("leader handed over", Instance.stop, _start),
    _lost("leader frozen", lambda one: one.signal(signal.SIGSTOP), lambda one: one.signal(signal.SIGCONT)),
    _lost("leader cut off", lambda one: one.api.tcp.disconnect(), lambda one: one.api.tcp.connect()),
    # What is on the way then is lost.
    _lost("leader out of touch", lambda one: one.api.tcp.stall(), lambda one: one.api.tcp.strand()),
)
