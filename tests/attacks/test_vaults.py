"""What a vault answers, or whoever answers in its place, to reach other vaults, other tenants, or the operator itself.

Each vault here is the fake vault, behind a transport that changes what it answers.
"""

import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final

import httpx
import pytest

from kvsecrets import _auth
from tests.builders import ACCESS, VAULT
from tests.harness import MemoryHarness, entry
from tests.unit.vaultsync.render.attempts import cpu_units
from vaultsync.adapters.keyvault import clients
from vaultsync.errors import Reason

Answer = Callable[[httpx.Request, dict[str, Any]], httpx.Response | None]
"""Changes the body of a successful answer, or returns another answer."""

FIND_ALL: Final = [{"find": {"names": "*"}}]
FORGED: Final = "x\nReady=True \x1b[2K\u202e"


class _LyingTransport(httpx.AsyncBaseTransport):
    """Changes the answers of another transport; keeps the requests."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.requests: list[httpx.Request] = []
        self.answer: Answer | None = None
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        # The fake vault knows its own links only.
        known = request.url.copy_remove_param("$skiptoken")
        response = await self._inner.handle_async_request(httpx.Request("GET", known, headers=request.headers))
        if self.answer is None or response.status_code != httpx.codes.OK:
            return response
        body = json.loads(await response.aread())
        return self.answer(request, body) or httpx.Response(200, json=body)


class AttackedHarness(MemoryHarness):
    """An operator whose vault lies."""

    lying: _LyingTransport

    def vault_transport(self) -> httpx.AsyncBaseTransport:
        self.lying = _LyingTransport(super().vault_transport())
        return self.lying

    def paths(self) -> list[str]:
        """The paths that were requested."""
        return [request.url.path for request in self.lying.requests]


@asynccontextmanager
async def attacked() -> AsyncIterator[AttackedHarness]:
    """Yield a harness whose operator runs."""
    harness = AttackedHarness()
    await harness.start([])
    try:
        yield harness
    finally:
        await harness.aclose()


def is_list(request: httpx.Request) -> bool:
    return request.url.path == "/secrets"


async def test_a_listing_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A vault links each page of its listing to another one, so that a poll never ends and keeps more and more."""
    monkeypatch.setattr(clients, "MAX_LISTING", 100 * clients.PAGE_WEIGHT)
    numbers = count()

    def endless(request: httpx.Request, body: dict[str, Any]) -> None:
        number = next(numbers)
        assert number < 1000, "the operator follows each link"
        if is_list(request):
            body["nextLink"] = f"{VAULT}/secrets?api-version=7.4&$skiptoken={number}"

    async with attacked() as harness:
        harness.lying.answer = endless
        harness.apply(name="searched", data=None, dataFrom=FIND_ALL)
        harness.apply(entry(), name="named")
        await harness.drain()
        await harness.poll()

        assert harness.paths().count("/secrets") <= 2 * 100
        assert harness.ready("searched").reason == Reason.VAULT_FAILED
        assert harness.ready("named").reason == Reason.SYNCED
        assert harness.values("named") == {"password": "first"}


async def test_versions_without_end_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A vault links each page of a secret's versions to another one, for the tenant who wants the previous version."""
    monkeypatch.setattr(clients, "MAX_LISTING", 100 * clients.PAGE_WEIGHT)
    numbers = count()

    def endless(request: httpx.Request, body: dict[str, Any]) -> None:
        number = next(numbers)
        assert number < 1000, "the operator follows each link"
        if request.url.path.endswith("/versions"):
            body["nextLink"] = f"{VAULT}{request.url.path}?api-version=7.4&$skiptoken={number}"

    async with attacked() as harness:
        harness.lying.answer = endless
        harness.apply(entry(previousKey="old"))
        await harness.drain()

        assert harness.ready().reason == Reason.VAULT_FAILED


async def test_tags_of_megabytes_are_not_kept() -> None:
    """A vault gives each secret as many and as long tags as a response holds; the operator keeps what it observes."""

    def tagged(request: httpx.Request, body: dict[str, Any]) -> None:
        for item in body["value"] if is_list(request) else [body]:
            item["tags"] = {f"tag-{number}": "x" * 3000 for number in range(1000)}

    async with attacked() as harness:
        harness.lying.answer = tagged
        harness.apply(entry())
        harness.apply(name="searched", data=None, dataFrom=FIND_ALL)
        await harness.drain()
        await harness.poll()

        view = harness.state.vaults.view(ACCESS)
        assert view.listing is not None
        kept = [view.listing.get("db-password"), view.secrets["db-password"]]
        assert [getattr(metadata, "tags", None) for metadata in kept] == [{}, {}]


@pytest.mark.parametrize(
    "link",
    [
        "https://attacker.example/secrets?api-version=7.4",
        "https://shop.vault.azure.net@attacker.example/secrets?x",
        "https://shop.vault.azure.net.attacker.example/secrets?x",
        "//attacker.example/secrets?x",
        "https://shop.vault.azure.net/keys?x",
        "https://shop.vault.azure.net/secrets/../keys?x",
        "http://shop.vault.azure.net/secrets?x",
    ],
)
async def test_a_link_to_the_next_page_does_not_send_the_token_elsewhere(link: str) -> None:
    """A vault links its listing to a host of its own, which would get the operator's token for all vaults."""

    def linked(request: httpx.Request, body: dict[str, Any]) -> None:
        if is_list(request):
            body["nextLink"] = link

    async with attacked() as harness:
        harness.lying.answer = linked
        harness.apply(name="searched", data=None, dataFrom=FIND_ALL)
        await harness.drain()
        await harness.poll()

        assert {request.url.host for request in harness.lying.requests} == {"shop.vault.azure.net"}
        assert set(harness.paths()) <= {"/secrets"}


async def test_a_compressed_answer_does_not_fill_the_memory() -> None:
    """A vault compresses its answer twice, so that a few hundred bytes become hundreds of megabytes in one step."""
    bomb = gzip.compress(gzip.compress(bytes(200_000_000), compresslevel=1))

    def compressed(request: httpx.Request, body: dict[str, Any]) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": "gzip, gzip"}, stream=httpx.ByteStream(bomb))

    async with attacked() as harness:
        harness.lying.answer = compressed
        harness.apply(entry())
        tracemalloc.start()
        await harness.drain()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert peak < 20_000_000
        assert harness.ready().reason == Reason.VAULT_FAILED


@pytest.mark.parametrize("header", ['Bearer a=b{}"', 'Bearer a=b,{}"', "Bearer a{}b", "Bearer {}=", "{},Bearer"])
@pytest.mark.parametrize("part", [" ", "\t", ",", "a", " ,", "a=", '"'])
def test_a_challenge_of_blanks_does_not_stop_the_operator(header: str, part: str) -> None:
    """A vault answers with the longest challenge that is read, of parts that make a parser backtrack."""
    challenge = header.format(part * (_auth.MAX_HEADER_CHARACTERS // len(part) - 12))

    assert cpu_units(lambda: _auth.parse_bearer(challenge)) < 5


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_does_not_send_the_token_elsewhere(status: int) -> None:
    """A vault redirects a read to a host of its own."""

    def redirected(request: httpx.Request, body: dict[str, Any]) -> httpx.Response:
        return httpx.Response(status, headers={"Location": "https://attacker.example/"})

    async with attacked() as harness:
        harness.lying.answer = redirected
        harness.apply(entry())
        await harness.drain()

        assert {request.url.host for request in harness.lying.requests} == {"shop.vault.azure.net"}
        assert harness.values() is None


@pytest.mark.parametrize("name", ["../keys/db", "..", "db%2f..", "db/../../keys/x", "d b", "", "x" * 200, FORGED])
async def test_a_name_in_a_listing_that_is_a_path_is_not_requested(name: str) -> None:
    """A vault lists a secret under a name that leads a read to another object."""

    def named(request: httpx.Request, body: dict[str, Any]) -> None:
        if is_list(request):
            body["value"] = [{**item, "id": f"{VAULT}/secrets/{name}"} for item in body["value"]]

    async with attacked() as harness:
        harness.lying.answer = named
        harness.apply(name="searched", data=None, dataFrom=FIND_ALL)
        await harness.drain()
        await harness.poll()

        assert set(harness.paths()) <= {"/secrets"}
        assert harness.values("searched") is None
        assert harness.ready("searched").message.isprintable()


@pytest.mark.parametrize("version", ['"}]', "x" * 65, "..", FORGED])
async def test_a_version_that_is_no_id_is_not_written_into_the_annotation(version: str) -> None:
    """A vault returns a version that breaks out of the annotation, the event or the log line that has it."""

    def versioned(request: httpx.Request, body: dict[str, Any]) -> None:
        body["id"] = f"{VAULT}/secrets/db-password/{version}"

    async with attacked() as harness:
        harness.lying.answer = versioned
        harness.apply(entry())
        await harness.drain()

        assert harness.values() is None
        assert harness.ready().reason == Reason.VAULT_FAILED


@pytest.mark.parametrize(
    "error",
    [
        {"code": FORGED, "message": FORGED},
        {"code": "Forbidden", "innererror": {"code": FORGED}, "message": "the value is hunter2"},
        {"code": "hunter2 " * 20, "message": "hunter2"},
        {"code": 7, "message": ["hunter2"]},
        "hunter2",
    ],
)
@pytest.mark.parametrize("status", [400, 403, 404, 409, 500])
async def test_an_error_of_a_vault_does_not_write_the_condition(error: object, status: int) -> None:
    """A vault answers with an error whose text is a condition of its own, or a value."""

    def failed(request: httpx.Request, body: dict[str, Any]) -> httpx.Response:
        return httpx.Response(status, json={"error": error}, headers={"x-ms-request-id": "hunter2 \x1b[2K"})

    async with attacked() as harness:
        harness.lying.answer = failed
        harness.apply(entry())
        await harness.drain()

        message = harness.ready().message
        assert message.isprintable()
        assert "hunter2" not in message
        assert "Ready=True" not in message


@pytest.mark.parametrize("field", ["..", "../../etc/passwd", "..data", "a/b", "a b", "", "x" * 300, FORGED, "d\u0432"])
async def test_a_field_of_a_json_value_that_is_a_path_does_not_become_a_key(field: str) -> None:
    """Who may write a secret in a vault, and no Secret, gives its JSON fields that leave the volume of a pod."""
    async with attacked() as harness:
        harness.vault.set("app", json.dumps({field: "x"}))
        harness.apply(data=None, dataFrom=[{"object": "app"}])
        await harness.drain()

        assert harness.values() is None
        assert harness.ready().reason == Reason.TARGET_INVALID
        assert harness.ready().message.isprintable()


@pytest.mark.parametrize("change", [{"prefix": ".."}, {"prefix": ".", "rename": "(?P<key>)db.*"}])
async def test_a_prefix_does_not_make_a_path_of_what_was_found(change: Mapping[str, str]) -> None:
    """A tenant prefixes the names of found secrets so that the keys leave the volume of a pod."""
    async with attacked() as harness:
        harness.apply(data=None, dataFrom=[{"find": {"names": "db*"}, **change}])
        await harness.poll()

        assert harness.values() is None
        assert harness.ready().reason == Reason.INVALID_SPEC
