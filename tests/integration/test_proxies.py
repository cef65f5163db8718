"""Vaults and login hosts through a proxy, by the variables that the documentation names."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from kvsecrets import AsyncSecretClient, KeyVaultError, RetryPolicy
from kvsecrets._protocol import Request, Response
from tests.authorities import Authority
from tests.emulator.listener import Listener
from tests.emulator.login import Registration
from tests.integration.reading import LONG
from tests.proxies import ConnectProxy
from tests.unit.vaultsync.adapters.identities.served import CLIENT, NAMESPACE, TENANT, Cloud, cloud
from vaultsync.adapters.identities import Authorities
from vaultsync.adapters.keyvault.errors import log_fields, sync_error
from vaultsync.api import ObjectKey
from vaultsync.errors import Reason, SyncError
from vaultsync.state.access import ManagedIdentity, OwnIdentity, ServicePrincipal

IDENTITY: Final = ServicePrincipal(TENANT, CLIENT, "reader", "key", is_certificate=False)
LOGIN: Final = "keeper:MARKED-password"


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[Cloud, str]]:
    async with cloud(folder) as azure:
        azure.source.secrets[ObjectKey(NAMESPACE, "reader"), "key"] = "s3cret"
        azure.login.registrations[CLIENT] = Registration(TENANT, "s3cret", set())
        yield azure, (await azure.add_vault()).url


@pytest.fixture(autouse=True)
def _without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


async def read(azure: Cloud, url: str, login_host: str = "localhost") -> str:
    """Log in and read a secret as the operator does; raises `SyncError`."""
    authority = azure.login.url.replace("localhost", login_host)
    credentials = azure.open_credentials(Authorities({"localhost": authority}))
    client = AsyncSecretClient(
        url, credentials.of(IDENTITY, url), retry=RetryPolicy(attempts=1), timeout=LONG, ssl_context=azure.trust
    )
    try:
        return (await client.get_secret("db-password")).value.reveal()
    except KeyVaultError as error:
        logging.getLogger("vaultsync").warning("vault call failed", extra=log_fields(error))
        raise sync_error(error, vault_url=url, secret="db-password", identity=IDENTITY) from None
    finally:
        await client.aclose()
        await credentials.aclose()


async def failure(azure: Cloud, url: str, caplog: pytest.LogCaptureFixture, login_host: str = "localhost") -> SyncError:
    """Return why a secret cannot be read; neither message nor log have a password."""
    with pytest.raises(SyncError) as caught:
        await read(azure, url, login_host)
    assert "MARKED" not in caught.value.message
    assert "MARKED" not in str([vars(record) for record in caplog.records if record.name.startswith("vaultsync")])
    return caught.value


async def test_vault_and_login_host_are_reached_through_a_proxy_with_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as (azure, url):
        with ConnectProxy.listening(login=LOGIN) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url(LOGIN))

            assert await read(azure, url) == "s3cret"

        hosts = {one.removeprefix("https://") for one in (url, azure.login.url)}
        assert set(proxy.tunnels) == hosts


@pytest.mark.parametrize("others", ["169.254.169.254", "10.0.0.0/8,fd00::/8,::1,[::1]", "*.example.com,é,http://x"])
async def test_a_host_in_no_proxy_is_reached_without_it(
    others: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as (azure, url):
        with ConnectProxy.listening(status=403) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url())
            monkeypatch.setenv("NO_PROXY", f"{others},localhost")

            assert await read(azure, url) == "s3cret"


@pytest.mark.parametrize("at", ["vault", "login host"])
@pytest.mark.parametrize(
    ("login", "status", "said"),
    [
        (LOGIN, 0, "proxy {proxy} requires authentication (HTTP 407)"),
        ("", 403, "proxy {proxy} refused the connection (HTTP 403)"),
        ("", 502, "proxy {proxy} refused the connection (HTTP 502)"),
    ],
)
async def test_a_proxy_that_refuses_is_named_with_its_status(
    at: str,
    login: str,
    status: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(tmp_path) as (azure, url):
        with ConnectProxy.listening(login=login, status=status) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url("keeper:MARKED-wrong"))
            if at == "login host":
                monkeypatch.setenv("NO_PROXY", "localhost")
            error = await failure(azure, url, caplog, login_host="127.0.0.1")

    assert error.reason is (Reason.VAULT_UNREACHABLE if at == "vault" else Reason.LOGIN_FAILED)
    assert said.format(proxy=proxy.host) in error.message


@pytest.mark.parametrize("at", ["vault", "login host"])
async def test_a_proxy_that_is_away_is_named_in_place_of_the_host_behind_it(
    at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with ConnectProxy.listening() as proxy:
        pass
    monkeypatch.setenv("HTTPS_PROXY", proxy.url(LOGIN))
    if at == "login host":
        monkeypatch.setenv("NO_PROXY", "localhost")
    async with serving(tmp_path) as (azure, url):
        error = await failure(azure, url, caplog, login_host="127.0.0.1")

    assert f": the connection to proxy {proxy.host} was refused" in error.message


async def test_a_proxy_that_inspects_tls_is_reported_with_the_setting_for_its_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path) as (azure, url):
        with ConnectProxy.listening(inspects=Authority.make(has_key_ids=False, critical=False, name="x")) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url())
            error = await failure(azure, url, caplog)

    assert f"its certificate is of an unknown authority (through proxy {proxy.host}); if" in error.message
    assert "caBundle" in error.message


async def test_the_service_of_the_node_is_never_called_through_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A managed identity logs in there by http, which most proxies would forward to another host."""

    def respond(_: Request) -> Response:
        document = {"access_token": "of-the-node", "expires_in": "3599", "resource": "x", "token_type": "Bearer"}
        return Response(200, {"content-type": "application/json"}, json.dumps(document).encode())

    node = Listener(tls=None)
    node.serve(respond)
    await node.open()
    monkeypatch.setattr("vaultsync.adapters.identities.transport.NODE_HOST", "127.0.0.1")
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{node.port}")
    async with serving(tmp_path) as (azure, url):
        with ConnectProxy.listening(status=403) as proxy:
            for name in ("HTTP_PROXY", "HTTPS_PROXY"):
                monkeypatch.setenv(name.lower(), proxy.url())
            for identity in (OwnIdentity(), ManagedIdentity(CLIENT)):
                credential = azure.credentials.of(identity, url)
                assert (await credential.get_token_info("https://localhost/.default")).token == "of-the-node"
                await credential.aclose()
    await node.release()
