"""The operator's own identity: which ways it tries, by what the environment says."""

import asyncio
from collections.abc import AsyncIterator
from typing import Self

import pytest
from azure.core.credentials import AccessTokenInfo, TokenRequestOptions
from azure.core.pipeline.transport import AioHttpTransport

from vaultsync.adapters.identities.credentials import own_credential
from vaultsync.adapters.identities.instrumented import InstrumentedCredential

WORKLOAD = {
    "AZURE_TENANT_ID": "00000000-0000-0000-0000-000000000001",
    "AZURE_CLIENT_ID": "00000000-0000-0000-0000-000000000002",
    "AZURE_FEDERATED_TOKEN_FILE": "/var/run/secrets/azure/tokens/azure-identity-token",
}


NOT_HERE = "AsyncFailedDACCredential"
"""Stands in the chain for a way whose environment is not there."""


@pytest.fixture
async def transport() -> AsyncIterator[AioHttpTransport]:
    async with AioHttpTransport() as transport:
        yield transport


async def ways(transport: AioHttpTransport, authority: str = "") -> list[str]:
    async with own_credential(authority, transport) as identity:
        names = [type(credential).__name__ for credential in identity.credentials]
    return [name for name in names if name != NOT_HERE]


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_CLIENT_SECRET", "AZURE_TOKEN_CREDENTIALS", *WORKLOAD):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("authority", ["", "https://login.microsoftonline.us"])
async def test_no_credential_is_interactive_or_of_a_developer_tool(transport: AioHttpTransport, authority: str) -> None:
    assert await ways(transport, authority) == ["EnvironmentCredential", "ManagedIdentityCredential"]


@pytest.mark.parametrize("authority", ["", "https://login.microsoftonline.us"])
async def test_a_pod_with_workload_identity_uses_it_before_the_nodes_identity(
    transport: AioHttpTransport, authority: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in WORKLOAD.items():
        monkeypatch.setenv(name, value)

    assert await ways(transport, authority) == [
        "EnvironmentCredential",
        "WorkloadIdentityCredential",
        "ManagedIdentityCredential",
    ]


class Credential:
    """Returns a token, or raises."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses = refuses
        self.requested: list[tuple[tuple[str, ...], TokenRequestOptions | None]] = []

    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        self.requested.append((scopes, options))
        if self.refuses:
            raise PermissionError("no")
        return AccessTokenInfo("a token", 4_000_000_000)

    async def close(self) -> None:
        """Nothing is open."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""


class Tally:
    """How logins ended."""

    def __init__(self) -> None:
        self.results: list[str] = []

    def login(self, result: str) -> None:
        self.results.append(result)


async def test_a_token_is_returned_and_counted() -> None:
    credential, tally = Credential(), Tally()

    token = await InstrumentedCredential(credential, count=tally.login).get_token_info(
        "scope", options={"enable_cae": True}
    )

    assert token.token == "a token"
    assert credential.requested == [(("scope",), {"enable_cae": True})]
    assert tally.results == ["issued"]


async def test_a_failed_login_is_raised_and_counted() -> None:
    tally = Tally()

    with pytest.raises(PermissionError):
        await InstrumentedCredential(Credential(refuses=True), count=tally.login).get_token_info("scope")

    assert tally.results == ["refused"]


class SilentCredential(Credential):
    """Gets no answer to its request."""

    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_login_without_an_answer_fails_at_the_time_limit() -> None:
    tally = Tally()

    with pytest.raises(TimeoutError):
        await InstrumentedCredential(SilentCredential(), count=tally.login, seconds=0.0).get_token_info("scope")

    assert tally.results == ["refused"]


class CountedCredential:
    """Returns another token each time, when it is allowed to."""

    def __init__(self) -> None:
        self.requests = 0
        self.allowed = asyncio.Event()

    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        self.requests += 1
        number = self.requests
        await self.allowed.wait()
        return AccessTokenInfo(f"token-{number}", 2_000_000_000)

    async def close(self) -> None:
        """There is nothing to close."""


async def test_equal_requests_at_the_same_time_get_the_same_token() -> None:
    counted = CountedCredential()
    credential = InstrumentedCredential(counted, count=lambda _: None)
    waiting = [asyncio.create_task(credential.get_token_info("scope")) for _ in range(3)]
    other = asyncio.create_task(credential.get_token_info("scope", options={"claims": "{}"}))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting[0].cancel()
    counted.allowed.set()

    tokens = {(await one).token for one in (*waiting[1:], other)}
    later = await credential.get_token_info("scope")

    assert (tokens, later.token, counted.requests) == ({"token-1", "token-2"}, "token-3", 3)


async def test_closing_ends_the_requests_in_flight() -> None:
    credential = InstrumentedCredential(CountedCredential(), count=lambda _: None)
    waiting = asyncio.create_task(credential.get_token_info("scope"))
    await asyncio.sleep(0)

    await credential.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting
