"""The steps of the operator's benchmark, for any program: each makes changes and waits for their effect."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.machine import Usage, cpu_by_program, usage_of
from bench.testbed import NAMESPACE, SECRETS, Testbed, data_of, value_of

_QUIET = 2.0
"""Seconds without a call to the vault or a request to the API server after which work has ended."""

_SETTLED_WITHIN = 45.0
"""Seconds after which a program that is never quiet counts as settled."""

_FORGOTTEN = 3.0
"""Seconds after which the operator caches no value that it has read."""


class Overdue(Exception):
    """A change did not have its effect in time."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What has been used up to a moment."""

    at: float
    usage: Usage
    calls: Counter[str]
    """The calls to the vault of each kind, and `token`, the logins."""

    requests: Counter[str]
    """The program's requests to the API server, such as `APPLY secrets`."""

    programs: Mapping[str, float]
    """The CPU time of each program of the testbed."""

    def since(self, before: "Counts") -> "Counts":
        """Return the difference; the memory is that of the later moment."""
        cpu = self.usage.cpu - before.usage.cpu
        return Counts(
            self.at - before.at,
            Usage(cpu, self.usage.memory),
            self.calls - before.calls,
            self.requests - before.requests,
            {name: cpu - before.programs.get(name, 0.0) for name, cpu in self.programs.items()},
        )


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of one testbed."""

    testbed: Testbed

    async def counts(self) -> Counts:
        """Count what has been used so far."""
        testbed = self.testbed
        calls = testbed.site.vault.calls()
        calls["token"] = await asyncio.to_thread(testbed.program.launch.logins)
        usage = usage_of(testbed.program.pid)
        return Counts(now(), usage, calls, await testbed.api.requests(), cpu_by_program())

    async def start(self) -> float:
        """Start the program, and wait until it serves; returns the seconds until it was ready."""
        started = now()
        self.testbed.program.start()
        await asyncio.to_thread(self.testbed.program.wait_until_ready)
        ready = now() - started
        await asyncio.to_thread(self.testbed.program.wait_until_leading)
        return ready

    async def post(self, secrets: Sequence[str]) -> float:
        """Post the objects of these secrets; returns the seconds that the API server took."""
        started = now()
        await self.testbed.api.create_all(self.testbed.subject.path(NAMESPACE), map(self.testbed.manifest, secrets))
        return now() - started

    async def sync(self, secrets: Sequence[str], within: float) -> None:
        """Post the objects of these secrets, and wait until all their targets are there.

        Raises:
            Overdue: They are not after so many seconds.
        """
        targets = self.targets(secrets)
        await self.post(secrets)
        await last_of(targets, within)

    def targets(self, secrets: Iterable[str], version: int = 0) -> list[asyncio.Future[float]]:
        """Return when each target has the value of its secret after so many rotations."""
        return [self.testbed.arrivals.of(secret, data_of(secret, version)) for secret in secrets]

    async def newcomer(self, secret: str, name: str) -> float:
        """Post one more object for a secret; returns the seconds until its target is there."""
        testbed = self.testbed
        arrival, started = testbed.arrivals.of(name, data_of(secret)), now()
        await testbed.api.request("POST", testbed.subject.path(NAMESPACE), testbed.manifest(secret, name))
        return await asyncio.wait_for(arrival, 60) - started

    async def tampered(self, secret: str) -> float:
        """Change a target; returns the seconds until it is healed."""
        document = await self.testbed.api.request("GET", f"{SECRETS}/{secret}")
        document["data"] = {"password": "Z3Vlc3NlZA==", "backdoor": "b3Blbg=="}
        return await self._restored(secret, "PUT", document)

    async def deleted(self, secret: str) -> float:
        """Delete a target; returns the seconds until it is back."""
        return await self._restored(secret, "DELETE")

    async def rotated(self, secret: str) -> float:
        """Set a new version of a secret; returns the seconds until its target has it."""
        arrival, started = self.testbed.arrivals.of(secret, data_of(secret, 1)), now()
        self.testbed.site.vault.set(secret, value_of(secret, 1))
        return await asyncio.wait_for(arrival, 3 * self.testbed.site.refresh + 60) - started

    async def wait(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    async def forgotten(self) -> None:
        """Wait until the operator caches no value."""
        await asyncio.sleep(_FORGOTTEN)

    async def settled(self) -> Counts:
        """Wait until the program does nothing more, or for some seconds; returns the counts of that moment."""
        first = counts = await self.counts()
        while counts.at - first.at < _SETTLED_WITHIN:
            await asyncio.sleep(_QUIET)
            before, counts = counts, await self.counts()
            if (before.calls, before.requests) == (counts.calls, counts.requests):
                break
        return counts

    async def polls(self, count: int, kind: str, calls: int) -> None:
        """Wait until the present poll and so many more have ended; each makes so many calls of one kind.

        Raises:
            Overdue: They take too long.
        """
        until = (await self.settled()).calls[kind] + count * calls
        deadline = now() + (count + 2) * self.testbed.site.refresh + 60
        while (await self.settled()).calls[kind] < until:
            if now() > deadline:
                raise Overdue(f"not {count} polls by now")

    async def _restored(self, secret: str, method: str, document: Mapping[str, Any] | None = None) -> float:
        arrival, started = self.testbed.arrivals.of(secret, data_of(secret)), now()
        await self.testbed.api.request(method, f"{SECRETS}/{secret}", document)
        return await asyncio.wait_for(arrival, 3 * self.testbed.site.refresh + 60) - started


def now() -> float:
    """Return the time of the event loop, in seconds."""
    return asyncio.get_running_loop().time()


async def last_of(moments: Iterable[asyncio.Future[float]], seconds: float) -> float:
    """Return the last of some moments.

    Raises:
        Overdue: Not all of them came within so many seconds.
    """
    try:
        async with asyncio.timeout(seconds):
            return max(await asyncio.gather(*moments))
    except TimeoutError:
        raise Overdue(f"not all Secrets within {seconds:g} s") from None
