"""Credentials for tests give tokens at once and remember what they were asked for."""

from datetime import timedelta

from azure.core.credentials import SupportsTokenInfo, TokenCredential
from azure.core.credentials_async import AsyncSupportsTokenInfo, AsyncTokenCredential

from kvsecrets._fake.credentials import AsyncFakeCredential, FakeCredential, Login
from tests.unit.kvsecrets.fake.builders import STAMP, Clock


def test_every_token_is_another_one_and_lives_as_long_as_wanted() -> None:
    credential = FakeCredential(lifetime=timedelta(minutes=5), clock=Clock())

    first, second = credential.get_token("scope"), credential.get_token_info("scope")

    assert first.token != second.token
    assert first.expires_on == second.expires_on == STAMP + 300


def test_it_remembers_scopes_tenant_and_claims() -> None:
    credential = FakeCredential()

    credential.get_token_info("scope", options={"tenant_id": "t", "claims": "c", "enable_cae": True})

    assert credential.logins == [Login(("scope",), "t", "c", enable_cae=True)]


async def test_the_twin_for_asyncio_does_the_same() -> None:
    async with AsyncFakeCredential(clock=Clock()) as credential:
        token = await credential.get_token("scope", tenant_id="t")
        info = await credential.get_token_info("scope")

    assert (token.expires_on, info.token_type) == (STAMP + 3600, "Bearer")
    assert credential.logins == [Login(("scope",), "t"), Login(("scope",))]


def test_they_are_credentials_to_azure_core() -> None:
    assert isinstance(FakeCredential(), TokenCredential)
    assert isinstance(FakeCredential(), SupportsTokenInfo)
    assert isinstance(AsyncFakeCredential(), AsyncTokenCredential)
    assert isinstance(AsyncFakeCredential(), AsyncSupportsTokenInfo)
