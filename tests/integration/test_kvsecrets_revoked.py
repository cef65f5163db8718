"""Revoked tokens, with azure-identity's own credentials: they cache tokens, and the clients get another one anyway."""

import itertools
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import azure.identity
import azure.identity.aio
import jwt
import pytest

from kvsecrets import AsyncSecretClient, NotAuthenticated, RetryPolicy, SecretClient
from kvsecrets._drivers import wall_clock
from kvsecrets._protocol import Request, Response, TokenRequest
from kvsecrets._tokens import AnyCredential, AsyncTokenProvider, SyncCredential
from kvsecrets.testing import Caller, FakeVault, TokenRefused
from tests.emulator.client import EmulatedVault, Emulator
from tests.emulator.listener import Listener
from tests.emulator.login import ASSERTION_AUDIENCE
from vaultsync.adapters.identities.instrumented import InstrumentedCredential

CLIENT = "c11e0000-0000-4000-8000-000000000003"
SUBJECT = "system:serviceaccount:shop:revoked"
NO_RETRIES = RetryPolicy(attempts=1)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Returns an emulator of this module's own: others keep their tokens."""
    with Emulator.start(tmp_path_factory.mktemp("emulator")) as running:
        yield running


def options(emulator: Emulator, kind: str, folder: Path) -> dict[str, Any]:
    common = {
        "tenant_id": emulator.tenant_id,
        "authority": emulator.login_url,
        "connection_verify": str(emulator.ca_file),
    }
    if kind == "ClientSecretCredential":
        return {**common, "client_id": emulator.client_id, "client_secret": emulator.client_secret}
    emulator.register(CLIENT, subjects=[SUBJECT])
    file = folder / "token"
    file.write_text(jwt.encode({"sub": SUBJECT, "aud": ASSERTION_AUDIENCE}, "k" * 32, algorithm="HS256"))
    return {**common, "client_id": CLIENT, "token_file_path": str(file)}


@pytest.fixture(params=["ClientSecretCredential", "WorkloadIdentityCredential"])
def credential(request: pytest.FixtureRequest, emulator: Emulator, tmp_path: Path) -> Iterator[Any]:
    kind = getattr(azure.identity, request.param)
    with kind(**options(emulator, request.param, tmp_path), disable_instance_discovery=True) as credential:
        yield credential


@pytest.fixture(params=["ClientSecretCredential", "WorkloadIdentityCredential"])
async def async_credential(request: pytest.FixtureRequest, emulator: Emulator, tmp_path: Path) -> AsyncIterator[Any]:
    kind = getattr(azure.identity.aio, request.param)
    async with kind(**options(emulator, request.param, tmp_path)) as credential:
        yield InstrumentedCredential(credential, count=lambda _: None)


@pytest.fixture
def vaults(emulator: Emulator) -> Iterator[tuple[EmulatedVault, EmulatedVault]]:
    names = ("revoked-1", "revoked-2")
    one, two = [emulator.add_vault(name) for name in names]
    one.set("db", "1")
    two.set("db", "2")
    yield one, two
    for name in names:
        emulator.remove_vault(name)


@pytest.fixture
def tls(emulator: Emulator) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=emulator.ca_file)


def test_a_client_for_threads_replaces_a_revoked_token(
    emulator: Emulator, credential: SyncCredential, vaults: tuple[EmulatedVault, EmulatedVault], tls: ssl.SSLContext
) -> None:
    one, two = vaults
    with (
        SecretClient(one.url, credential, ssl_context=tls, retry=NO_RETRIES) as first,
        SecretClient(two.url, credential, ssl_context=tls, retry=NO_RETRIES) as second,
    ):
        before = [first.get_secret("db").value.reveal(), second.get_secret("db").value.reveal()]
        logins = emulator.logins()["token"]
        emulator.revoke_tokens()
        after = [first.get_secret("db").value.reveal(), second.get_secret("db").value.reveal()]

    assert before == after == ["1", "2"]
    assert emulator.logins()["token"] == logins + 1


async def test_a_client_for_asyncio_replaces_a_revoked_token(
    emulator: Emulator,
    async_credential: AnyCredential,
    vaults: tuple[EmulatedVault, EmulatedVault],
    tls: ssl.SSLContext,
) -> None:
    one, two = vaults
    async with (
        AsyncSecretClient(one.url, async_credential, ssl_context=tls, retry=NO_RETRIES) as first,
        AsyncSecretClient(two.url, async_credential, ssl_context=tls, retry=NO_RETRIES) as second,
    ):
        before = [(await client.get_secret("db")).value.reveal() for client in (first, second)]
        logins = emulator.logins()["token"]
        emulator.revoke_tokens()
        after = [(await client.get_secret("db")).value.reveal() for client in (first, second)]

    assert before == after == ["1", "2"]
    assert emulator.logins()["token"] == logins + 1


async def test_a_write_is_carried_out_once_with_the_new_token(
    emulator: Emulator,
    async_credential: AnyCredential,
    vaults: tuple[EmulatedVault, EmulatedVault],
    tls: ssl.SSLContext,
) -> None:
    vault, _ = vaults
    async with AsyncSecretClient(vault.url, async_credential, ssl_context=tls, retry=NO_RETRIES) as client:
        await client.get_secret("db")
        emulator.revoke_tokens()
        vault.forget_calls()
        await client.set_secret("db", "3")

    assert (vault.value("db"), vault.calls()["set"]) == ("3", 1)


async def test_a_vault_that_rejects_every_token_causes_few_logins_and_harms_no_other_vault(
    emulator: Emulator,
    async_credential: AnyCredential,
    vaults: tuple[EmulatedVault, EmulatedVault],
    tls: ssl.SSLContext,
) -> None:
    good, _ = vaults
    hostile = FakeVault(
        "https://localhost", tenant_id=emulator.tenant_id, authority=emulator.login_url, check_token=refuse
    )
    transport = hostile.async_transport()
    async with (
        AsyncSecretClient(good.url, async_credential, ssl_context=tls, retry=NO_RETRIES) as client,
        AsyncSecretClient(hostile.url, async_credential, transport=transport, retry=NO_RETRIES) as rejected,
    ):
        await client.get_secret("db")
        logins = emulator.logins()["token"]
        for _ in range(20):
            with pytest.raises(NotAuthenticated):
                await rejected.get_secret("db")
        again = (await client.get_secret("db")).value.reveal()

    assert again == "1"
    assert emulator.logins()["token"] - logins == 1


def refuse(_token: str) -> Caller:
    raise TokenRefused("[TokenRevoked] Error validating token.")


async def test_a_managed_identity_requests_another_token_from_its_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = itertools.count(1)

    def answer(_request: Request) -> Response:
        document = {
            "access_token": f"token-{next(numbers)}",
            "expires_in": "3599",
            "resource": "https://localhost",
            "token_type": "Bearer",
        }
        return Response(200, {"content-type": "application/json"}, json.dumps(document).encode())

    endpoint = Listener(tls=None)
    endpoint.serve(answer)
    await endpoint.open()
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", endpoint.url)
    request = TokenRequest("https://localhost/.default")
    async with azure.identity.aio.ManagedIdentityCredential() as credential:
        tokens = AsyncTokenProvider(credential, wall_clock)
        first = await tokens.token(request)
        cached = (await credential.get_token_info(request.scope)).token
        second = await tokens.token(replace(request, rejected=first))
    await endpoint.release()

    assert (first.text, cached, second.text) == ("token-1", "token-1", "token-2")
