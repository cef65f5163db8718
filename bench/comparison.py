"""Compares programs within one run: each measures the same steps, in turns, and has a column of one table."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median

from bench import machine
from bench.apiserver import events_of, writes_of
from bench.figures import INCOMPLETE, judged, markdown, one_line, short, text_of
from bench.machine import peak_memory, usage_of
from bench.steps import Counts, Steps, last_of, now
from bench.subject import Subject
from bench.testbed import Testbed, kubernetes, testbed

Measured = dict[str, list[float]]
"""The values of each row, by its key."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured, and how often; `refresh` and `minute` are in seconds."""

    objects: int
    rounds: int
    refresh: int = 60
    minute: int = 60
    samples: int = 10


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table.

    The goal is at most `limit`, or at most `share` of the peer's value.
    """

    key: str
    what: str
    unit: str = ""
    limit: float | None = None
    share: float | None = None

    def goal(self, ours: float, peer: float | None) -> str:
        """Return the goal, and whether it is reached."""
        if self.limit is not None:
            return judged(f"≤ {short(self.limit)}{f' {self.unit}' if self.unit else ''}", reached=ours <= self.limit)
        if self.share is not None and peer is not None:
            return judged(f"≤ {self.share:g} of theirs", reached=ours <= self.share * peer)
        return ""


def rows(size: Size) -> dict[str, Sequence[Row]]:
    """Return the rows of the table, in sections."""
    posted = f"{size.objects:,} objects posted to a running operator"
    still = f"{size.minute} seconds in which nothing changes"
    again = f"The operator restarts: its first {size.minute} seconds"
    return {
        posted: [
            Row("all", "first post → all Secrets there", "s", share=0.6),
            Row("posting", "of which the API server took for the posts", "s"),
            Row("cpu", "CPU until they are there", "s", share=0.6),
            Row("cpu settled", "CPU until the operator rests", "s"),
            Row("requests", "requests to the API server, per object"),
            Row("critical", "of which on the critical path: all but events", limit=3),
            Row("writes", "writes to the API server, per object"),
            Row("gets", "values read from the vault, per object"),
            Row("memory idle", "memory before", "MB", limit=70),
            Row("memory", "memory afterwards", "MB", limit=90),
            Row("memory peak", "most memory", "MB"),
        ],
        still: [
            Row("still cpu", "CPU", "s", limit=0.2),
            Row("still gets", "values read", limit=0),
            Row("still lists", "calls to list the vault"),
            Row("still logins", "logins"),
            Row("still requests", "requests to the API server"),
            Row("still writes", "of which writes", limit=0),
        ],
        "One object": [
            Row("new", "object posted → Secret there", "s"),
            Row("tampered", "Secret changed → healed", "s"),
            Row("deleted", "Secret deleted → back", "s"),
        ],
        again: [
            Row("restart cpu", "CPU", "s", limit=2),
            Row("restart gets", "values read", limit=0),
            Row("restart writes", "writes to the API server", limit=0),
            Row("restart memory", "memory", "MB"),
        ],
    }


@dataclass(slots=True)
class Comparison:
    """The figures of one run; the last subject is this checkout, and the peer is the one that goals refer to.

    Args:
        save: Is called after each step, so that no failure loses what was measured before it.
    """

    size: Size
    subjects: Sequence[Subject]
    peer: Subject | None
    figures: Mapping[str, Measured] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    requests: dict[str, str] = field(default_factory=dict)
    """The requests of each kind, by the subject's title and when they were sent."""

    save: Callable[[], object] = lambda: None
    failed: list[str] = field(default_factory=list)
    """What could not be measured."""

    complete: bool = False
    measured_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def run(self) -> None:
        """Measure in rounds; where one subject fails, the rest of its round is left out."""
        for number in range(self.size.rounds):
            # The order alternates, so that no subject always runs on a warmer machine.
            for subject in self.subjects if number % 2 == 0 else self.subjects[::-1]:
                title = f"{subject.title}, round {number + 1} of {self.size.rounds}"
                try:
                    async with testbed(subject, secrets=self.size.objects, refresh=self.size.refresh) as ready:
                        print(title, flush=True)
                        await self._measure(ready)
                except Exception as error:  # noqa: BLE001  of whatever kind, the other figures are worth having
                    print(f"{title}: failed: {one_line(error)}", flush=True)
                    self.failed.append(f"{title}: {one_line(error)}")
        self.complete = not self.failed
        self.save()

    def table(self) -> str:
        """Write a column for each subject, and the goals."""
        titles = [subject.title for subject in self.subjects]
        lines = [["", *titles, "goal"], ["---"] * (len(titles) + 2)]
        for title, section in rows(self.size).items():
            lines.append([f"_{title}_", *[""] * (len(titles) + 1)])
            lines += [self._line(row) for row in section]
        return markdown(lines)

    def text(self) -> str:
        """Write the conditions, the table and the requests of each kind."""
        conditions = (
            f"A secret each, all in one vault, which takes 30 ms for a call; `refreshInterval: {self.size.refresh}s`; "
            f"control plane, vault and operator together on {machine.description()}, Kubernetes {kubernetes()}; "
            f"{self.measured_at:%Y-%m-%d}."
        )
        kinds = [f"- {title}: {text}" for title, text in self.requests.items()]
        requests = ["", "Requests to the API server:", "", *kinds]
        incomplete = [] if self.complete else ["", INCOMPLETE, *(f"Failed: {text}." for text in self.failed)]
        return "\n".join([conditions, "", self.table(), *requests, *incomplete])

    def _line(self, row: Row) -> list[str]:
        measured = [self.figures[subject.title][row.key] for subject in self.subjects]
        theirs = self.figures[self.peer.title][row.key] if self.peer else []
        goal = row.goal(median(measured[-1]), median(theirs) if theirs else None) if measured[-1] else ""
        return [row.what, *(text_of(values, row.unit) if values else "" for values in measured), goal]

    async def _measure(self, ready: Testbed) -> None:
        steps, measured = Steps(ready), self.figures[ready.subject.title]
        for step in (self._posted, self._still, self._single, self._restart):
            await step(steps, measured)
            self.save()

    async def _posted(self, steps: Steps, measured: Measured) -> None:
        ready = steps.testbed
        await steps.start()
        before = await steps.settled()
        _add(measured, "memory idle", before.usage.memory)
        targets = steps.targets(ready.secrets)
        before, started = await steps.counts(), now()
        _add(measured, "posting", await steps.post(ready.secrets))
        last = await last_of(targets, 60 + self.size.objects / 10)
        cpu = usage_of(ready.program.pid).cpu - before.usage.cpu
        settled = (await steps.settled()).since(before)
        _add(measured, "all", last - started)
        _add(measured, "cpu", cpu)
        _add(measured, "cpu settled", settled.usage.cpu)
        # Rounded: some lists belong to the operator, not to an object.
        requests, events = settled.requests.total(), events_of(settled.requests)
        _add(measured, "requests", round(requests / self.size.objects, 1))
        _add(measured, "critical", round((requests - events) / self.size.objects, 1))
        _add(measured, "writes", writes_of(settled.requests) / self.size.objects)
        _add(measured, "gets", settled.calls["get"] / self.size.objects)
        _add(measured, "memory", settled.usage.memory)
        _add(measured, "memory peak", peak_memory(ready.program.pid))
        self._add_requests(steps, settled, "for each object", per=self.size.objects)

    async def _still(self, steps: Steps, measured: Measured) -> None:
        before = await steps.counts()
        await steps.wait(self.size.minute)
        used = (await steps.counts()).since(before)
        _add(measured, "still cpu", used.usage.cpu)
        _add(measured, "still gets", used.calls["get"])
        _add(measured, "still lists", used.calls["list"])
        _add(measured, "still logins", used.calls["token"])
        _add(measured, "still requests", used.requests.total())
        _add(measured, "still writes", writes_of(used.requests))
        self._add_requests(steps, used, f"in {self.size.minute} seconds in which nothing changes", per=1)

    async def _single(self, steps: Steps, measured: Measured) -> None:
        secrets = steps.testbed.secrets[-self.size.samples :]
        for index, secret in enumerate(secrets):
            _add(measured, "new", await steps.newcomer(secret, f"new-{index}"))
            _add(measured, "tampered", await steps.tampered(secret))
        await steps.forgotten()
        for secret in secrets:
            _add(measured, "deleted", await steps.deleted(secret))

    def _add_requests(self, steps: Steps, used: Counts, when: str, *, per: int) -> None:
        counts = {kind: count / per for kind, count in sorted(used.requests.items()) if count / per >= 0.005}
        kinds = ", ".join(f"{short(round(count, 2))} {kind}" for kind, count in counts.items())
        self.requests[f"{steps.testbed.subject.title}, {when}"] = kinds or "none"

    async def _restart(self, steps: Steps, measured: Measured) -> None:
        program = steps.testbed.program
        before = await steps.settled()
        program.close()
        started = now()
        program.start()
        await steps.wait(started + self.size.minute - now())
        after = await steps.counts()
        used = after.since(before)
        _add(measured, "restart cpu", after.usage.cpu)
        _add(measured, "restart gets", used.calls["get"])
        _add(measured, "restart writes", writes_of(used.requests))
        _add(measured, "restart memory", after.usage.memory)


def _add(measured: Measured, key: str, value: float) -> None:
    measured[key].append(value)
    with suppress(StopIteration):
        row = next(row for section in rows(Size(0, 0)).values() for row in section if row.key == key)
        print(f"   {row.what}: {text_of([value], row.unit)}", flush=True)
