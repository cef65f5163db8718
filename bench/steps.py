"""The steps of the operator's benchmark: each makes changes, waits for their effect, and records figures."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.figures import Figure, Report
from bench.machine import peak_memory, usage_of
from bench.testbed import SECRETS, VAULT_SECRETS, Testbed, data_of, value_of

_QUIET = 1.0
"""Seconds without a call to the vault that end a poll."""

_FORGOTTEN = 3.0
"""Seconds after which the operator caches no value that it has read."""


class Overdue(Exception):
    """A change did not have its effect in time."""


@dataclass(slots=True)
class Steps:
    """The steps in their order; the operator runs between them, except for the first two."""

    testbed: Testbed
    report: Report

    async def apply_to_running(self) -> None:
        """Apply all VaultSecrets to an operator that runs already."""
        testbed, size, operator = self.testbed, self.testbed.size, self.testbed.operator
        self.report.section(f"{size.objects:,} VaultSecrets applied to a running operator")
        operator.start()
        await asyncio.to_thread(operator.wait_until_ready)
        cpu, calls = usage_of(operator.pid).cpu, testbed.vault.calls()
        arrivals = self._all_targets()
        started = _now()
        await testbed.api.create_all(VAULT_SECRETS, map(testbed.manifest, testbed.secrets))
        applied = _now()
        moments = await _within(60 + size.objects / 10, arrivals)
        self._add("first applied → all Secrets there", max(moments) - started, "s")
        self._add("of which the API server took for the VaultSecrets", applied - started, "s")
        await self._quiet()
        self._add("values read", (testbed.vault.calls() - calls)["get"], must_be=size.objects)
        self._add("processor time", usage_of(operator.pid).cpu - cpu, "s")
        operator.close()
        await testbed.api.clear(VAULT_SECRETS)
        await testbed.api.clear(SECRETS)

    async def first_sync(self) -> None:
        """Start the operator with all VaultSecrets there and no Secret."""
        testbed, size, operator = self.testbed, self.testbed.size, self.testbed.operator
        await testbed.api.create_all(VAULT_SECRETS, map(testbed.manifest, testbed.secrets))
        self.report.section(f"First sync: {size.objects:,} VaultSecrets are there, the operator starts")
        calls, logins, writes = testbed.vault.calls(), testbed.emulator.logins(), await testbed.api.writes()
        arrivals = self._all_targets()
        started = _now()
        operator.start()
        await asyncio.to_thread(operator.wait_until_ready)
        ready = _now() - started
        with operator.probed() as waits:
            moments = await _within(60 + size.objects / 10, arrivals)
            await self._quiet()
        self._add("start → all Secrets there", max(moments) - started, "s", peer="13.5 s")
        self._add("of which until it was ready", ready, "s")
        calls, usage = testbed.vault.calls() - calls, usage_of(operator.pid)
        self._add("values read", calls["get"], must_be=size.objects)
        self._add("calls to list the vault", calls["list"])
        self._add("logins", (testbed.emulator.logins() - logins)["token"])
        self._add_writes(await testbed.api.writes() - writes, per=size.objects, of="VaultSecret")
        self._add("processor time, its start included", usage.cpu, "s")
        self._add("memory", usage.memory, "MB")
        self._add("longest stall of its event loop", max(waits), "s")

    async def idle(self) -> None:
        """Measure polls while nothing changes."""
        testbed, size, operator = self.testbed, self.testbed.size, self.testbed.operator
        self.report.section(f"{size.polls} polls, nothing has changed")
        await self._polls(1)
        before, started = usage_of(operator.pid), _now()
        calls, logins, writes = testbed.vault.calls(), testbed.emulator.logins(), await testbed.api.writes()
        await self._polls(size.polls)
        after, minutes = usage_of(operator.pid), (_now() - started) / 60
        calls = testbed.vault.calls() - calls
        self._add("values read", calls["get"], must_be=0, peer="999 a minute")
        self._add("calls to list the vault, per poll", calls["list"] / size.polls, must_be=size.pages)
        self._add("logins", (testbed.emulator.logins() - logins).total(), must_be=0, peer="999 a minute")
        writes = await testbed.api.writes() - writes
        self._add("writes to the API server", writes.total(), must_be=0, peer="1,000 a minute")
        self._add("processor time, per minute", (after.cpu - before.cpu) / minutes, "s", peer="4.7 s")
        self._add("memory", after.memory, "MB", peer="118 MB")
        self._add("most memory so far", peak_memory(operator.pid), "MB")
        size_of_scrape = await asyncio.to_thread(operator.scrape)
        self._add("processor time for a scrape of its metrics", usage_of(operator.pid).cpu - after.cpu, "s")
        self._add("which are", size_of_scrape / 1e6, "MB")

    async def rotate(self) -> None:
        """Rotate some secrets at once, and follow them until they have settled."""
        testbed, size = self.testbed, self.testbed.size
        self.report.section(f"{size.rotations} secrets rotated at once")
        rotated = testbed.secrets[: size.rotations]
        calls, writes = testbed.vault.calls(), await testbed.api.writes()
        arrivals = [testbed.arrivals.of(secret, data_of(secret, 1)) for secret in rotated]
        started = _now()
        testbed.vault.set_many([{"name": secret, "value": value_of(secret, 1)} for secret in rotated])
        moments = await _within(2 * size.refresh, arrivals)
        self._add_times("new version → Secret", [moment - started for moment in moments])
        self._add("from the first Secret to the last", max(moments) - min(moments), "s")
        await self._polls(2)
        self._add("values read, per rotation", (testbed.vault.calls() - calls)["get"] / size.rotations)
        self._add_writes(await testbed.api.writes() - writes, per=size.rotations, of="rotation")

    async def rotate_over_time(self) -> None:
        """Rotate some secrets one after the other, spread over an interval; apply new VaultSecrets meanwhile."""
        testbed, size = self.testbed, self.testbed.size
        self.report.section(f"{size.rotations} rotations spread over an interval, new VaultSecrets meanwhile")
        newcomers = asyncio.create_task(self._newcomers())
        times = []
        for secret in testbed.secrets[: size.rotations]:
            times.append(asyncio.create_task(self._rotation(secret)))
            await asyncio.sleep(size.refresh / size.rotations)
        self._add_times("new version → Secret", await asyncio.gather(*times), peer="31 s (median)")
        self._add_times("VaultSecret applied → Secret there", await newcomers, peer="0.2 s")

    async def tamper(self) -> None:
        """Change targets, and delete some."""
        testbed, size = self.testbed, self.testbed.size
        self.report.section("Targets changed and deleted by another client")
        healed = []
        secrets = testbed.secrets[-size.samples :]
        for secret in secrets:
            document = await testbed.api.request("GET", f"{SECRETS}/{secret}")
            document["data"] = {"password": "Z3Vlc3NlZA==", "backdoor": "b3Blbg=="}
            healed.append(await self._time_of(secret, "PUT", document))
        await asyncio.sleep(_FORGOTTEN)
        restored = [await self._time_of(secret, "DELETE") for secret in secrets]
        self._add_times("Secret changed → healed", healed, peer="0.08 s")
        self._add_times("Secret deleted → back", restored)

    async def restart(self) -> None:
        """Stop the operator and start it again."""
        testbed, operator = self.testbed, self.testbed.operator
        await self._polls(2)
        self.report.section("The operator restarts")
        operator.close()
        calls, writes, started = testbed.vault.calls(), await testbed.api.writes(), _now()
        operator.start()
        await asyncio.to_thread(operator.wait_until_ready)
        self._add("start → ready", _now() - started, "s")
        await self._listed(calls["list"] + testbed.size.pages)
        self._add("start → first poll done", _now() - started, "s")
        await self._quiet()
        self._add("values read", (testbed.vault.calls() - calls)["get"], must_be=0, peer="all of them")
        self._add("writes to the API server", (await testbed.api.writes() - writes).total(), must_be=0)
        usage = usage_of(operator.pid)
        self._add("processor time", usage.cpu, "s")
        self._add("memory", usage.memory, "MB")

    async def _newcomers(self) -> list[float]:
        """Apply one VaultSecret a second, for secrets that others use too."""
        testbed, times = self.testbed, []
        for index, secret in enumerate(testbed.secrets[-testbed.size.samples :]):
            name = f"new-{index}"
            arrival = testbed.arrivals.of(name, data_of(secret))
            applied = _now()
            await testbed.api.request("POST", VAULT_SECRETS, testbed.manifest(secret, name))
            times.append(await asyncio.wait_for(arrival, 60) - applied)
            await asyncio.sleep(1)
        return times

    async def _rotation(self, secret: str) -> float:
        arrival, started = self.testbed.arrivals.of(secret, data_of(secret, 2)), _now()
        self.testbed.vault.set(secret, value_of(secret, 2))
        return await asyncio.wait_for(arrival, 2 * self.testbed.size.refresh) - started

    async def _time_of(self, secret: str, method: str, document: Mapping[str, Any] | None = None) -> float:
        """Change a target, and return the seconds until it is restored."""
        arrival, started = self.testbed.arrivals.of(secret, data_of(secret)), _now()
        await self.testbed.api.request(method, f"{SECRETS}/{secret}", document)
        return await asyncio.wait_for(arrival, 60) - started

    def _all_targets(self) -> Sequence[asyncio.Future[float]]:
        return [self.testbed.arrivals.of(secret, data_of(secret)) for secret in self.testbed.secrets]

    async def _polls(self, count: int) -> None:
        """Wait until that many polls have begun and ended, from now on."""
        await self._listed(self.testbed.vault.calls()["list"] + count * self.testbed.size.pages)
        await self._quiet()

    async def _listed(self, calls: int) -> None:
        """Wait until there have been so many calls to list the vault, in all."""
        polls = (calls - self.testbed.vault.calls()["list"]) / self.testbed.size.pages
        deadline = _now() + (polls + 1) * self.testbed.size.refresh + 60
        while self.testbed.vault.calls()["list"] < calls:
            if _now() > deadline:
                raise Overdue(f"not {calls} calls to list the vault by now")
            await asyncio.sleep(0.05)

    async def _quiet(self) -> None:
        """Wait until no client calls the vault any more."""
        calls, since = self.testbed.vault.calls(), _now()
        while _now() - since < _QUIET:
            await asyncio.sleep(0.1)
            if (latest := self.testbed.vault.calls()) != calls:
                calls, since = latest, _now()

    def _add(self, what: str, value: float, unit: str = "", *, peer: str = "", must_be: float | None = None) -> None:
        self.report.add(Figure(what, [value], unit, peer, must_be))

    def _add_times(self, what: str, seconds: Sequence[float], *, peer: str = "") -> None:
        self.report.add(Figure(what, seconds, "s", peer))

    def _add_writes(self, writes: Counter[str], *, per: int, of: str) -> None:
        for kind, count in sorted(writes.items()):
            self._add(f"{kind}, per {of}", count / per)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _within(seconds: float, moments: Iterable[asyncio.Future[float]]) -> Sequence[float]:
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.gather(*moments)
    except TimeoutError:
        raise Overdue(f"not all Secrets within {seconds:g} s") from None
