"""What others do while many VaultSecrets are synced for the first time."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from bench.apiserver import Arrivals
from bench.steps import Steps, now
from bench.testbed import Testbed, data_of
from tests.controlplane.cluster import KubectlFailed

OTHER: Final = "bench-other"
"""The namespace of another team."""

_WITHIN: Final = 300.0
"""Seconds after which a VaultSecret counts as lost."""


@dataclass(slots=True)
class Others:
    """What happens during a first sync: new VaultSecrets of another namespace, and changed targets; in seconds."""

    arrivals: Arrivals
    news: list[float] = field(default_factory=list)
    healed: list[float] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    """Of those that did not happen in time."""

    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @contextmanager
    def at_work(self, steps: Steps) -> Iterator[None]:
        """Begin something now and then while the block lasts."""
        beginning = asyncio.create_task(self._begin(steps))
        try:
            yield
        finally:
            beginning.cancel()

    async def done(self) -> None:
        """Wait until all has ended that has begun."""
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        self.errors += [each for each in ended if isinstance(each, Exception)]

    async def _begin(self, steps: Steps) -> None:
        chooser, changed = random.Random(1), set[str]()  # noqa: S311  no secret is made of it
        for index, secret in enumerate(never_rotated(steps)):
            self._tasks.add(asyncio.create_task(self._newcomer(steps.testbed, f"new-{index}", secret)))
            there = sorted({*steps.testbed.arrivals.arrived} - changed)
            if index % 2 and there:
                changed.add(target := chooser.choice(there))
                self._tasks.add(asyncio.create_task(self._tampered(steps, target)))
            await asyncio.sleep(0.5)

    async def _newcomer(self, ready: Testbed, name: str, secret: str) -> None:
        arrival, started = self.arrivals.of(name, data_of(secret)), now()
        await ready.api.request("POST", ready.subject.path(OTHER), ready.manifest(secret, name, OTHER))
        self.news.append(await asyncio.wait_for(arrival, _WITHIN) - started)

    async def _tampered(self, steps: Steps, secret: str) -> None:
        with suppress(KubectlFailed):  # the operator wrote it at the same time
            self.healed.append(await steps.tampered(secret))


def never_rotated(steps: Steps) -> Sequence[str]:
    """Return every second secret."""
    return steps.testbed.secrets[1::2]
