"""httpx speaks to an answering function through the transport, sync and async."""

import socket

import httpx
import pytest

from kvsecrets._fake.transport import FakeTransport
from kvsecrets._wire import Request, Response

URL = "https://fake.vault.azure.net"


def echo(request: Request) -> Response:
    return Response(201, {"x-asked": f"{request.method} {request.url} {request.headers['x-a']}"}, request.body)


def transport(*, is_open: bool = True) -> FakeTransport:
    return FakeTransport(URL, echo, lambda: is_open)


def test_a_request_reaches_the_function_whole_and_so_does_its_answer_the_client() -> None:
    with httpx.Client(transport=transport()) as client:
        answer = client.put(f"{URL}/a?b=c", content=b"body", headers={"X-A": "1"})

    assert (answer.status_code, answer.content) == (201, b"body")
    assert answer.headers["x-asked"] == f"PUT {URL}/a?b=c 1"


async def test_the_same_under_asyncio() -> None:
    async with httpx.AsyncClient(transport=transport()) as client:
        answer = await client.put(f"{URL}/a", content=b"body", headers={"X-A": "1"})

    assert (answer.status_code, answer.content) == (201, b"body")


@pytest.mark.parametrize("url", ["https://other.vault.azure.net/a", f"{URL}:8443/a"])
def test_no_other_host_and_no_other_port_exists(url: str) -> None:
    with httpx.Client(transport=transport()) as client, pytest.raises(httpx.ConnectError, match="not known"):
        client.get(url)


def test_a_host_that_does_not_exist_is_told_as_the_system_tells_it() -> None:
    with httpx.Client(transport=transport()) as client, pytest.raises(httpx.ConnectError) as caught:
        client.get("https://other.vault.azure.net")

    assert isinstance(caught.value.__cause__, socket.gaierror)
    assert caught.value.__cause__.errno == socket.EAI_NONAME


def test_the_default_port_may_be_written_out() -> None:
    with httpx.Client(transport=transport()) as client:
        assert client.get(f"{URL}:443/a", headers={"X-A": ""}).status_code == 201


def test_a_closed_door_refuses_the_connection() -> None:
    with httpx.Client(transport=transport(is_open=False)) as client, pytest.raises(httpx.ConnectError, match="refused"):
        client.get(URL)
