"""Measures the client library that is installed where it runs, so that import and memory are its own; prints JSON.

The two libraries name things alike, so what is measured is the same code for both. It imports nothing before the
library that the library would have to import itself.
"""

import json
import re
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Self

WARM_UP = 20
CLIENTS = 100
"""How many clients are made and used at the end, to measure what each of them keeps in memory."""


class AccessToken(NamedTuple):
    """A token as credentials return it."""

    token: str
    expires_on: int
    token_type: str = "Bearer"  # noqa: S105 - a kind of token, no password
    refresh_on: int | None = None


class Credential:
    """Returns a token that was requested before: the login is not measured."""

    def __init__(self, token: AccessToken) -> None:
        self._token = token

    def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
        """Return the token."""
        return self._token


class AsyncCredential(Credential):
    """The same for asyncio."""

    async def get_token(self, *_scopes: str, **_options: object) -> AccessToken:  # type: ignore[override]  # a twin, not a stand-in
        """Return the token."""
        return self._token

    async def close(self) -> None:
        """Do nothing."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...


class Meter:
    """The cost of some work: elapsed time, and CPU time."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self, calls: int) -> dict[str, float]:
        """Return milliseconds per call."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return {"wall": wall * 1000 / calls, "cpu": cpu * 1000 / calls}


def kvsecrets_threads(url: str, token: AccessToken) -> Any:  # noqa: ANN401 - the libraries share no type
    """Import and create kvsecrets for threads."""
    from kvsecrets import SecretClient  # noqa: PLC0415 - importing is what is measured

    return SecretClient(url, Credential(token))


def kvsecrets_asyncio(url: str, token: AccessToken) -> Any:  # noqa: ANN401
    """Import and create kvsecrets for asyncio."""
    from kvsecrets import AsyncSecretClient  # noqa: PLC0415

    return AsyncSecretClient(url, AsyncCredential(token))


def azure_threads(url: str, token: AccessToken) -> Any:  # noqa: ANN401
    """Import and create the vendor's client for threads."""
    from azure.keyvault.secrets import SecretClient  # noqa: PLC0415

    return SecretClient(url, Credential(token), verify_challenge_resource=False)  # type: ignore[arg-type]  # it returns tokens


def azure_asyncio(url: str, token: AccessToken) -> Any:  # noqa: ANN401
    """Import and create the vendor's client for asyncio."""
    from azure.keyvault.secrets.aio import SecretClient  # noqa: PLC0415

    return SecretClient(url, AsyncCredential(token), verify_challenge_resource=False)  # type: ignore[arg-type]  # it returns tokens


def many_threads(make: Callable[[], Any], name: str) -> float:
    """Make many clients, use each once, and return the memory that the process has with them, in MB."""
    with ExitStack() as stack:
        for _ in range(CLIENTS):
            stack.enter_context(make()).get_secret(name)
        return _memory("VmRSS")


def many_asyncio(make: Callable[[], Any], name: str) -> float:
    """The same for asyncio."""
    import asyncio  # noqa: PLC0415 - not before the library is imported

    async def work() -> float:
        async with AsyncExitStack() as stack:
            for _ in range(CLIENTS):
                client = await stack.enter_async_context(make())
                await client.get_secret(name)
            return _memory("VmRSS")

    return asyncio.run(work())


def measure_threads(client: Any, names: list[str], gets: int, at_once: int) -> dict[str, dict[str, float]]:  # noqa: ANN401 - as above
    """Measure a client for threads."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - not before the library is imported

    with client, ThreadPoolExecutor(at_once) as pool:
        meter = Meter()
        client.get_secret(names[0])
        first = meter.read(1)
        wanted = [names[number % len(names)] for number in range(gets)]
        for name in wanted[:WARM_UP]:
            client.get_secret(name)
        meter = Meter()
        for name in wanted:
            client.get_secret(name)
        one_by_one = meter.read(gets)
        list(pool.map(client.get_secret, wanted[: at_once * 2]))
        meter = Meter()
        list(pool.map(client.get_secret, wanted))
        together = meter.read(gets)
        meter = Meter()
        listed = sum(1 for _ in client.list_properties_of_secrets())
        listing = meter.read(1)
    assert listed == len(names), listed
    return {"first": first, "one_by_one": one_by_one, "at_once": together, "listing": listing}


def measure_asyncio(client: Any, names: list[str], gets: int, at_once: int) -> dict[str, dict[str, float]]:  # noqa: ANN401 - as above
    """Measure a client for asyncio."""
    import asyncio  # noqa: PLC0415 - not before the library is imported

    async def measure() -> dict[str, dict[str, float]]:
        async with client:
            meter = Meter()
            await client.get_secret(names[0])
            first = meter.read(1)
            wanted = [names[number % len(names)] for number in range(gets)]

            async def work(share: list[str]) -> None:
                for name in share:
                    await client.get_secret(name)

            async def share_out(work_of: list[str]) -> None:
                await asyncio.gather(*(work(work_of[first::at_once]) for first in range(at_once)))

            await work(wanted[:WARM_UP])
            meter = Meter()
            await work(wanted)
            one_by_one = meter.read(gets)
            await share_out(wanted[: at_once * 2])
            meter = Meter()
            await share_out(wanted)
            together = meter.read(gets)
            meter = Meter()
            listed = len([each async for each in client.list_properties_of_secrets()])
            listing = meter.read(1)
        assert listed == len(names), listed
        return {"first": first, "one_by_one": one_by_one, "at_once": together, "listing": listing}

    return asyncio.run(measure())


SUBJECTS = {
    ("kvsecrets", "threads"): (kvsecrets_threads, measure_threads, many_threads),
    ("kvsecrets", "asyncio"): (kvsecrets_asyncio, measure_asyncio, many_asyncio),
    ("azure", "threads"): (azure_threads, measure_threads, many_threads),
    ("azure", "asyncio"): (azure_asyncio, measure_asyncio, many_asyncio),
}
"""The installed library decides between the two."""


def main() -> None:
    """Read the task from standard input, measure, and print the figures."""
    task = json.loads(sys.stdin.read())
    build, measure, many = SUBJECTS["kvsecrets" if find_spec("kvsecrets") else "azure", task["twin"]]
    make = partial(build, task["url"], AccessToken(task["token"], task["expires_on"]))
    meter = Meter()
    client = make()
    start = {"start": meter.read(1), "memory": _memory("VmRSS")}
    figures = {**measure(client, task["names"], task["gets"], task["at_once"]), "peak": _memory("VmHWM")}
    print(json.dumps({**start, **figures, "many": many(make, task["names"][0])}))


def _memory(line: str) -> float:
    """Read the memory of this process, in MB: `VmRSS` is what it has now, `VmHWM` the most that it has had."""
    found = re.search(rf"^{line}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
