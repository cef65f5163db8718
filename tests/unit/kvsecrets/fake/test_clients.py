"""Fake credentials and the transport of a fake vault."""

import socket
from datetime import timedelta

import httpx
import pytest
from azure.core.credentials import SupportsTokenInfo, TokenCredential
from azure.core.credentials_async import AsyncSupportsTokenInfo, AsyncTokenCredential

from kvsecrets._fake.clients import AsyncFakeCredential, FakeCredential, FakeTransport, Login
from kvsecrets._protocol import Request, Response
from tests.unit.kvsecrets.fake.builders import STAMP, Clock


def test_each_token_is_new_and_has_the_given_lifetime() -> None:
    credential = FakeCredential(lifetime=timedelta(minutes=5), clock=Clock())

    first, second = credential.get_token("scope"), credential.get_token_info("scope")

    assert first.token != second.token
    assert first.expires_on == second.expires_on == STAMP + 300


def test_logins_records_scopes_tenant_and_claims() -> None:
    credential = FakeCredential()

    credential.get_token_info("scope", options={"tenant_id": "t", "claims": "c", "enable_cae": True})

    assert credential.logins == [Login(("scope",), "t", "c", enable_cae=True)]


async def test_the_credential_for_asyncio_does_the_same() -> None:
    async with AsyncFakeCredential(clock=Clock()) as credential:
        token = await credential.get_token("scope", tenant_id="t")
        info = await credential.get_token_info("scope")

    assert (token.expires_on, info.token_type) == (STAMP + 3600, "Bearer")
    assert credential.logins == [Login(("scope",), "t"), Login(("scope",))]


def test_they_match_the_protocols_of_azure_core() -> None:
    assert isinstance(FakeCredential(), TokenCredential)
    assert isinstance(FakeCredential(), SupportsTokenInfo)
    assert isinstance(AsyncFakeCredential(), AsyncTokenCredential)
    assert isinstance(AsyncFakeCredential(), AsyncSupportsTokenInfo)


# The transport.

URL = "https://fake.vault.azure.net"


def echo(request: Request) -> Response:
    return Response(201, {"x-request": f"{request.method} {request.url} {request.headers['x-a']}"}, request.body)


def transport(*, is_open: bool = True) -> FakeTransport:
    return FakeTransport(URL, echo, lambda: is_open)


def test_request_and_response_are_passed_on_unchanged() -> None:
    with httpx.Client(transport=transport()) as client:
        response = client.put(f"{URL}/a?b=c", content=b"body", headers={"X-A": "1"})

    assert (response.status_code, response.content) == (201, b"body")
    assert response.headers["x-request"] == f"PUT {URL}/a?b=c 1"


async def test_request_and_response_are_passed_on_unchanged_async() -> None:
    async with httpx.AsyncClient(transport=transport()) as client:
        response = await client.put(f"{URL}/a", content=b"body", headers={"X-A": "1"})

    assert (response.status_code, response.content) == (201, b"body")


@pytest.mark.parametrize("url", ["https://other.vault.azure.net/a", f"{URL}:8443/a"])
def test_other_hosts_and_ports_do_not_resolve(url: str) -> None:
    with httpx.Client(transport=transport()) as client, pytest.raises(httpx.ConnectError, match="not known"):
        client.get(url)


def test_an_unknown_host_has_the_error_of_the_system() -> None:
    with httpx.Client(transport=transport()) as client, pytest.raises(httpx.ConnectError) as caught:
        client.get("https://other.vault.azure.net")

    assert isinstance(caught.value.__cause__, socket.gaierror)
    assert caught.value.__cause__.errno == socket.EAI_NONAME


def test_the_default_port_can_be_given() -> None:
    with httpx.Client(transport=transport()) as client:
        assert client.get(f"{URL}:443/a", headers={"X-A": ""}).status_code == 201


def test_a_closed_transport_refuses_the_connection() -> None:
    with httpx.Client(transport=transport(is_open=False)) as client, pytest.raises(httpx.ConnectError, match="refused"):
        client.get(URL)
