"""The API server as the benchmark uses it: many objects at once, the times of changes of Secrets, its counters."""

import asyncio
import base64
import json
import re
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp

from tests.controlplane.cluster import KubectlFailed

_AT_ONCE = 16
_READS = frozenset({"GET", "LIST"})
_OF_INTEREST = frozenset({"secrets", "vaultsecrets", "externalsecrets", "secretstores", "serviceaccounts", "events"})
_REQUESTS = re.compile(r"^apiserver_request_total\{(?P<labels>.*)\} (?P<count>\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')

Data = Mapping[str, str]
"""The data of a Secret, decoded."""


class ApiServer:
    """The API server, with its administrator's rights."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._own: Counter[str] = Counter()
        """The benchmark's own requests, as the API server counts them."""

    @classmethod
    @asynccontextmanager
    async def connect(cls, config: Mapping[str, Any]) -> AsyncIterator[Self]:
        """Connect with a kubeconfig of the local control plane."""
        cluster = config["clusters"][0]["cluster"]
        trusted = ssl.create_default_context(cafile=cluster["certificate-authority"])
        token = config["users"][0]["user"]["token"]
        async with aiohttp.ClientSession(
            cluster["server"],
            connector=aiohttp.TCPConnector(ssl=trusted),
            headers={"Authorization": f"Bearer {token}"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        ) as session:
            yield cls(session)

    async def request(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401  JSON
        """Send a request and read the response.

        Raises:
            KubectlFailed: The server refused.
        """
        self._own[counted_as(method, path)] += 1
        async with self._session.request(method, path, json=document) as response:
            answer = await response.json()
            if not response.ok:
                raise KubectlFailed(f"{method} {path}: {answer.get('message')}")
            return answer

    async def create_all(self, path: str, documents: Iterable[Mapping[str, Any]]) -> None:
        """Create many objects of one kind, as fast as the server accepts them."""
        left = iter(documents)

        async def work() -> None:
            for document in left:
                await self.request("POST", path, document)

        await asyncio.gather(*(work() for _ in range(_AT_ONCE)))

    async def clear(self, path: str) -> None:
        """Delete all objects of one kind, and wait until they are gone."""
        while (await self.request("GET", f"{path}?limit=1"))["items"]:
            await self.request("DELETE", path)

    async def lines(self, path: str) -> AsyncIterator[bytes]:
        """Stream a response, such as that of a watch."""
        async with self._session.get(path) as response:
            async for line in response.content:
                yield line

    async def requests(self) -> Counter[str]:
        """Return the number of requests so far, such as `APPLY secrets`, without watches and the benchmark's own.

        https://kubernetes.io/docs/reference/instrumentation/metrics/
        """
        async with self._session.get("/metrics") as response:
            text = await response.text()
        counts: Counter[str] = Counter()
        for match in _REQUESTS.finditer(text):
            labels = dict(_LABEL.findall(match["labels"]))
            if labels["resource"] in _OF_INTEREST and labels["verb"] != "WATCH":
                part = f"/{labels['subresource']}" if labels["subresource"] else ""
                counts[f"{labels['verb']} {labels['resource']}{part}"] += int(float(match["count"]))
        counts.subtract(self._own)
        return counts


def writes_of(requests: Counter[str]) -> int:
    """Return how many of some requests are writes."""
    return sum(count for kind, count in requests.items() if kind.partition(" ")[0] not in _READS)


def events_of(requests: Counter[str]) -> int:
    """Return how many of some requests are of events."""
    return sum(count for kind, count in requests.items() if kind.endswith(" events"))


def counted_as(method: str, path: str) -> str:
    """Return a request as the API server counts it; an object's name comes last in its path."""
    parts = path.partition("?")[0].strip("/").split("/")
    collection = parts[-1] in _OF_INTEREST
    verb = {"GET": "LIST", "DELETE": "DELETECOLLECTION"}.get(method, method) if collection else method
    return f"{verb} {parts[-1] if collection else parts[-2]}"


class Arrivals:
    """Records when a Secret first has the expected data, by the loop's clock.

    Args:
        api: The API server.
        path: The URL path of the Secrets of one namespace.
    """

    def __init__(self, api: ApiServer, path: str) -> None:
        self._api = api
        self._path = path
        self._awaited: dict[str, tuple[Data, asyncio.Future[float]]] = {}
        self.arrived: list[str] = []
        """The names of those that were awaited, in the order in which they came."""

    def of(self, name: str, data: Data) -> asyncio.Future[float]:
        """Return a future of the next moment at which that Secret is written with exactly that data."""
        moment: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._awaited[name] = (data, moment)
        return moment

    @classmethod
    @asynccontextmanager
    async def watch(cls, api: ApiServer, path: str) -> AsyncIterator[Self]:
        """Watch within the context, from now on."""
        arrivals = cls(api, path)
        position = (await api.request("GET", f"{arrivals._path}?limit=1"))["metadata"]["resourceVersion"]
        following = asyncio.create_task(arrivals._follow(position))
        try:
            yield arrivals
        finally:
            following.cancel()

    async def _follow(self, position: str) -> None:
        while True:
            query = f"watch=true&allowWatchBookmarks=true&timeoutSeconds=3600&resourceVersion={position}"
            async for line in self._api.lines(f"{self._path}?{query}"):
                event = json.loads(line)
                position = event["object"]["metadata"]["resourceVersion"]
                if event["type"] in {"ADDED", "MODIFIED"}:
                    self._see(event["object"])

    def _see(self, secret: Mapping[str, Any]) -> None:
        name = secret["metadata"]["name"]
        awaited, moment = self._awaited.get(name, (None, None))
        if moment is None or awaited != _decoded(secret):
            return
        del self._awaited[name]
        self.arrived.append(name)
        moment.set_result(asyncio.get_running_loop().time())


def _decoded(secret: Mapping[str, Any]) -> Data:
    return {key: base64.b64decode(content).decode() for key, content in (secret.get("data") or {}).items()}
